# Processes that fight for memory, and the tests that run them. They look at the time, which a busy
# machine breaks, so they are no part of `make check`: scripts/test --long runs them.

STRESS_OUT := $(BUILD)/test/stress
STRESS_PROGRAMS := $(addprefix $(STRESS_OUT)/,actor load)

$(STRESS_OUT)/%: test/stress/%.c test/stress/cuda.h $(BUILD)/simgpu/libcuda.so.1 $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itest/stress $< -o $@ -L$(BUILD)/simgpu -Wl,--as-needed -lcuda $(LIBC_LIBS)

.PHONY: build-stress check-stress
build-stress: all $(STRESS_PROGRAMS)
check-stress: build-stress
	@BUILD=$(BUILD) test/stress/run

.PHONY: check-long-stress
check-long: | check-long-stress
check-long-stress: check-stress $(BUILD)/test/unit/test_queue_model
	@VG_TEST_SEEDS=1000000 $(BUILD)/test/unit/test_queue_model
	@VG_STRESS_S=60 BUILD=$(BUILD) test/stress/run test_load.py

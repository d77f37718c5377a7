# `make bench`: what the guard costs. BENCH_FLAGS=--quick for a rough look.

BENCH_PROGRAMS := $(addprefix $(BUILD)/bench/,alloc_bench start_bench lookup_bench many_bench)

$(BUILD)/bench/libcuda.so.1: test/bench/null_driver.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fPIC -shared -Wl,-soname,libcuda.so.1 -Wl,-Bsymbolic $< -o $@

$(BUILD)/bench/%: test/bench/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $< $(LIBC_LIBS) -o $@

$(BUILD)/bench/pairs.so: test/bench/pairs.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fPIC -shared $< $(LIBC_LIBS) -o $@

.PHONY: bench
bench: $(BUILD)/bench/pairs.so $(BUILD)/libvramguard.so simgpu-driver $(BUILD)/bench/libcuda.so.1 $(BENCH_PROGRAMS) \
       $(BUILD)/test/torch/census_probe.so
	python3 test/bench/run_bench.py $(BUILD) $(BENCH_FLAGS)

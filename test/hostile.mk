# Programs that make the guard's life hard, and the tests that run them.

HOSTILE_OUT := $(BUILD)/test/hostile
HOSTILE_PROGRAMS := $(addprefix $(HOSTILE_OUT)/,fill moments threads lookup static_runtime \
                      show_record libmoments.so liblookup.so libtwin.so interposed \
                      interposed_linked libinterposer_linked.so libinterposer_looked_up.so \
                      libinterposer_hidden.so)
HOSTILE_PROGRAMS += $(addprefix $(HOSTILE_OUT)/,descriptors left forks steps denied storm)
HOSTILE_PROGRAMS += $(addprefix $(HOSTILE_OUT)/,libinterposer_searching.so bypass libbypass_looks_up.so libbypass_linked.so \
                      libbypass_harmless.so)
HOSTILE_PROGRAMS += $(if $(filter x86_64,$(shell uname -m)),$(HOSTILE_OUT)/libfaulty.so)
HOSTILE_COMPILE = $(CC) $(ALL_CFLAGS) -Itest/hostile $< -o $@

$(HOSTILE_OUT)/%: test/hostile/%.c $(BUILD)/simgpu/libcuda.so.1 $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(HOSTILE_COMPILE) -L$(BUILD)/simgpu -Wl,--as-needed -lcuda $(LIBC_LIBS)

# One library linked with the driver, two without.
$(HOSTILE_OUT)/libmoments.so: test/hostile/moments.c $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(HOSTILE_COMPILE) -DLIBRARY -fPIC -shared -L$(BUILD)/simgpu -lcuda $(LIBC_LIBS)

# Another interposer, which works in each of three ways, and programs that find the driver in each.
$(HOSTILE_OUT)/libinterposer_%.so: test/hostile/interposer.c
	@mkdir -p $(@D)
	$(HOSTILE_COMPILE) -D$(shell echo $* | tr a-z A-Z) -fPIC -shared $(LIBC_LIBS)

# Libraries that go past the guard, or could.
$(HOSTILE_OUT)/libbypass_%.so: test/hostile/bypass.c $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(HOSTILE_COMPILE) -DLIBRARY -D$(shell echo $* | tr a-z A-Z) -fPIC -shared \
	  $(if $(filter linked,$*),-L$(BUILD)/simgpu -lcuda) $(LIBC_LIBS)

$(HOSTILE_OUT)/interposed_linked: test/hostile/interposed.c $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(HOSTILE_COMPILE) -DDRIVER_LINKED -L$(BUILD)/simgpu -lcuda $(LIBC_LIBS)

$(HOSTILE_OUT)/lib%.so: test/hostile/%.c
	@mkdir -p $(@D)
	$(HOSTILE_COMPILE) -DLIBRARY -fPIC -shared $(LIBC_LIBS)

$(HOSTILE_OUT)/static_runtime: test/hostile/static_runtime.c $(BUILD)/simgpu/libcudart_sim_static.a
	@mkdir -p $(@D)
	$(HOSTILE_COMPILE) $(BUILD)/simgpu/libcudart_sim_static.a $(LIBC_LIBS)

.PHONY: build-hostile check-hostile
build-hostile: all $(HOSTILE_PROGRAMS)
check-hostile: build-hostile
	@BUILD=$(BUILD) test/hostile/run

# What takes minutes.
.PHONY: check-long
check-long: $(BUILD)/test/unit/test_registry $(BUILD)/test/unit/test_shared_quota
	@for test in $(filter $(BUILD)/test/unit/%,$^); do VG_TEST_KILLS=5000 $$test || exit 1; done

# Each call of the library's once, and storms. What they count is printed.
.PHONY: check-long-faults
check-long: | check-long-faults
check-long-faults: build-hostile
	@VG_TEST_FAULTS=all VG_TEST_FORKS=5000 VG_TEST_STORM=10000 BUILD=$(BUILD) \
	  test/hostile/run -rP test_fault_matrix.py test_seccomp.py test_forks.py test_storms.py

check: check-hostile

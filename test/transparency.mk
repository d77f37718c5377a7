# The transparency suite: programs that do the same bare and guarded.

TR           := test/transparency
TR_OUT       := $(BUILD)/test/transparency
TR_DRIVER    := $(BUILD)/simgpu/libcuda.so.1
TR_PROGRAMS  := proc_address lookups odd_client
TR_LINKED    := lookups_linked moments process_state
TR_LIBRARIES := libbefore.so libafter.so libopened.so liblinked.so libmoments.so
TR_OTHERS    := calls runtime_static runtime_shared older/libcuda.so.1 newer/libcuda.so.1
TR_RUNTIME   := $(BUILD)/simgpu/libcudart
TR_CC         = $(CC) $(ALL_CFLAGS) -Itest
TR_SHARED     = $(TR_CC) -fPIC -shared

# Programs that open the driver themselves, and those that are linked with it.
$(TR_PROGRAMS:%=$(TR_OUT)/%): $(TR_OUT)/%: $(TR)/%.c $(TR)/observe.c
	@mkdir -p $(@D)
	$(TR_CC) $< $(TR)/observe.c $(LIBC_LIBS) -o $@

$(TR_OUT)/%_linked: $(TR)/%.c $(TR)/observe.c $(TR_DRIVER)
	@mkdir -p $(@D)
	$(TR_CC) -DLINKED $< $(TR)/observe.c -Wl,--no-as-needed $(TR_DRIVER) $(LIBC_LIBS) -o $@

$(TR_OUT)/moments $(TR_OUT)/process_state: $(TR_OUT)/%: $(TR)/%.c $(TR)/observe.c $(TR_DRIVER)
	@mkdir -p $(@D)
	$(TR_CC) $< $(TR)/observe.c $(TR_DRIVER) -lm $(LIBC_LIBS) -o $@

$(TR_OUT)/libmoments.so: $(TR)/moments_library.c $(TR)/observe.c $(TR_DRIVER)
	@mkdir -p $(@D)
	$(TR_SHARED) $^ $(LIBC_LIBS) -o $@

# The runtime is never linked with the driver.
$(TR_OUT)/runtime_static: $(TR)/runtime.c $(TR_RUNTIME)_sim_static.a
	@mkdir -p $(@D)
	$(TR_CC) $^ $(LIBC_LIBS) -o $@

$(TR_OUT)/runtime_shared: $(TR)/runtime.c $(TR_RUNTIME).so.13
	@mkdir -p $(@D)
	$(TR_CC) $^ $(LIBC_LIBS) -o $@

# Drivers that the function table does not fit.
$(TR_OUT)/older/libcuda.so.1 $(TR_OUT)/newer/libcuda.so.1: $(TR)/odd_driver.c
	@mkdir -p $(@D)
	$(TR_SHARED) $(if $(findstring newer,$@),-DNEWER) -Wl,-soname,libcuda.so.1 -Wl,-Bsymbolic $< $(LIBC_LIBS) -o $@

$(TR_OUT)/lib%.so: $(TR)/lookup_library.c $(TR)/observe.c $(TR_DRIVER)
	@mkdir -p $(@D)
	$(TR_SHARED) -DME=$* $(TR_FLAGS) $< $(TR)/observe.c $(if $(findstring LINKED,$(TR_FLAGS)),\
	  $(TR_DRIVER)) $(LIBC_LIBS) -o $@
$(TR_OUT)/libopened.so: TR_FLAGS = -DOWN_FREE
$(TR_OUT)/liblinked.so: TR_FLAGS = -DLINKED

# Calls of every wrapped function, derived from the function table.
$(TR_OUT)/calls_table.h: $(TR)/make_calls.py src/driver/cuda_table.h src/driver/cuda_abi.h
	@mkdir -p $(@D)
	python3 $< $(firstword $(CC)) src > $@

$(TR_OUT)/calls: $(TR)/calls.c $(TR)/choices.c $(TR)/observe.c $(TR_OUT)/calls_table.h
	$(TR_CC) -I$(TR_OUT) $(filter %.c,$^) $(LIBC_LIBS) -o $@

.PHONY: build-transparency check-transparency
build-transparency: $(BUILD)/libvramguard.so simgpu-driver simgpu-runtime \
                    $(addprefix $(TR_OUT)/,$(TR_PROGRAMS) $(TR_LINKED) $(TR_LIBRARIES) $(TR_OTHERS))
check-transparency: build-transparency
	@BUILD=$(BUILD) CC="$(CC)" $(TR)/run

check: check-transparency

# What `vramguard run --simulate` preloads beside the runtime: see device_files.c.

SIMGPU_PRELOAD := $(BUILD)/simgpu/libsimgpu_device_files.so

.PHONY: simgpu-preload
simgpu-preload: $(SIMGPU_PRELOAD)
all: simgpu-preload

# libc's own prototypes say that paths are never NULL, which programs need not heed.
$(SIMGPU_PRELOAD): src/simgpu/preload/device_files.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fno-builtin -Wno-nonnull-compare -fPIC -shared \
	    -Wl,-soname,libsimgpu_device_files.so -Wl,-z,defs $(LDFLAGS) -o $@ $<

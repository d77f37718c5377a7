# What `vramguard run --simulate` preloads beside the runtime: see device_files.c.

SIMGPU_PRELOAD := $(BUILD)/simgpu/libsimgpu_device_files.so

.PHONY: simgpu-preload
simgpu-preload: $(SIMGPU_PRELOAD)
all: simgpu-preload

$(SIMGPU_PRELOAD): src/simgpu/preload/device_files.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fno-builtin -fPIC -shared \
	    -Wl,-soname,libsimgpu_device_files.so -Wl,-z,defs $(LDFLAGS) -o $@ $<

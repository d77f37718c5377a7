# The simulated driver (libcuda.so.1) and the behaviour suite that also runs on a real GPU.

SIMGPU_DRIVER_SOURCES := $(sort $(wildcard test/simgpu/driver/*.c))
SIMGPU_DRIVER_OBJECTS := $(SIMGPU_DRIVER_SOURCES:%.c=$(BUILD)/obj/%.o)

.PHONY: simgpu-driver
simgpu-driver: $(BUILD)/simgpu/libcuda.so.1 $(BUILD)/simgpu/libcuda.so
all: simgpu-driver

# TLS is read by each entry point, hence the model that needs no call.
$(BUILD)/obj/test/simgpu/driver/%.o: test/simgpu/driver/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fPIC -pthread -ftls-model=initial-exec -c -o $@ $<

# -Bsymbolic: the driver's references to its own exports stay inside it, so that preloading a symbol
# is not enough to intercept what cuGetProcAddress hands out. nodelete: it has fork handlers.
$(BUILD)/simgpu/libcuda.so.1: $(SIMGPU_DRIVER_OBJECTS)
	@mkdir -p $(@D)
	$(CC) -shared -pthread -Wl,-soname,libcuda.so.1 -Wl,-Bsymbolic -Wl,-z,defs -Wl,-z,nodelete \
	    -Wl,--as-needed $(LDFLAGS) -o $@ $^

$(BUILD)/simgpu/libcuda.so: $(BUILD)/simgpu/libcuda.so.1
	ln -sf libcuda.so.1 $@

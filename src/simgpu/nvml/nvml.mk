# The simulated NVML (libnvidia-ml.so.1). It shares the driver's view of devices and processes.

SIMGPU_NVML_SOURCES := $(sort $(wildcard src/simgpu/nvml/*.c)) \
    $(addprefix src/simgpu/driver/,device_attributes.c options.c process.c shared.c visible.c)
SIMGPU_NVML_OBJECTS := $(SIMGPU_NVML_SOURCES:%.c=$(BUILD)/obj/%.o)

.PHONY: simgpu-nvml
simgpu-nvml: $(BUILD)/simgpu/libnvidia-ml.so.1
simgpu-driver: simgpu-nvml
all: simgpu-nvml

$(BUILD)/obj/src/simgpu/nvml/%.o: src/simgpu/nvml/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fPIC -pthread -c -o $@ $<

$(BUILD)/simgpu/libnvidia-ml.so.1: $(SIMGPU_NVML_OBJECTS)
	@mkdir -p $(@D)
	$(CC) -shared -pthread -Wl,-soname,libnvidia-ml.so.1 -Wl,-Bsymbolic -Wl,-z,defs \
	    -Wl,--as-needed $(LDFLAGS) -o $@ $^

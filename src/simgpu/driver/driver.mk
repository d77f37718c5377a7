# The simulated driver (libcuda.so.1) and the behaviour suite that also runs on a real GPU.

SIMGPU_DRIVER_SOURCES := $(sort $(wildcard src/simgpu/driver/*.c))
SIMGPU_DRIVER_OBJECTS := $(SIMGPU_DRIVER_SOURCES:%.c=$(BUILD)/obj/%.o)

.PHONY: simgpu-driver
simgpu-driver: $(BUILD)/simgpu/libcuda.so.1 $(BUILD)/simgpu/libcuda.so
all: simgpu-driver

# TLS is read by each entry point, hence the model that needs no call.
$(BUILD)/obj/src/simgpu/driver/%.o: src/simgpu/driver/%.c
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

# The behaviour suite: the programs of `behaviour` run on any driver, those of `simgpu_*` on the
# simulation only. None needs anything but libc.
BEHAVIOUR_COMMON  := check child cuda
BEHAVIOUR_NAMES   := $(filter-out $(BEHAVIOUR_COMMON),$(basename $(notdir $(wildcard test/simgpu/behaviour/*.c))))
BEHAVIOUR_OBJECTS := $(BEHAVIOUR_COMMON:%=$(BUILD)/obj/test/simgpu/behaviour/%.o)
BEHAVIOUR_BINARIES := $(BEHAVIOUR_NAMES:%=$(BUILD)/test/simgpu/behaviour/%)

.PHONY: behaviour check-behaviour
check: check-behaviour
behaviour: $(BEHAVIOUR_BINARIES)

$(BUILD)/obj/test/simgpu/behaviour/%.o: test/simgpu/behaviour/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -pthread -c -o $@ $<

$(BEHAVIOUR_BINARIES): $(BUILD)/test/simgpu/behaviour/%: $(BUILD)/obj/test/simgpu/behaviour/%.o $(BEHAVIOUR_OBJECTS)
	@mkdir -p $(@D)
	$(CC) -rdynamic $(LDFLAGS) -o $@ $^ $(LIBC_LIBS)

check-behaviour: behaviour simgpu-driver
	src/simgpu/driver/check-readme
	test/simgpu/behaviour/run $(BUILD) $(BEHAVIOUR_NAMES)

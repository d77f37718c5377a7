# Our CUDA runtime over the simulated driver: libcudart.so.13, .12, .11.0 and a static archive of 13.
# It is never linked with libcuda; it finds the driver at run time, as the real one does.

RT_DIR     := src/simgpu/runtime
RT_OUT     := $(BUILD)/simgpu
RT_OBJ     := $(RT_OUT)/runtime
RT_SOURCES := $(notdir $(wildcard $(RT_DIR)/*.c))
RT_CFLAGS   = $(ALL_CFLAGS) -I$(RT_DIR) -fPIC -pthread
RT_LDFLAGS  = -shared -pthread -Wl,-Bsymbolic -Wl,-z,defs -Wl,--no-undefined-version
RT_BUILDS  := 11 12 13 static

RT_LIBRARIES := $(RT_OUT)/libcudart.so.13 $(RT_OUT)/libcudart.so.12 $(RT_OUT)/libcudart.so.11.0 \
                $(RT_OUT)/libcudart.so $(RT_OUT)/libcudart_sim_static.a

.PHONY: simgpu-runtime
simgpu-runtime: $(RT_LIBRARIES)
all: simgpu-runtime

rt_major  = $(if $(filter static,$1),13,$1)
rt_soname = libcudart.so.$(if $(filter 11,$1),11.0,$1)
rt_define = -DCUDART_MAJOR=$(call rt_major,$1) $(if $(filter static,$1),-DCUDART_STATIC)
rt_objects = $(RT_SOURCES:%.c=$(RT_OBJ)/$1/%.o) $(RT_OBJ)/$1/stubs.o

# One set of objects per build: structure layouts and names differ between majors, visibility
# between shared and static.
define rt_build_rules
$(RT_OBJ)/$1/%.o: $(RT_DIR)/%.c $(RT_DIR)/runtime.mk
	@mkdir -p $$(@D)
	$$(CC) $$(RT_CFLAGS) $$(call rt_define,$1) -c $$< -o $$@

$(RT_OBJ)/$1/stubs.c: $(RT_DIR)/exports.txt $(RT_DIR)/make_stubs.awk
	@mkdir -p $$(@D)
	awk -v major=$(call rt_major,$1) -v want=stubs -f $(RT_DIR)/make_stubs.awk $$< > $$@

$(RT_OBJ)/$1/stubs.o: $(RT_OBJ)/$1/stubs.c
	$$(CC) $$(RT_CFLAGS) $$(call rt_define,$1) -c $$< -o $$@

$(RT_OBJ)/$1/exports.map: $(RT_DIR)/exports.txt $(RT_DIR)/make_stubs.awk
	@mkdir -p $$(@D)
	awk -v major=$(call rt_major,$1) -v want=$(call rt_soname,$(call rt_major,$1)) -f $(RT_DIR)/make_stubs.awk $$< > $$@
endef
$(foreach build,$(RT_BUILDS),$(eval $(call rt_build_rules,$(build))))

define rt_library_rule
$(RT_OUT)/$(call rt_soname,$1): $(call rt_objects,$1) $(RT_OBJ)/$1/exports.map
	$$(CC) $$(LDFLAGS) $$(RT_LDFLAGS) -Wl,-soname,$(call rt_soname,$1) \
	    -Wl,--version-script=$(RT_OBJ)/$1/exports.map -o $$@ $$(filter %.o,$$^) $$(LIBC_LIBS)
endef
$(foreach major,11 12 13,$(eval $(call rt_library_rule,$(major))))

$(RT_OUT)/libcudart.so: $(RT_OUT)/libcudart.so.13
	ln -sf $(<F) $@

$(RT_OUT)/libcudart_sim_static.a: $(call rt_objects,static)
	rm -f $@
	$(AR) rcs $@ $^

# Tests: every program of test/simgpu/runtime in each build, and what the Python tests preload.
RT_TEST      := test/simgpu/runtime
RT_TEST_OUT  := $(BUILD)/test/simgpu/runtime
RT_PROGRAMS  := alloc array code copy device entry_point first_call forked graph pool sticky \
                stream thread
RT_PROBES    := $(RT_TEST_OUT)/probe/libcuda.so.1 $(RT_TEST_OUT)/probe/dl_probe.so
rt_runtime    = $(RT_OUT)/$(if $(filter static,$1),libcudart_sim_static.a,$(call rt_soname,$1))

define rt_test_rules
$(RT_TEST_OUT)/$1/%: $(RT_TEST)/%.c $(RT_TEST)/check.h $(call rt_runtime,$1)
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) -I$(RT_DIR) $$(call rt_define,$1) $$< $(call rt_runtime,$1) $$(LIBC_LIBS) -o $$@
endef
$(foreach build,$(RT_BUILDS),$(eval $(call rt_test_rules,$(build))))

$(RT_TEST_OUT)/probe/libcuda.so.1: $(RT_TEST)/driver_probe.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fPIC -shared -Wl,-soname,libcuda.so.1 $< $(LIBC_LIBS) -o $@

$(RT_TEST_OUT)/probe/dl_probe.so: $(RT_TEST)/dl_probe.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fPIC -shared $< $(LIBC_LIBS) -o $@

.PHONY: build-runtime check-runtime
build-runtime: simgpu-runtime simgpu-driver $(RT_PROBES) \
               $(foreach build,$(RT_BUILDS),$(RT_PROGRAMS:%=$(RT_TEST_OUT)/$(build)/%))
check-runtime: build-runtime
	BUILD=$(BUILD) CC="$(CC)" test/simgpu/runtime/run
check: check-runtime

# The end-to-end tests: scripts and programs from outside, bare and guarded.

$(BUILD)/test/e2e/%: test/e2e/%.c $(BUILD)/libvramguard_core.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $< $(BUILD)/libvramguard_core.a $(LIBC_LIBS) -o $@

# What a program of any Python loads with ctypes.
$(BUILD)/test/e2e/handled_probe.so: test/e2e/handled_probe.c $(BUILD)/libvramguard_core.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fPIC -shared -Wl,-Bsymbolic -Wl,-z,defs -Wl,--gc-sections $(filter %.c %.a,$^) $(LIBC_LIBS) -o $@

build-e2e: $(BUILD)/test/e2e/handled_probe.so

# Programs that use the public header as any other program would: strict C and C++, linked in each way
# there is.
E2E_OUT     := $(BUILD)/test/e2e
E2E_HEADERS := $(addprefix $(E2E_OUT)/,header header_no_pie header_cpp)
E2E_TRIM    := $(addprefix $(E2E_OUT)/,trim_hooks libtrim_library.so libtrim_slow.so)
E2E_WARN    := -Wall -Wextra -pedantic -Werror
CXX         ?= g++

$(E2E_OUT)/header: test/e2e/header.c include/vramguard.h
	@mkdir -p $(@D)
	$(CC) -std=c99 $(E2E_WARN) -O0 -Iinclude $< $(LIBC_LIBS) -o $@

$(E2E_OUT)/header_no_pie: test/e2e/header.c include/vramguard.h
	@mkdir -p $(@D)
	$(CC) -std=c99 $(E2E_WARN) -O2 -fno-pie -no-pie -Iinclude $< $(LIBC_LIBS) -o $@

$(E2E_OUT)/header_cpp: test/e2e/header.c include/vramguard.h
	@mkdir -p $(@D)
	$(CXX) -x c++ -std=c++11 $(E2E_WARN) -O2 -Iinclude $< $(LIBC_LIBS) -o $@

$(E2E_OUT)/trim_hooks: test/e2e/trim_hooks.cpp include/vramguard.h $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(CXX) -std=c++11 $(E2E_WARN) -O1 -g -Iinclude $< -L$(BUILD)/simgpu -lcuda $(LIBC_LIBS) -o $@

$(E2E_OUT)/libtrim_library.so $(E2E_OUT)/libtrim_slow.so: test/e2e/trim_library.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(if $(findstring slow,$@),-DSLOW) -fPIC -shared $< $(LIBC_LIBS) -o $@

$(E2E_OUT)/actor: test/e2e/actor.c $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itest $< -L$(BUILD)/simgpu -lcuda $(LIBC_LIBS) -o $@

# With line tables: the tool names what was inlined.
$(E2E_OUT)/inlined: test/e2e/inlined.c $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itest -O2 -g $< -L$(BUILD)/simgpu -lcuda $(LIBC_LIBS) -o $@

build-e2e: $(E2E_OUT)/inlined

# PyTorch's two functions, of whose names hook/torch_table.h has the list, under other file names.
E2E_NAMES := $(addprefix $(E2E_OUT)/torch_names/,program librenamed.so libcaller.so)

$(E2E_OUT)/torch_names/librenamed.so: test/e2e/torch_names.c src/hook/torch_table.h
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DDEFINES -fvisibility=default -fPIC -shared -Wl,-soname,$(@F) $< $(LIBC_LIBS) -o $@

$(E2E_OUT)/torch_names/libcaller.so: test/e2e/torch_names.c $(E2E_OUT)/torch_names/librenamed.so
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DCALLS -fvisibility=default -fPIC -shared $(filter %.c %.so,$^) $(LIBC_LIBS) -o $@

$(E2E_OUT)/torch_names/program: test/e2e/torch_names.c $(E2E_OUT)/torch_names/libcaller.so
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $< $(LIBC_LIBS) -o $@

E2E_MARKS := $(addprefix $(E2E_OUT)/,marks marks_cpp)

$(E2E_OUT)/marks: test/e2e/marks.c include/vramguard.h $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(CC) -std=c99 $(E2E_WARN) -O1 -Iinclude $< -L$(BUILD)/simgpu -lcuda $(LIBC_LIBS) -o $@

$(E2E_OUT)/marks_cpp: test/e2e/marks.c include/vramguard.h $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(CXX) -x c++ -std=c++11 $(E2E_WARN) -O1 -Iinclude $< -x none -L$(BUILD)/simgpu -lcuda $(LIBC_LIBS) -o $@

# A caching allocator for the stand-ins of PyTorch and CuPy, under the names of the real ones.
E2E_PYTHON := $(addprefix $(E2E_OUT)/python_trim/,torch/lib/libc10_cuda.so cupy/_core/core.so take)

$(E2E_OUT)/python_trim/take: test/e2e/python_trim/take.c $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Wno-missing-prototypes $< -L$(BUILD)/simgpu -lcuda $(LIBC_LIBS) -o $@

$(E2E_OUT)/python_trim/%.so: test/e2e/python_trim/allocator.cpp $(BUILD)/simgpu/libcudart.so
	@mkdir -p $(@D)
	$(CXX) -std=c++17 $(E2E_WARN) -O1 -g -fPIC -shared $< -L$(BUILD)/simgpu -lcudart $(LIBC_LIBS) -o $@

.PHONY: build-e2e check-e2e
build-e2e: all $(BUILD)/test/e2e/show_stacks $(E2E_HEADERS) $(E2E_TRIM) $(E2E_OUT)/actor \
           $(E2E_MARKS) $(E2E_PYTHON) $(E2E_NAMES)
check-e2e: build-e2e
	@BUILD=$(BUILD) test/e2e/run

check: check-e2e

# Libraries that keep a cache of their own, by the names of frameworks that do.
E2E_CACHES := $(addprefix $(E2E_OUT)/own_cache/,libc10_cuda.so libdrjit-core.so cupy/cuda/memory.so \
              pjrt_plugin.so libplain.so)

$(E2E_CACHES): test/e2e/own_cache/library.c $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fno-optimize-sibling-calls -fvisibility=default -fPIC -shared -Itest $< -L$(BUILD)/simgpu -lcuda $(LIBC_LIBS) -o $@

$(E2E_OUT)/own_cache/libstranger.so: test/e2e/own_cache/stranger.c $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fno-optimize-sibling-calls -fvisibility=default -fPIC -shared -Itest $< -L$(BUILD)/simgpu -lcuda $(LIBC_LIBS) -o $@

$(E2E_OUT)/own_cache/program: test/e2e/own_cache/program.c $(BUILD)/simgpu/libcuda.so
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itest $< -L$(BUILD)/simgpu -lcuda $(LIBC_LIBS) -o $@

E2E_OWN_CACHE := $(E2E_CACHES) $(E2E_OUT)/own_cache/libstranger.so $(E2E_OUT)/own_cache/program
build-e2e: $(E2E_OWN_CACHE)

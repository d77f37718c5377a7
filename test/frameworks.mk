# Emulated frameworks: libraries that do at a failure what the real ones do, under their file names.

FRAMEWORKS_OUT := $(BUILD)/test/frameworks
FRAMEWORKS_LIBRARIES := $(addprefix $(FRAMEWORKS_OUT)/,libc10_cuda.so xla_extension.so \
                          libonnxruntime.so librmm.so libggml-cuda.so libcudnn_search.so libown_allocator.so)
# No tail calls: who calls the driver is to be on the stack.
FRAMEWORKS_COMPILE = @mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -Itest -fno-optimize-sibling-calls \
                       $(filter %.c,$^) -o $@ -L$(BUILD)/simgpu

$(FRAMEWORKS_OUT)/libc10_cuda.so: test/frameworks/c10.c
$(FRAMEWORKS_OUT)/xla_extension.so: test/frameworks/xla.c
$(FRAMEWORKS_OUT)/libonnxruntime.so: test/frameworks/onnxruntime.c
$(FRAMEWORKS_OUT)/librmm.so: test/frameworks/rmm.c
$(FRAMEWORKS_OUT)/libggml-cuda.so: test/frameworks/ggml.c
$(FRAMEWORKS_OUT)/libcudnn_search.so: test/frameworks/cudnn.c
$(FRAMEWORKS_OUT)/libown_allocator.so: test/frameworks/own_allocator.c
$(FRAMEWORKS_LIBRARIES): $(BUILD)/simgpu/libcuda.so
	$(FRAMEWORKS_COMPILE) -fPIC -shared -Wl,-soname,$(@F) -lcuda

$(FRAMEWORKS_OUT)/program: test/frameworks/program.c $(FRAMEWORKS_LIBRARIES)
	$(FRAMEWORKS_COMPILE) $(filter %.so,$^) -lcuda -Wl,-rpath,'$$ORIGIN'

.PHONY: build-frameworks check-frameworks
build-frameworks: all $(FRAMEWORKS_OUT)/program
check-frameworks: build-frameworks
	@BUILD=$(BUILD) test/frameworks/run

check: check-frameworks

/* program STEP...: a program that uses the emulated frameworks. Sizes are in MiB.
 *   BACKEND=NAME:SIZE        allocates with PyTorch, as NAME. BACKEND: native, expandable, async,
 *                            async-twice, uncached, plugged
 *   free=NAME                gives it back to PyTorch
 *   own=SIZE                 takes and frees through the driver: this program's own code
 *   keep=SIZE                takes and keeps: likewise
 *   xla=WANTED:NEEDED onnxruntime=NEEDED rmm=WANTED:NEEDED ggml=SIZE
 *   cudnn=SIZE,SIZE,...      searches
 *   capture=global|relaxed   begins to capture; PyTorch's calls are made in relaxed mode anyway
 *   end                      ends the capture and instantiates the graph
 *   line=TEXT                prints TEXT
 *   read                     waits for a line on standard input */
#include <string.h>

#include "frameworks.h"
#include "trace.h"

enum { NAMES = 32, SEARCH = 32 };
enum { CAPTURE_GLOBAL = 0 /* CU_STREAM_CAPTURE_MODE_GLOBAL */ };

static struct {
    char name[16];
    void *block;
} held[NAMES];

static CUstream stream;
static bool capturing;

static void keep(const char *name, size_t length, void *block)
{
    for (int i = 0; i < NAMES; i++)
        if (!held[i].block) {
            snprintf(held[i].name, sizeof held[i].name, "%.*s", (int)length, name);
            held[i].block = block;
            return;
        }
    abort();
}

/* PyTorch puts its thread into the relaxed mode before it allocates (CUDAStreamCaptureModeGuard).
 */
static void torch(enum c10_backend backend, const char *value)
{
    const size_t length = strcspn(value, ":");
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    if (capturing)
        cuThreadExchangeStreamCaptureMode(&mode);
    void *const block = c10_malloc(backend, strtoull(value + length + 1, NULL, 10) * MIB);
    if (capturing)
        cuThreadExchangeStreamCaptureMode(&mode);
    printf("%.*s %s\n", (int)length, value, block ? "allocated" : "OutOfMemoryError");
    if (block)
        keep(value, length, block);
}

static void torch_free(const char *name)
{
    for (int i = 0; i < NAMES; i++)
        if (held[i].block && strcmp(held[i].name, name) == 0) {
            c10_free(held[i].block);
            held[i].block = NULL;
        }
}

static void own(const char *value)
{
    CUdeviceptr address;
    if (traced_alloc(&address, strtoull(value, NULL, 10) * MIB) == CUDA_SUCCESS)
        traced_free(address);
}

static void take(const char *value)
{
    CUdeviceptr address;
    traced_alloc(&address, strtoull(value, NULL, 10) * MIB);
}

static void search(const char *value)
{
    size_t sizes[SEARCH];
    int count = 0;
    for (char *end; *value && count < SEARCH; value = end + (*end == ','))
        sizes[count++] = strtoull(value, &end, 10) * MIB;
    printf("found %d\n", cudnn_search(sizes, count));
}

static void capture(const char *mode)
{
    if (cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS)
        abort();
    printf("begin = %d\n", cuStreamBeginCapture_v2(stream, strcmp(mode, "global") == 0
                                                               ? CAPTURE_GLOBAL
                                                               : CU_STREAM_CAPTURE_MODE_RELAXED));
    capturing = true;
    c10_capture(true);
}

static void end_capture(void)
{
    CUgraph graph = NULL;
    CUgraphExec executable;
    const CUresult result = cuStreamEndCapture(stream, &graph);
    printf("end = %d\n", result);
    if (result == CUDA_SUCCESS)
        printf("instantiate = %d\n", cuGraphInstantiateWithFlags(&executable, graph, 0));
    capturing = false;
    c10_capture(false);
}

static void step(const char *text)
{
    const size_t length = strcspn(text, "=");
    const char *const value = text[length] ? text + length + 1 : "";
    const char *const second = value + strcspn(value, ":") + 1;
    const size_t first_bytes = strtoull(value, NULL, 10) * MIB;
    char line[64];
#define IS(name) (length == strlen(name) && strncmp(text, name, length) == 0)
    if (IS("native"))
        torch(C10_NATIVE, value);
    else if (IS("expandable"))
        torch(C10_EXPANDABLE, value);
    else if (IS("async"))
        torch(C10_ASYNC, value);
    else if (IS("async-twice"))
        torch(C10_ASYNC_TWICE, value);
    else if (IS("uncached"))
        torch(C10_UNCACHED, value);
    else if (IS("plugged"))
        torch(C10_PLUGGED, value);
    else if (IS("free"))
        torch_free(value);
    else if (IS("own"))
        own(value);
    else if (IS("keep"))
        take(value);
    else if (IS("xla"))
        printf("got %zu\n", xla_extend(first_bytes, strtoull(second, NULL, 10) * MIB));
    else if (IS("onnxruntime"))
        printf("got %zu\n", onnxruntime_extend(first_bytes));
    else if (IS("rmm"))
        printf("got %zu\n", rmm_expand(first_bytes, strtoull(second, NULL, 10) * MIB));
    else if (IS("ggml"))
        ggml_alloc(first_bytes);
    else if (IS("cudnn"))
        search(value);
    else if (IS("capture"))
        capture(value);
    else if (IS("end"))
        end_capture();
    else if (IS("line"))
        printf("%s\n", value);
    else if (IS("read") && fgets(line, sizeof line, stdin))
        printf("read\n");
    else
        abort();
    fflush(stdout);
}

int main(int argc, char **argv)
{
    CUcontext context;
    if (cuInit(0) != CUDA_SUCCESS || cuDevicePrimaryCtxRetain(&context, 0) != CUDA_SUCCESS ||
        cuCtxSetCurrent(context) != CUDA_SUCCESS)
        return 1;
    c10_plug(own_malloc, own_free);
    for (int i = 1; i < argc; i++)
        step(argv[i]);
    return 0;
}

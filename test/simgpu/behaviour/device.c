/* Initialisation, devices, error names, contexts. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "cuda.h"

#define CAPABILITY_MAJOR 75
#define CAPABILITY_MINOR 76
#define PCI_BUS          33
#define MAX_THREADS      1
#define WARP_SIZE        10

static void check_before_init(void)
{
    int count = 12345;
    CUdeviceptr address = 12345;
    CUcontext context;
    CHECK("device count before cuInit", cuda.device_count(&count), CUDA_ERROR_NOT_INITIALIZED);
    CHECK("  leaves the output alone", count, 12345);
    CHECK("alloc before cuInit", cuda.alloc(&address, 1 << 20), CUDA_ERROR_NOT_INITIALIZED);
    CHECK("  leaves the output alone", address, 12345);
    CHECK("retain before cuInit", cuda.primary_retain(&context, 0), CUDA_ERROR_NOT_INITIALIZED);
    int version = 0;
    CHECK("driver version before cuInit", cuda.driver_version(&version), CUDA_SUCCESS);
    CHECK_TRUE("  is 11.0 or later", version >= 11000);
    CHECK("cuInit with flags", cuda.init(1), CUDA_ERROR_INVALID_VALUE);
    CHECK("cuInit", cuda.init(0), CUDA_SUCCESS);
    CHECK("cuInit again", cuda.init(0), CUDA_SUCCESS);
}

static void check_errors(void)
{
    const char *text = NULL;
    CHECK("error name", cuda.error_name(CUDA_ERROR_OUT_OF_MEMORY, &text), CUDA_SUCCESS);
    CHECK_TRUE("  of out of memory", strcmp(text, "CUDA_ERROR_OUT_OF_MEMORY") == 0);
    CHECK("error string", cuda.error_string(CUDA_ERROR_OUT_OF_MEMORY, &text), CUDA_SUCCESS);
    CHECK_TRUE("  of out of memory", strcmp(text, "out of memory") == 0);
    CHECK("unknown error", cuda.error_name(4711, &text), CUDA_ERROR_INVALID_VALUE);
    CHECK_TRUE("  gives no name", text == NULL);
}

static void check_device(void)
{
    int count = 0;
    CUdevice device = -1, same = -1;
    CHECK("device count", cuda.device_count(&count), CUDA_SUCCESS);
    CHECK_TRUE("  at least one", count >= 1);
    CHECK("device 0", cuda.device_get(&device, 0), CUDA_SUCCESS);
    CHECK("no such device", cuda.device_get(&device, count), CUDA_ERROR_INVALID_DEVICE);
    CHECK("negative device", cuda.device_get(&device, -1), CUDA_ERROR_INVALID_DEVICE);
    CHECK("no output", cuda.device_get(NULL, 0), CUDA_ERROR_INVALID_VALUE);

    char name[256] = "", id[32] = "";
    CHECK("name", cuda.device_name(name, sizeof(name), 0), CUDA_SUCCESS);
    CHECK_TRUE("  is not empty", name[0] != '\0');
    CHECK("PCI id", cuda.device_pci_id(id, sizeof(id), 0), CUDA_SUCCESS);
    CHECK("device by PCI id", cuda.device_by_pci_id(&same, id), CUDA_SUCCESS);
    CHECK("  is the same", same, 0);
    unsigned int domain, bus, slot;
    int attribute = -1;
    CHECK("PCI id has three parts", sscanf(id, "%x:%x:%x", &domain, &bus, &slot), 3);
    CHECK("PCI bus", cuda.device_attribute(&attribute, PCI_BUS, 0), CUDA_SUCCESS);
    CHECK("  is the same", attribute, bus);

    CUuuid one, other;
    CHECK("UUID", cuda.device_uuid(&one, 0), CUDA_SUCCESS);
    CHECK("UUID again", cuda.device_uuid(&other, 0), CUDA_SUCCESS);
    CHECK("  is the same", memcmp(&one, &other, sizeof(one)), 0);

    size_t total = 0;
    CHECK("total memory", cuda.device_total(&total, 0), CUDA_SUCCESS);
    CHECK_TRUE("  at least 64 MiB", total >= 64 << 20);
    int major = 0, minor = -1;
    CHECK("capability", cuda.device_capability(&major, &minor, 0), CUDA_SUCCESS);
    cuda.device_attribute(&attribute, CAPABILITY_MAJOR, 0);
    CHECK("  major as attribute", attribute, major);
    cuda.device_attribute(&attribute, CAPABILITY_MINOR, 0);
    CHECK("  minor as attribute", attribute, minor);
    CUdevprop properties;
    CHECK("properties", cuda.device_properties(&properties, 0), CUDA_SUCCESS);
    cuda.device_attribute(&attribute, MAX_THREADS, 0);
    CHECK("  threads as attribute", attribute, properties.maxThreadsPerBlock);
    cuda.device_attribute(&attribute, WARP_SIZE, 0);
    CHECK("warp size", attribute, 32);
    CHECK("no such attribute", cuda.device_attribute(&attribute, 99999, 0),
          CUDA_ERROR_INVALID_VALUE);
}

static void check_no_context(void)
{
    CUdeviceptr address = 12345;
    CUcontext context = (CUcontext)&address;
    CUdevice device = 12345;
    CHECK("current context at first", cuda.context_get(&context), CUDA_SUCCESS);
    CHECK_TRUE("  is none", context == NULL);
    CHECK("alloc without context", cuda.alloc(&address, 1 << 20), CUDA_ERROR_INVALID_CONTEXT);
    CHECK("  leaves the output alone", address, 12345);
    CHECK("device without context", cuda.context_device(&device), CUDA_ERROR_INVALID_CONTEXT);
    CHECK("synchronise without context", cuda.context_sync(), CUDA_ERROR_INVALID_CONTEXT);
    CHECK("pop without context", cuda.context_pop(&context), CUDA_ERROR_INVALID_CONTEXT);
    CHECK("a wild context", cuda.context_set((CUcontext)0x123450), CUDA_ERROR_INVALID_CONTEXT);
}

static void check_primary(void)
{
    unsigned int flags = 99;
    int active = -1;
    CUcontext one = NULL, two = NULL, current = NULL;
    CHECK("state", cuda.primary_state(0, &flags, &active), CUDA_SUCCESS);
    CHECK("  inactive at first", active, 0);
    CHECK("release what is not retained", cuda.primary_release(0), CUDA_ERROR_INVALID_CONTEXT);
    CHECK("retain", cuda.primary_retain(&one, 0), CUDA_SUCCESS);
    CHECK("retain again", cuda.primary_retain(&two, 0), CUDA_SUCCESS);
    CHECK_TRUE("  gives the same context", one == two);
    cuda.context_get(&current);
    CHECK_TRUE("  which is not made current", current == NULL);
    cuda.primary_state(0, &flags, &active);
    CHECK("  and is active", active, 1);
    CHECK("destroy the primary context", cuda.context_destroy(one), CUDA_ERROR_INVALID_CONTEXT);
    CHECK("release", cuda.primary_release(0), CUDA_SUCCESS);
    cuda.primary_state(0, &flags, &active);
    CHECK("  leaves it active", active, 1);
    CHECK("release the last", cuda.primary_release(0), CUDA_SUCCESS);
    cuda.primary_state(0, &flags, &active);
    CHECK("  ends it", active, 0);
    CHECK("no such device", cuda.primary_retain(&one, 99), CUDA_ERROR_INVALID_DEVICE);
}

static void check_contexts(void)
{
    CUcontext a = NULL, b = NULL, top = NULL;
    CUdevice device = -1;
    unsigned int flags = 0;
    CHECK("create", cuda.context_create(&a, 0, 0), CUDA_SUCCESS);
    cuda.context_get(&top);
    CHECK_TRUE("  makes it current", top == a);
    CHECK("device", cuda.context_device(&device), CUDA_SUCCESS);
    CHECK("  is 0", device, 0);
    CHECK("create another", cuda.context_create(&b, 4, 0), CUDA_SUCCESS);
    CHECK("flags", cuda.context_flags(&flags), CUDA_SUCCESS);
    CHECK("  as created", flags & 7, 4);
    CHECK("pop", cuda.context_pop(&top), CUDA_SUCCESS);
    CHECK_TRUE("  gives the newer", top == b);
    cuda.context_get(&top);
    CHECK_TRUE("  and leaves the older current", top == a);
    CHECK("push", cuda.context_push(b), CUDA_SUCCESS);
    CHECK("set", cuda.context_set(a), CUDA_SUCCESS);
    cuda.context_pop(&top);
    CHECK_TRUE("  replaces the top", top == a);
    cuda.context_get(&top);
    CHECK_TRUE("  only", top == a);
    CHECK("destroy one that is not current", cuda.context_destroy(b), CUDA_SUCCESS);
    CHECK("destroy the current one", cuda.context_destroy(a), CUDA_SUCCESS);
    cuda.context_get(&top);
    CHECK_TRUE("  pops it", top == NULL);
    CHECK("flags that exclude each other", cuda.context_create(&a, 3, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK("no output", cuda.context_create(NULL, 0, 0), CUDA_ERROR_INVALID_VALUE);
}

/* A context that ends takes its memory along. */
static void check_context_memory(void)
{
    CUcontext outer, inner;
    CUdeviceptr address;
    cuda.context_create(&outer, 0, 0);
    size_t before = cuda_free_bytes();
    cuda.context_create(&inner, 0, 0);
    CHECK("alloc", cuda.alloc(&address, 64 << 20), CUDA_SUCCESS);
    size_t during = cuda_free_bytes();
    CHECK_TRUE("  takes memory", before - during >= 64u << 20);
    cuda.context_destroy(inner);
    check_between("  which comes back with the context", (long long)cuda_free_bytes(),
                  (long long)before - (32 << 20), (long long)before + (32 << 20));
    CHECK("free after the context", cuda.free(address), CUDA_ERROR_INVALID_VALUE);
    cuda.context_destroy(outer);
}

static void check_reset(void)
{
    CUcontext context;
    CUdeviceptr address;
    unsigned int flags;
    int active = -1;
    cuda.primary_retain(&context, 0);
    cuda.context_set(context);
    cuda.alloc(&address, 16 << 20);
    CHECK("reset", cuda.primary_reset(0), CUDA_SUCCESS);
    cuda.primary_state(0, &flags, &active);
    CHECK("  leaves it inactive", active, 0);
    CHECK_TRUE("  and unusable", cuda.alloc(&address, 1 << 20) != CUDA_SUCCESS);
    CHECK("retain after reset", cuda.primary_retain(&context, 0), CUDA_SUCCESS);
    cuda.context_set(context);
    CHECK("  works again", cuda.alloc(&address, 1 << 20), CUDA_SUCCESS);
    cuda.primary_release(0);
    cuda.primary_release(0);
    cuda.context_set(NULL);
}

static void check_limits(void)
{
    CUcontext context;
    size_t value = 0;
    int least = 99, greatest = 99;
    cuda.context_create(&context, 0, 0);
    CHECK("set limit", cuda.context_set_limit(CU_LIMIT_STACK_SIZE, 2048), CUDA_SUCCESS);
    CHECK("get limit", cuda.context_get_limit(&value, CU_LIMIT_STACK_SIZE), CUDA_SUCCESS);
    CHECK_TRUE("  at least what was set", value >= 2048);
    CHECK("no such limit", cuda.context_get_limit(&value, 4711), CUDA_ERROR_UNSUPPORTED_LIMIT);
    CHECK("priorities", cuda.context_priorities(&least, &greatest), CUDA_SUCCESS);
    CHECK_TRUE("  greater is numerically lower", least == 0 && greatest <= 0);
    cuda.context_destroy(context);
}

int main(void)
{
    check_start();
    cuda_load();
    check_before_init();
    check_errors();
    check_device();
    check_no_context();
    check_primary();
    check_contexts();
    check_context_memory();
    check_reset();
    check_limits();
    return check_finish();
}

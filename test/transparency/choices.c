#include "calls.h"

#include <string.h>

#include "simgpu/abi.h"

static const CUmemAllocationProp allocation = {
    .type = 1, .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0 }
};
static const CUmemPoolProps pool = { .allocType = 1,
                                     .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0 } };
static const CUDA_ARRAY_DESCRIPTOR_v1 array_v1 = {
    .Width = 64, .Height = 16, .Format = 1, .NumChannels = 4
};
static const CUDA_ARRAY_DESCRIPTOR array = {
    .Width = 64, .Height = 16, .Format = 1, .NumChannels = 4
};
static const CUDA_ARRAY3D_DESCRIPTOR_v1 array3d_v1 = {
    .Width = 64, .Height = 16, .Depth = 2, .Format = 1, .NumChannels = 4
};
static const CUDA_ARRAY3D_DESCRIPTOR array3d = {
    .Width = 64, .Height = 16, .Depth = 2, .Format = 1, .NumChannels = 4
};

const void *sample_of(const char *type, size_t *out_bytes)
{
#define SAMPLE(name, value)                                                                        \
    if (strcmp(type, "const " name " *") == 0) {                                                   \
        *out_bytes = sizeof value;                                                                 \
        return &value;                                                                             \
    }
    SAMPLE("CUmemAllocationProp", allocation)
    SAMPLE("CUmemPoolProps", pool)
    SAMPLE("CUDA_ARRAY_DESCRIPTOR_v1", array_v1)
    SAMPLE("CUDA_ARRAY_DESCRIPTOR", array)
    SAMPLE("CUDA_ARRAY3D_DESCRIPTOR_v1", array3d_v1)
    SAMPLE("CUDA_ARRAY3D_DESCRIPTOR", array3d)
    return NULL;
}

#define WORD(pointer) ((uint64_t)(uintptr_t)(pointer))

static const uint64_t wild = 0x1234;

static int put(uint64_t *out, const uint64_t *values, size_t bytes)
{
    memcpy(out, values, bytes);
    return (int)(bytes / sizeof *values);
}

#define PUT(...)                                                                                   \
    put(out, (const uint64_t[]){ __VA_ARGS__ }, sizeof((const uint64_t[]){ __VA_ARGS__ }))

static int choose_pointer(const struct parameter *parameter, const struct objects *objects,
                          uint64_t *out)
{
    const char *const type = parameter->type;
    size_t bytes;
    if (strcmp(type, "const char *") == 0)
        return PUT(WORD("cuMemAlloc"), 0, WORD("/no/such/file"), WORD(""));
    if (strcmp(type, "void *") == 0 || strcmp(type, "const void *") == 0)
        return PUT(CHOICE_ZEROED, 0, wild, objects->pinned, objects->live, CHOICE_POISONED);
    if (sample_of(type, &bytes))
        return PUT(CHOICE_SAMPLE, 0, CHOICE_ZEROED, CHOICE_POISONED, wild);
    if (strncmp(type, "const ", 6) == 0)
        return PUT(CHOICE_ZEROED, 0, wild);
    return PUT(CHOICE_POISONED, 0, wild, CHOICE_ZEROED);
}

static int choose_number(const struct parameter *parameter, uint64_t *out)
{
    const char *const name = parameter->name;
    uint64_t usual = 0;
    if (strstr(name, "element"))
        usual = 4;
    else if (strstr(name, "bytes"))
        usual = 4096;
    else if (strstr(name, "width") || strstr(name, "height"))
        usual = 64;
    if (strcmp(parameter->type, "size_t") == 0)
        return PUT(usual, 0, 1, 2 << 20, UINT64_C(1) << 44, UINT64_MAX);
    if (strcmp(parameter->type, "int") == 0 || strncmp(parameter->type, "CU", 2) == 0)
        return PUT(usual, 1, 99, UINT64_MAX);
    return PUT(usual, 1, 2, 4, 7, 2 << 20, UINT32_MAX);
}

int choose(const struct parameter *parameter, const struct objects *objects, uint64_t *out)
{
    const char *const type = parameter->type;
    if (strchr(type, '*'))
        return choose_pointer(parameter, objects, out);
    if (strcmp(type, "CUdeviceptr") == 0)
        return PUT(objects->live, 0, wild, objects->freed, objects->live + 256, UINT64_MAX);
    if (strcmp(type, "CUdeviceptr_v1") == 0)
        return PUT(objects->live_v1, 0, wild, UINT32_MAX);
    if (strcmp(type, "CUcontext") == 0)
        return PUT(objects->context, 0, WORD(&wild));
    if (strcmp(type, "CUstream") == 0)
        return PUT(0, objects->stream, WORD(CU_STREAM_LEGACY), WORD(CU_STREAM_PER_THREAD));
    if (strcmp(type, "CUmemoryPool") == 0)
        return PUT(objects->own_pool, objects->default_pool, 0);
    if (strcmp(type, "CUmemGenericAllocationHandle") == 0)
        return PUT(objects->handle, 0, wild);
    if (strcmp(type, "CUarray") == 0)
        return PUT(objects->array, 0);
    if (strcmp(type, "CUipcMemHandle") == 0)
        return PUT(objects->ipc_handle ? WORD(objects->ipc_handle) : CHOICE_ZEROED, CHOICE_ZEROED,
                   CHOICE_POISONED);
    if (strcmp(type, "CUfunction") == 0 || strncmp(type, "CUgraph", 7) == 0 ||
        strcmp(type, "CUmipmappedArray") == 0 || strcmp(type, "CUexternalMemory") == 0)
        return PUT(0);
    return choose_number(parameter, out);
}

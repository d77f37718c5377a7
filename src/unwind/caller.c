#include "unwind/caller.h"

#include <stddef.h>
#include <string.h>

#include "base/text.h"
#include "os/elf_symbol.h"
#include "os/loader.h"

/* Modules by the beginning of their file name; the first that fits counts. What each does at a
 * failure was read in its source: PyTorch c10/cuda/CUDACachingAllocator.cpp; XLA and TensorFlow
 * tsl/framework/bfc_allocator.cc; ONNX Runtime core/framework/bfc_arena.cc; RMM
 * mr/device/arena_memory_resource.hpp; llama.cpp ggml/src/ggml-cuda/ggml-cuda.cu. */
static const struct {
    const char *prefix;
    enum vg_caller caller;
} modules[] = {
    { "libc10_cuda", VG_CALLER_PYTORCH },
    { "libtorch_cuda", VG_CALLER_PYTORCH }, /* older ones have the allocator in here */
    { "xla_", VG_CALLER_XLA },
    { "libjax", VG_CALLER_XLA },
    { "pjrt_", VG_CALLER_XLA },
    { "libtensorflow", VG_CALLER_ARENA },
    { "_pywrap_tensorflow", VG_CALLER_ARENA },
    { "libonnxruntime", VG_CALLER_ARENA },
    { "onnxruntime", VG_CALLER_ARENA },
    { "librmm", VG_CALLER_ARENA },
    { "libggml", VG_CALLER_ABORTING },
    { "libllama", VG_CALLER_ABORTING },
};

/* The CUDA runtime and driver stand between the caller and us. */
static bool is_between(const char *name)
{
    return strncmp(name, "libcudart", 9) == 0 || strncmp(name, "libcuda.so", 10) == 0 ||
           strncmp(name, "libvramguard", 12) == 0;
}

static enum vg_caller caller_of(const char *name)
{
    for (size_t k = 0; k < sizeof modules / sizeof modules[0]; k++)
        if (strncmp(name, modules[k].prefix, strlen(modules[k].prefix)) == 0)
            return modules[k].caller;
    return VG_CALLER_OTHER;
}

/* Of those who may stand behind a stranger. What libtorch_cuda calls may be an allocator plugged
 * into it. */
static enum vg_caller caller_behind(const char *name)
{
    const enum vg_caller caller = caller_of(name);
    return caller == VG_CALLER_PYTORCH && strncmp(name, "libc10_cuda", 11) != 0 ? VG_CALLER_OTHER
                                                                                : caller;
}

/* Has the library put itself before the runtime or the driver? An allocator plugged into PyTorch,
 * which may fail for good, has not. */
static bool is_interposer(const struct vg_elf_object *object)
{
    static const char *const names[] = { "cudaMalloc", "cudaMallocAsync", "cuMemAlloc_v2",
                                         "cuMemCreate", "cuMemAllocAsync" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (vg_elf_symbol(object, names[i]))
            return true;
    return false;
}

enum vg_caller vg_caller_classify(const uint64_t *frames, uint32_t count)
{
    struct vg_elf_object object;
    uintptr_t stranger = 0; /* where a library that stands between lies */
    for (uint32_t i = 0; i < count; i++) {
        /* A return address may lie behind the end of its function. */
        if (vg_elf_find_address((uintptr_t)(frames[i] - 1), &object) != 0)
            return VG_CALLER_OTHER;
        const char *const name = vg_text_base_name(object.path);
        if (is_between(name) || (stranger && object.start == stranger))
            continue;
        if (stranger)
            return caller_behind(name);
        const enum vg_caller caller = caller_of(name);
        if (caller != VG_CALLER_OTHER || !is_interposer(&object))
            return caller;
        stranger = object.start;
    }
    return VG_CALLER_OTHER;
}

/* Who empties a cache of its own when the driver says no, and asks for the same again; read in
 * their source. Native code by a part of its file's path: Dr.Jit (drjit-core/src/malloc.cpp,
 * jitc_malloc) and CuPy's pool (cupy/cuda/memory.pyx, SingleDeviceMemoryPool). Python code by the
 * end of its file's path and of its function's name: numba (numba/cuda/cudadrv/driver.py,
 * HostOnlyCUDAMemoryManager._attempt_allocation) and tinygrad (tinygrad/device.py,
 * LRUAllocator.alloc). Warp has no cache but the driver's pool, and does not ask again. */
static const struct {
    const char *path, *name;
} native_flushers[] = {
    { "/libdrjit", "Dr.Jit" },
    { "/cupy/cuda/memory.", "CuPy" },
};

static const struct {
    const char *file, *function, *name;
} python_flushers[] = {
    { "/cudadrv/driver.py", "_attempt_allocation", "numba" },
    { "tinygrad/device.py", "LRUAllocator.alloc", "tinygrad" },
    { "tinygrad/device.py", "alloc", "tinygrad" }, /* before 3.11 code has no qualified name */
};

/* Those frames that are looked for, and whose name was found at the innermost of them. */
struct flusher_search {
    const uint64_t *frames;
    uint32_t count;
    const char *name;
};

/* One look at all objects instead of one for each frame: few have such a name. */
static int look_for_flusher(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct flusher_search *const search = argument;
    (void)size;
    for (size_t k = 0; info->dlpi_name && k < sizeof native_flushers / sizeof native_flushers[0];
         k++) {
        if (!strstr(info->dlpi_name, native_flushers[k].path))
            continue;
        for (uint32_t i = 0; i < search->count; i++)
            if (vg_elf_covers(info, (uintptr_t)(search->frames[i] - 1))) {
                search->count = i;
                search->name = native_flushers[k].name;
            }
    }
    return 0;
}

static const char *native_flusher(const uint64_t *frames, uint32_t count)
{
    struct flusher_search search = { .frames = frames, .count = count };
    vg_loader_each_object(look_for_flusher, &search);
    return search.name;
}

static const char *python_flusher(const struct vg_journal_code *code)
{
    const char *const function = vg_journal_code_name(code);
    for (size_t i = 0; i < sizeof python_flushers / sizeof python_flushers[0]; i++) {
        const bool is_plain =
            !strchr(python_flushers[i].function, '.') && python_flushers[i].function[0] != '_';
        if (vg_text_ends_with(code->texts, python_flushers[i].file) &&
            (is_plain ? strcmp(function, python_flushers[i].function) == 0
                      : vg_text_ends_with(function, python_flushers[i].function)))
            return python_flushers[i].name;
    }
    return NULL;
}

const char *vg_caller_flusher(struct vg_recorder *recorder, uint32_t stack_id,
                              const uint64_t *frames, uint32_t count)
{
    const struct vg_journal_stack *const stack = vg_recorder_stack_record(recorder, stack_id);
    const char *name = native_flusher(frames, count);
    if (!stack)
        return name;
    const struct vg_journal_python *const python = vg_journal_stack_python(stack);
    for (uint32_t i = 0; i < stack->python_depth && !name; i++) {
        const struct vg_journal_code *const code =
            vg_recorder_code_record(recorder, python[i].code_id);
        if (code)
            name = python_flusher(code);
    }
    return name;
}

static int add_to_map(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct vg_caller_map *const map = argument;
    (void)size;
    if (!info->dlpi_name || map->count == sizeof map->ranges / sizeof map->ranges[0])
        return 0;
    const char *const name = vg_text_base_name(info->dlpi_name);
    const bool pytorch = caller_of(name) == VG_CALLER_PYTORCH;
    struct vg_elf_object object;
    const bool between =
        !pytorch && name[0] &&
        (is_between(name) || (vg_elf_describe(info, &object) && is_interposer(&object)));
    if (!pytorch && !between)
        return 0;
    uintptr_t start, end;
    vg_elf_span(info, &start, &end);
    map->ranges[map->count].start = start;
    map->ranges[map->count].end = end;
    map->ranges[map->count].between = between;
    map->count++;
    map->pytorch = map->pytorch || pytorch;
    return 0;
}

void vg_caller_map_modules(struct vg_caller_map *out)
{
    *out = (struct vg_caller_map){ .count = 0 };
    vg_loader_each_object(add_to_map, out);
}

bool vg_caller_is_pytorch(const struct vg_caller_map *map, const uint64_t *frames, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = 0;
        while (at < map->count &&
               (frames[i] - 1 < map->ranges[at].start || frames[i] - 1 >= map->ranges[at].end))
            at++;
        if (at == map->count)
            return false;
        if (!map->ranges[at].between)
            return true; /* the others are PyTorch's */
    }
    return false;
}

struct below {
    enum vg_caller caller;
    const uint64_t *frames;
    uint32_t count;
};

/* One look at all objects instead of one for each frame: few have such a name. */
static int look_below(struct dl_phdr_info *info, size_t size, void *argument)
{
    const struct below *const below = argument;
    (void)size;
    if (!info->dlpi_name || caller_of(vg_text_base_name(info->dlpi_name)) != below->caller)
        return 0;
    for (uint32_t i = 0; i < below->count; i++)
        if (vg_elf_covers(info, below->frames[i] - 1))
            return 1;
    return 0;
}

bool vg_caller_is_below(enum vg_caller caller, const uint64_t *frames, uint32_t count)
{
    struct below below = { .caller = caller, .frames = frames, .count = count };
    return vg_loader_each_object(look_below, &below) != 0;
}

/* Ends of the files that hold the loop, and what its function's qualified name begins with: in
 * accelerate 0.13 to 1.15 accelerate/utils/memory.py,
 * find_executable_batch_size.<locals>.decorator; in Lightning 1.5 to 2.5
 * .../tuner/batch_size_scaling.py, _run_power_scaling, _run_binary_scaling. */
static const struct {
    const char *file, *function;
} searches[] = {
    { "accelerate/utils/memory.py", "find_executable_batch_size" },
    { "/tuner/batch_size_scaling.py", "_run_" },
};

static bool is_search(const struct vg_journal_code *code)
{
    for (size_t i = 0; i < sizeof searches / sizeof searches[0]; i++)
        if (vg_text_ends_with(code->texts, searches[i].file) &&
            strncmp(vg_journal_code_name(code), searches[i].function,
                    strlen(searches[i].function)) == 0)
            return true;
    return false;
}

bool vg_caller_searches_batch_size(struct vg_recorder *recorder, uint32_t stack_id)
{
    const struct vg_journal_stack *const stack = vg_recorder_stack_record(recorder, stack_id);
    if (!stack)
        return false;
    const struct vg_journal_python *const frames = vg_journal_stack_python(stack);
    for (uint32_t i = 0; i < stack->python_depth; i++) {
        const struct vg_journal_code *const code =
            vg_recorder_code_record(recorder, frames[i].code_id);
        if (code && is_search(code))
            return true;
    }
    return false;
}

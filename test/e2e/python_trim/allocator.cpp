// A caching allocator that behaves to the driver, to its lock and to the GIL as PyTorch's does
// (c10/cuda/CUDACachingAllocator.cpp): a recursive mutex is held throughout, also around
// cudaMalloc; when that fails the cache is emptied and it is called again. Built as libc10_cuda.so
// for the torch of this folder, and as an extension module of CuPy's, whose pool keeps memory
// likewise.
#include <cstddef>
#include <map>
#include <mutex>

#include <dlfcn.h>

extern "C" {
int cudaMalloc(void **address, size_t bytes);
int cudaFree(void *address);
int cudaGetLastError(void);
int cudaSetDevice(int device);
}

namespace
{

std::recursive_mutex mutex;
std::multimap<size_t, void *> cache;
std::map<void *, size_t> used;

int release_cached()
{
    for (const auto &block : cache)
        if (const int error = cudaFree(block.second))
            return error;
    cache.clear();
    return 0;
}

// As pybind11::gil_scoped_release: its destructor must not throw, so that a thread that Python ends
// in it ends the program.
class NoGil
{
    void *thread_;
    template <typename Function> static Function find(const char *name)
    {
        return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
    }

  public:
    NoGil() : thread_(find<void *(*)()>("PyEval_SaveThread")())
    {
    }
    ~NoGil() noexcept
    {
        find<void (*)(void *)>("PyEval_RestoreThread")(thread_);
    }
};

} // namespace

extern "C" {

// To be called without the GIL.
int cached_malloc(void **address, size_t bytes)
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    const auto block = cache.find(bytes);
    if (block != cache.end()) {
        *address = block->second;
        cache.erase(block);
        used[*address] = bytes;
        return 0;
    }
    int error = cudaMalloc(address, bytes);
    if (error) {
        cudaGetLastError();
        if (release_cached() == 0)
            error = cudaMalloc(address, bytes);
        cudaGetLastError();
    }
    if (!error)
        used[*address] = bytes;
    return error;
}

// An allocator that is plugged in (torch.cuda.memory.CUDAPluggableAllocator), used with the lock
// held.
int plugged_malloc(void **address, size_t bytes, int (*allocate)(void **, size_t))
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    const int error = allocate(address, bytes);
    return error ? error : 0;
}

// One that can be plugged in.
int plain_malloc(void **address, size_t bytes)
{
    const int error = cudaMalloc(address, bytes);
    if (error)
        cudaGetLastError();
    return error;
}

void cached_free(void *address)
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    const auto block = used.find(address);
    cache.emplace(block->second, address);
    used.erase(block);
}

// With the GIL, which it keeps: as older PyTorch did (torch/csrc/cuda/Module.cpp, emptyCache).
int empty_cache_with_gil(void)
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    return release_cached();
}

// With the GIL, which it gives up.
int empty_cache_without_gil(void)
{
    NoGil no_gil;
    std::lock_guard<std::recursive_mutex> lock(mutex);
    return release_cached();
}
}

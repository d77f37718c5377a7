#include "code.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "cudart_errors.h"
#include "registration.h"
#include "runtime.h"

/* One __cudaRegisterFatBinary: code that the driver has not seen until something in it is used. */
struct module {
    const void *image;
    cudaLibrary_t library; /* NULL until loaded */
    struct symbol *symbols;
};

enum symbol_kind { FUNCTION, VARIABLE, MANAGED_VARIABLE, KERNEL_HANDLE, FUNCTION_HANDLE };

/* What a host address stands for. */
struct symbol {
    const void *host; /* the key: host function, host variable or handle */
    enum symbol_kind kind;
    const char *name;      /* on the device; owned by the program */
    struct module *module; /* NULL for handles */
    cudaLibrary_t origin;  /* of a kernel handle: the library it is in */
    cudaKernel_t kernel;
    devptr address; /* of a variable, once it has one */
    size_t bytes;
    struct symbol *next_in_bucket;
    struct symbol *next_in_module;
};

/* Large frameworks register tens of thousands of functions before main. */
enum { BUCKET_BITS = 16, BUCKET_COUNT = 1 << BUCKET_BITS };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards everything below */
static struct symbol *buckets[BUCKET_COUNT];

static struct symbol **bucket_of(const void *host)
{
    uint64_t mixed = (uint64_t)(uintptr_t)host * 0x9e3779b97f4a7c15u;
    return &buckets[mixed >> (64 - BUCKET_BITS)];
}

static struct symbol *find_symbol(const void *host)
{
    struct symbol *symbol = *bucket_of(host);
    while (symbol && symbol->host != host)
        symbol = symbol->next_in_bucket;
    return symbol;
}

/* The newest registration of an address comes first: a library may be loaded where an earlier one
 * was. */
static struct symbol *add_symbol(const struct symbol *values)
{
    struct symbol **bucket = bucket_of(values->host);
    struct symbol *symbol = malloc(sizeof *symbol);
    if (!symbol)
        return NULL;
    *symbol = *values;
    symbol->next_in_bucket = *bucket;
    *bucket = symbol;
    if (symbol->module) {
        symbol->next_in_module = symbol->module->symbols;
        symbol->module->symbols = symbol;
    }
    return symbol;
}

static void take_out(struct symbol *symbol)
{
    struct symbol **link = bucket_of(symbol->host);
    while (*link != symbol)
        link = &(*link)->next_in_bucket;
    *link = symbol->next_in_bucket;
    free(symbol);
}

static cudaError_t load_module(struct module *module)
{
    if (module->library)
        return cudaSuccess;
    return drv.cuLibraryLoadData(&module->library, module->image, NULL, NULL, 0, NULL, NULL, 0);
}

static cudaError_t add_kernel_handle(cudaKernel_t kernel, cudaLibrary_t library)
{
    bool known = find_symbol(kernel) ||
                 add_symbol(&(struct symbol){
                     .host = kernel, .kind = KERNEL_HANDLE, .kernel = kernel, .origin = library });
    return known ? cudaSuccess : cudaErrorMemoryAllocation;
}

static cudaError_t kernel_of_symbol(struct symbol *symbol, cudaKernel_t *kernel)
{
    cudaError_t err = cudaSuccess;
    if (!symbol || (symbol->kind != FUNCTION && symbol->kind != KERNEL_HANDLE))
        return cudaErrorInvalidDeviceFunction;
    if (!symbol->kernel)
        err = load_module(symbol->module);
    if (err == cudaSuccess && !symbol->kernel) {
        cudaLibrary_t library = symbol->module->library;
        err = drv.cuLibraryGetKernel(&symbol->kernel, library, symbol->name);
        if (err == cudaSuccess)
            err = add_kernel_handle(symbol->kernel, library);
    }
    if (err == cudaSuccess)
        *kernel = symbol->kernel;
    return err;
}

cudaError_t rt_kernel_of(const void *func, cudaKernel_t *kernel)
{
    pthread_mutex_lock(&lock);
    cudaError_t err = kernel_of_symbol(find_symbol(func), kernel);
    pthread_mutex_unlock(&lock);
    return err;
}

cudaError_t rt_function_of(const void *func, cudaFunction_t *function)
{
    cudaKernel_t kernel = NULL;
    pthread_mutex_lock(&lock);
    struct symbol *symbol = find_symbol(func);
    bool is_function = symbol && symbol->kind == FUNCTION_HANDLE;
    cudaError_t err = is_function ? cudaSuccess : kernel_of_symbol(symbol, &kernel);
    pthread_mutex_unlock(&lock);
    if (is_function)
        *function = (cudaFunction_t)(uintptr_t)func;
    return err || is_function ? err : drv.cuKernelGetFunction(function, kernel);
}

cudaError_t rt_remember_kernel(cudaKernel_t kernel, cudaLibrary_t library)
{
    pthread_mutex_lock(&lock);
    cudaError_t err = add_kernel_handle(kernel, library);
    pthread_mutex_unlock(&lock);
    return err;
}

cudaError_t rt_remember_function(cudaFunction_t function)
{
    pthread_mutex_lock(&lock);
    bool known = find_symbol(function) ||
                 add_symbol(&(struct symbol){ .host = function, .kind = FUNCTION_HANDLE });
    pthread_mutex_unlock(&lock);
    return known ? cudaSuccess : cudaErrorMemoryAllocation;
}

void rt_forget_library(cudaLibrary_t library)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < BUCKET_COUNT; i++)
        for (struct symbol *symbol = buckets[i], *next; symbol; symbol = next) {
            next = symbol->next_in_bucket;
            if (symbol->kind == KERNEL_HANDLE && symbol->origin == library)
                take_out(symbol);
        }
    pthread_mutex_unlock(&lock);
}

/* Device code says how large its variables are; where the driver cannot tell, because it does not
 * read the code, the variable gets memory of the size that was registered, set to zero. */
static cudaError_t place_variable(struct symbol *symbol)
{
    bool managed = symbol->kind == MANAGED_VARIABLE;
    size_t bytes = 0;
    cudaError_t err = load_module(symbol->module);
    if (err != cudaSuccess)
        return err;
    cudaLibrary_t library = symbol->module->library;
    err = managed ? drv.cuLibraryGetManaged(&symbol->address, &bytes, library, symbol->name)
                  : drv.cuLibraryGetGlobal(&symbol->address, &bytes, library, symbol->name);
    if (err == cudaSuccess && symbol->address && bytes >= symbol->bytes)
        return cudaSuccess;
    symbol->address = 0;
    err = managed ? drv.cuMemAllocManaged(&symbol->address, symbol->bytes, cudaMemAttachGlobal)
                  : drv.cuMemAlloc(&symbol->address, symbol->bytes);
    return err ? err : drv.cuMemsetD8[LEGACY_STREAM](symbol->address, 0, symbol->bytes);
}

cudaError_t rt_variable_of(const void *host, devptr *address, size_t *bytes)
{
    cudaError_t err = cudaSuccess;
    pthread_mutex_lock(&lock);
    struct symbol *symbol = find_symbol(host);
    if (!symbol || (symbol->kind != VARIABLE && symbol->kind != MANAGED_VARIABLE))
        err = cudaErrorInvalidSymbol;
    else if (address && !symbol->address)
        err = place_variable(symbol);
    if (err == cudaSuccess && address)
        *address = symbol->address;
    if (err == cudaSuccess && bytes)
        *bytes = symbol->bytes;
    pthread_mutex_unlock(&lock);
    return err;
}

void rt_lose_variables(void)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < BUCKET_COUNT; i++)
        for (struct symbol *symbol = buckets[i]; symbol; symbol = symbol->next_in_bucket)
            symbol->address = 0;
    pthread_mutex_unlock(&lock);
}

RT_API void **__cudaRegisterFatBinary(void *image)
{
    struct module *module = calloc(1, sizeof *module);
    if (module)
        module->image = image;
    return (void **)(void *)module;
}

RT_API void __cudaRegisterFatBinaryEnd(void **handle)
{
    (void)handle; /* everything is known when it is first used */
}

/* Runs at exit and at dlclose. The driver may be gone by then, which it says itself. */
RT_API void __cudaUnregisterFatBinary(void **handle)
{
    struct module *module = (struct module *)(void *)handle;
    if (!module)
        return;
    pthread_mutex_lock(&lock);
    for (struct symbol *symbol = module->symbols, *next; symbol; symbol = next) {
        next = symbol->next_in_module;
        take_out(symbol);
    }
    pthread_mutex_unlock(&lock);
    if (module->library) {
        rt_forget_library(module->library);
        drv.cuLibraryUnload(module->library);
    }
    free(module);
}

static void register_symbol(void **handle, const struct symbol *values)
{
    struct symbol symbol = *values;
    symbol.module = (struct module *)(void *)handle;
    if (!symbol.module)
        return;
    pthread_mutex_lock(&lock);
    (void)add_symbol(&symbol); /* out of memory shows as an unknown function or symbol later */
    pthread_mutex_unlock(&lock);
}

RT_API void __cudaRegisterFunction(void **handle, const char *host_function, char *device_function,
                                   const char *device_name, int thread_limit,
                                   struct uint3_bits *tid, struct uint3_bits *bid, dim3 *block,
                                   dim3 *grid, int *warp_size)
{
    (void)device_function, (void)thread_limit, (void)tid, (void)bid;
    (void)block, (void)grid, (void)warp_size;
    register_symbol(
        handle, &(struct symbol){ .host = host_function, .kind = FUNCTION, .name = device_name });
}

RT_API void __cudaRegisterVar(void **handle, char *host_variable, char *device_address,
                              const char *device_name, int external, size_t bytes, int constant,
                              int global)
{
    (void)device_address, (void)external, (void)constant, (void)global;
    register_symbol(
        handle, &(struct symbol){
                    .host = host_variable, .kind = VARIABLE, .name = device_name, .bytes = bytes });
}

/* The host reaches a managed variable through a pointer, which is set when its module is
 * initialized. */
RT_API void __cudaRegisterManagedVar(void **handle, void **host_pointer, char *device_address,
                                     const char *device_name, int external, size_t bytes,
                                     int constant, int global)
{
    (void)device_address, (void)external, (void)constant, (void)global;
    register_symbol(handle, &(struct symbol){ .host = host_pointer,
                                              .kind = MANAGED_VARIABLE,
                                              .name = device_name,
                                              .bytes = bytes });
}

/* Called before the host's first use of a managed variable. Returns whether all of them have
 * memory. */
RT_API char __cudaInitModule(void **handle)
{
    struct module *module = (struct module *)(void *)handle;
    cudaError_t err = module ? rt_need_context() : cudaErrorInvalidValue;
    if (err != cudaSuccess)
        return rt_done(err) == cudaSuccess;
    pthread_mutex_lock(&lock);
    for (struct symbol *symbol = module->symbols; symbol; symbol = symbol->next_in_module) {
        if (symbol->kind != MANAGED_VARIABLE || err != cudaSuccess)
            continue;
        if (!symbol->address)
            err = place_variable(symbol);
        if (err == cudaSuccess)
            *(void **)(uintptr_t)symbol->host = rt_pointer(symbol->address);
    }
    pthread_mutex_unlock(&lock);
    return rt_done(err) == cudaSuccess;
}

/* Device code's view of host variables, and tables of functions for it: nothing runs that would
 * look at them. Their parameters are not public and not read. */
RT_API void __cudaRegisterHostVar(void)
{
}

RT_API void __cudaRegisterUnifiedTable(void)
{
}

/* Texture and surface references, which only version 11 has: what would use them is a stub. */
RT_API void __cudaRegisterTexture(void)
{
}

RT_API void __cudaRegisterSurface(void)
{
}

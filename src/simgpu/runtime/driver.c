#include "driver.h"

#include <dlfcn.h>
#include <pthread.h>

#include "cudart_errors.h"

struct driver drv;

static pthread_once_t find_once = PTHREAD_ONCE_INIT;
static pthread_once_t init_once = PTHREAD_ONCE_INIT;
static cudaError_t find_result;
static cudaError_t init_result;
static int driver_version;

typedef void (*any_function)(void);

/* Stands in for a function the driver lacks. It is called through pointers of other types; that is
 * harmless in both calling conventions we build for, since it reads no argument. */
static int missing_function(void)
{
    return cudaErrorCallRequiresNewerDriver;
}

/* `pointer` holds the address of a function; ISO C has no cast between the two kinds of pointer. */
static any_function as_function(void *pointer)
{
    any_function function;
    __builtin_memcpy(&function, &pointer, sizeof function);
    return function;
}

static any_function look_up_function(const char *name, int version, cuuint64_t flags)
{
    void *found = NULL;
    CUdriverProcAddressQueryResult status = 0;
    if (drv.cuGetProcAddress(name, &found, version, flags, &status) != CUDA_SUCCESS || !found)
        return (any_function)missing_function;
    return as_function(found);
}

#define LOOKUP_PLAIN(member, name, version, params)                                                \
    drv.member = (CUresult(*) params)look_up_function(name, version, CU_GET_PROC_ADDRESS_DEFAULT);
#define LOOKUP_STREAM(member, name, version, ptsz_version, params)                                 \
    drv.member[LEGACY_STREAM] =                                                                    \
        (CUresult(*) params)look_up_function(name, version, CU_GET_PROC_ADDRESS_DEFAULT);          \
    drv.member[PER_THREAD_STREAM] = (CUresult(*) params)look_up_function(                          \
        name, ptsz_version, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);

/* The one dlsym, then everything through cuGetProcAddress, itself included: a tool that wraps
 * only what dlsym returns must see every later answer, too. */
static cudaError_t find_functions(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    if (!library)
        return cudaErrorInsufficientDriver;
    any_function first = as_function(dlsym(library, "cuGetProcAddress_v2"));
    if (!first)
        return cudaErrorInsufficientDriver;
    drv.cuGetProcAddress = (__typeof__(drv.cuGetProcAddress))first;
    any_function again = look_up_function("cuGetProcAddress", 12000, CU_GET_PROC_ADDRESS_DEFAULT);
    if (again != (any_function)missing_function)
        drv.cuGetProcAddress = (__typeof__(drv.cuGetProcAddress))again;
    DRIVER_TABLE(LOOKUP_PLAIN, LOOKUP_STREAM)
    return cudaSuccess;
}

static void find_driver(void)
{
    find_result = find_functions();
    if (find_result == cudaSuccess && drv.cuDriverGetVersion(&driver_version) != CUDA_SUCCESS)
        driver_version = 0;
}

static void initialize_driver(void)
{
    int count = 0;
    init_result = drv.cuInit(0);
    if (init_result == cudaSuccess)
        init_result = drv.cuDeviceGetCount(&count);
    if (init_result == cudaSuccess && count == 0)
        init_result = cudaErrorNoDevice;
}

cudaError_t rt_driver_version(int *version)
{
    pthread_once(&find_once, find_driver);
    *version = find_result == cudaSuccess ? driver_version : 0;
    return find_result;
}

cudaError_t rt_driver_load(void)
{
    int version;
    cudaError_t err = rt_driver_version(&version);
    if (err != cudaSuccess)
        return err;
    if (version < CUDART_MAJOR * 1000)
        return cudaErrorInsufficientDriver;
    pthread_once(&init_once, initialize_driver);
    return init_result;
}

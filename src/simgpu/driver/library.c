/* Libraries and kernels ("CUDA Driver API", section "Library Management"). */
#include "library.h"

#include <stdlib.h>
#include <string.h>

#include "function_table.h"
#include "image.h"
#include "module.h"
#include "object.h"
#include "state.h"

struct library {
    CUlibrary handle;
    struct image *image;
    struct function *kernels;
    CUmodule modules[MAX_DEVICES]; /* of the context that asked last, by device */
};

struct image *library_image(const struct library *library)
{
    return library->image;
}

static CUresult load_library(CUlibrary *handle, const void *code, const char *path)
{
    if (handle == NULL || (code == NULL && path == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    struct library *library = calloc(1, sizeof(*library));
    if (library == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result =
        code != NULL ? image_copy(code, &library->image) : image_read(path, &library->image);
    if (result != CUDA_SUCCESS) {
        free(library);
        return result;
    }
    sim_lock_all();
    library->handle = (CUlibrary)(uintptr_t)object_add(OBJECT_LIBRARY, library, NULL);
    sim_unlock_all();
    if (library->handle == NULL) {
        image_free(library->image);
        free(library);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *handle = library->handle;
    return CUDA_SUCCESS;
}

CUresult sim_cuLibraryLoadData(CUlibrary *handle, const void *code, CUjit_option *jit_options,
                               void **jit_values, unsigned int jit_count, CUlibraryOption *options,
                               void **values, unsigned int count)
{
    if ((jit_count > 0 && (jit_options == NULL || jit_values == NULL)) ||
        (count > 0 && (options == NULL || values == NULL)))
        return CUDA_ERROR_INVALID_VALUE;
    return load_library(handle, code, NULL);
}

CUresult sim_cuLibraryLoadFromFile(CUlibrary *handle, const char *path, CUjit_option *jit_options,
                                   void **jit_values, unsigned int jit_count,
                                   CUlibraryOption *options, void **values, unsigned int count)
{
    if ((jit_count > 0 && (jit_options == NULL || jit_values == NULL)) ||
        (count > 0 && (options == NULL || values == NULL)))
        return CUDA_ERROR_INVALID_VALUE;
    return load_library(handle, NULL, path);
}

CUresult sim_cuLibraryUnload(CUlibrary handle)
{
    sim_lock_all();
    struct library *library = OBJECT(OBJECT_LIBRARY, handle);
    if (library == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    for (int i = 0; i < MAX_DEVICES; i++) {
        struct module *module = OBJECT(OBJECT_MODULE, library->modules[i]);
        if (module != NULL)
            module_end(module);
    }
    while (library->kernels != NULL) {
        struct function *kernel = library->kernels;
        library->kernels = kernel->next;
        function_end(kernel);
    }
    object_remove((uint64_t)(uintptr_t)handle);
    image_free(library->image);
    free(library);
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuLibraryGetKernel(CUkernel *handle, CUlibrary library_handle, const char *name)
{
    if (handle == NULL || name == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct library *library = OBJECT(OBJECT_LIBRARY, library_handle);
    if (library == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    struct function *kernel = library->kernels;
    while (kernel != NULL && strcmp(kernel->name, name) != 0)
        kernel = kernel->next;
    if (kernel == NULL) {
        if (!image_has(library->image, name))
            return sim_unlock_with(CUDA_ERROR_NOT_FOUND);
        kernel = function_create(OBJECT_KERNEL, name);
        if (kernel == NULL)
            return sim_unlock_with(CUDA_ERROR_OUT_OF_MEMORY);
        kernel->library = library;
        kernel->next = library->kernels;
        library->kernels = kernel;
    }
    *handle = (CUkernel)(uintptr_t)kernel->handle;
    return sim_unlock_with(CUDA_SUCCESS);
}

/* The library's module in the current context. Called with sim_lock held. */
static CUresult get_module(struct library *library, CUmodule *handle)
{
    struct context *context;
    CUresult result = context_current(&context);
    if (result != CUDA_SUCCESS)
        return result;
    CUmodule *known = &library->modules[context->ordinal];
    const struct module *module = OBJECT(OBJECT_MODULE, *known);
    if (module == NULL || module->context != context)
        result = module_of_library(library, context, known);
    if (result == CUDA_SUCCESS)
        *handle = *known;
    return result;
}

CUresult sim_cuLibraryGetModule(CUmodule *handle, CUlibrary library_handle)
{
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct library *library = OBJECT(OBJECT_LIBRARY, library_handle);
    return sim_unlock_with(library != NULL ? get_module(library, handle)
                                           : CUDA_ERROR_INVALID_HANDLE);
}

CUresult sim_cuKernelGetFunction(CUfunction *handle, CUkernel kernel_handle)
{
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct function *kernel = OBJECT(OBJECT_KERNEL, kernel_handle);
    CUmodule module;
    CUresult result =
        kernel != NULL ? get_module(kernel->library, &module) : CUDA_ERROR_INVALID_HANDLE;
    if (result == CUDA_SUCCESS)
        result = module_function(OBJECT(OBJECT_MODULE, module), kernel->name, handle);
    return sim_unlock_with(result);
}

CUresult sim_cuKernelGetLibrary(CUlibrary *handle, CUkernel kernel_handle)
{
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct function *kernel = OBJECT(OBJECT_KERNEL, kernel_handle);
    if (kernel != NULL)
        *handle = kernel->library->handle;
    return sim_unlock_with(kernel != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

CUresult sim_cuKernelGetName(const char **name, CUkernel handle)
{
    return sim_cuFuncGetName(name, (CUfunction)(uintptr_t)handle);
}

static CUresult check_device(CUdevice device)
{
    return device >= 0 && device < sim_device_count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

/* A kernel's attributes are kept once for all devices. */
CUresult sim_cuKernelGetAttribute(int *value, CUfunction_attribute attribute, CUkernel handle,
                                  CUdevice device)
{
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    return sim_cuFuncGetAttribute(value, attribute, (CUfunction)(uintptr_t)handle);
}

CUresult sim_cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel handle,
                                  CUdevice device)
{
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    return sim_cuFuncSetAttribute((CUfunction)(uintptr_t)handle, attribute, value);
}

CUresult sim_cuKernelSetCacheConfig(CUkernel handle, CUfunc_cache config, CUdevice device)
{
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    return sim_cuFuncSetCacheConfig((CUfunction)(uintptr_t)handle, config);
}

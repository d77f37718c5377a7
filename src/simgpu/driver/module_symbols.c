/* Variables of modules and lists of kernels ("CUDA Driver API", sections "Module Management" and
 * "Library Management"). A variable is memory like any other; no initialiser is applied. */
#include <stdlib.h>
#include <string.h>

#include "function_table.h"
#include "image.h"
#include "library.h"
#include "memory.h"
#include "module.h"
#include "state.h"

static CUresult make_variable(struct module *module, const char *name, struct variable **out)
{
    size_t bytes;
    if (image_variable(module->image, name, &bytes) != 0)
        return CUDA_ERROR_NOT_FOUND;
    struct variable *variable = calloc(1, sizeof(*variable));
    if (variable != NULL)
        variable->name = strdup(name);
    if (variable == NULL || variable->name == NULL ||
        memory_take(module->context, bytes, &variable->address) != CUDA_SUCCESS) {
        if (variable != NULL)
            free(variable->name);
        free(variable);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    memset((void *)(uintptr_t)variable->address, 0, bytes);
    variable->bytes = bytes;
    variable->next = module->variables;
    module->variables = variable;
    *out = variable;
    return CUDA_SUCCESS;
}

CUresult module_variable(struct module *module, const char *name, CUdeviceptr *address,
                         size_t *bytes)
{
    struct variable *variable = module->variables;
    while (variable != NULL && strcmp(variable->name, name) != 0)
        variable = variable->next;
    CUresult result = CUDA_SUCCESS;
    if (variable == NULL)
        result = make_variable(module, name, &variable);
    if (result != CUDA_SUCCESS)
        return result;
    if (address != NULL)
        *address = variable->address;
    if (bytes != NULL)
        *bytes = variable->bytes;
    return CUDA_SUCCESS;
}

CUresult sim_cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, CUmodule handle,
                                  const char *name)
{
    if (name == NULL || (address == NULL && bytes == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct module *module = OBJECT(OBJECT_MODULE, handle);
    return sim_unlock_with(module != NULL ? module_variable(module, name, address, bytes)
                                          : CUDA_ERROR_INVALID_HANDLE);
}

CUresult sim_cuLibraryGetGlobal(CUdeviceptr *address, size_t *bytes, CUlibrary library,
                                const char *name)
{
    CUmodule module;
    CUresult result = sim_cuLibraryGetModule(&module, library);
    return result == CUDA_SUCCESS ? sim_cuModuleGetGlobal_v2(address, bytes, module, name) : result;
}

CUresult module_count_kernels(const struct image *image, unsigned int *count)
{
    if (image_is_opaque(image))
        return CUDA_ERROR_NOT_SUPPORTED;
    unsigned int found = 0;
    for (char *name; (name = image_kernel(image, found)) != NULL; found++)
        free(name);
    *count = found;
    return CUDA_SUCCESS;
}

CUresult sim_cuModuleGetFunctionCount(unsigned int *count, CUmodule handle)
{
    if (count == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct module *module = OBJECT(OBJECT_MODULE, handle);
    return sim_unlock_with(module != NULL ? module_count_kernels(module->image, count)
                                          : CUDA_ERROR_INVALID_HANDLE);
}

CUresult sim_cuModuleEnumerateFunctions(CUfunction *functions, unsigned int count, CUmodule handle)
{
    unsigned int available;
    CUresult result = functions != NULL && count > 0
                          ? sim_cuModuleGetFunctionCount(&available, handle)
                          : CUDA_ERROR_INVALID_VALUE;
    for (unsigned int i = 0; result == CUDA_SUCCESS && i < count && i < available; i++) {
        sim_lock_all();
        struct module *module = OBJECT(OBJECT_MODULE, handle);
        char *name = image_kernel(module->image, i);
        result =
            name != NULL ? module_function(module, name, &functions[i]) : CUDA_ERROR_OUT_OF_MEMORY;
        sim_unlock_all();
        free(name);
    }
    return result;
}

CUresult sim_cuLibraryGetKernelCount(unsigned int *count, CUlibrary handle)
{
    if (count == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct library *library = OBJECT(OBJECT_LIBRARY, handle);
    return sim_unlock_with(library != NULL ? module_count_kernels(library_image(library), count)
                                           : CUDA_ERROR_INVALID_HANDLE);
}

CUresult sim_cuLibraryEnumerateKernels(CUkernel *kernels, unsigned int count, CUlibrary handle)
{
    unsigned int available;
    CUresult result = kernels != NULL && count > 0 ? sim_cuLibraryGetKernelCount(&available, handle)
                                                   : CUDA_ERROR_INVALID_VALUE;
    for (unsigned int i = 0; result == CUDA_SUCCESS && i < count && i < available; i++) {
        sim_lock_all();
        const struct library *library = OBJECT(OBJECT_LIBRARY, handle);
        char *name = image_kernel(library_image(library), i);
        sim_unlock_all();
        result = name != NULL ? sim_cuLibraryGetKernel(&kernels[i], handle, name)
                              : CUDA_ERROR_OUT_OF_MEMORY;
        free(name);
    }
    return result;
}

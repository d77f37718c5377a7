/* Modules and functions ("CUDA Driver API", sections "Module Management" and "Execution Control").
 */
#include "module.h"

#include <stdlib.h>
#include <string.h>

#include "device_attributes.h"
#include "function_table.h"
#include "image.h"
#include "library.h"
#include "memory.h"
#include "object.h"
#include "state.h"

#define LAZY_LOADING             2
#define FUNCTION_LOADED          1
#define MAX_FUNC_CACHE           3
#define MAX_SHARED_CONFIG        2
#define ATTRIBUTE_THREADS        0
#define ATTRIBUTE_REGISTERS      4
#define ATTRIBUTE_PTX_VERSION    5
#define ATTRIBUTE_BINARY_VERSION 6
#define ATTRIBUTE_DYNAMIC_SHARED 8

static CUresult module_add(struct context *context, struct image *image, CUmodule *handle)
{
    struct module *module = calloc(1, sizeof(*module));
    if (module != NULL)
        module->handle = (CUmodule)(uintptr_t)object_add(OBJECT_MODULE, module, context);
    if (module == NULL || module->handle == NULL) {
        free(module);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    module->context = context;
    module->image = image;
    *handle = module->handle;
    return CUDA_SUCCESS;
}

CUresult module_of_library(struct library *library, struct context *context, CUmodule *handle)
{
    CUresult result = module_add(context, library_image(library), handle);
    if (result == CUDA_SUCCESS)
        ((struct module *)OBJECT(OBJECT_MODULE, *handle))->library = library;
    return result;
}

void function_end(struct function *function)
{
    object_remove(function->handle);
    free(function->name);
    free(function);
}

void module_end(struct module *module)
{
    while (module->functions != NULL) {
        struct function *function = module->functions;
        module->functions = function->next;
        function_end(function);
    }
    while (module->variables != NULL) {
        struct variable *variable = module->variables;
        module->variables = variable->next;
        memory_give(variable->address);
        free(variable->name);
        free(variable);
    }
    object_remove((uint64_t)(uintptr_t)module->handle);
    if (module->library == NULL)
        image_free(module->image);
    free(module);
}

struct function *function_create(enum object_kind kind, const char *name)
{
    struct function *function = calloc(1, sizeof(*function));
    if (function == NULL)
        return NULL;
    function->name = strdup(name);
    function->handle = function->name != NULL ? object_add(kind, function, NULL) : 0;
    if (function->handle == 0) {
        free(function->name);
        free(function);
        return NULL;
    }
    function->attributes[ATTRIBUTE_THREADS] = MAX_THREADS_PER_BLOCK;
    function->attributes[ATTRIBUTE_REGISTERS] = 32;
    function->attributes[ATTRIBUTE_PTX_VERSION] = 80;
    function->attributes[ATTRIBUTE_BINARY_VERSION] = 80;
    function->attributes[ATTRIBUTE_DYNAMIC_SHARED] = MAX_SHARED_PER_BLOCK;
    return function;
}

struct function *function_get(CUfunction handle)
{
    struct function *function = OBJECT(OBJECT_FUNCTION, handle);
    return function != NULL ? function : OBJECT(OBJECT_KERNEL, handle);
}

static CUresult load_module(CUmodule *handle, const void *code, const char *path)
{
    if (handle == NULL || (code == NULL && path == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    struct image *image;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        result = code != NULL ? image_copy(code, &image) : image_read(path, &image);
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    result = module_add(context, image, handle);
    if (result != CUDA_SUCCESS)
        image_free(image);
    return sim_unlock_with(result);
}

CUresult sim_cuModuleLoad(CUmodule *handle, const char *path)
{
    return load_module(handle, NULL, path);
}

CUresult sim_cuModuleLoadData(CUmodule *handle, const void *code)
{
    return load_module(handle, code, NULL);
}

/* Options steer a compiler that is not there. */
CUresult sim_cuModuleLoadDataEx(CUmodule *handle, const void *code, unsigned int option_count,
                                CUjit_option *options, void **values)
{
    if (option_count > 0 && (options == NULL || values == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    return load_module(handle, code, NULL);
}

CUresult sim_cuModuleLoadFatBinary(CUmodule *handle, const void *code)
{
    return load_module(handle, code, NULL);
}

CUresult sim_cuModuleUnload(CUmodule handle)
{
    sim_lock_all();
    struct module *module = OBJECT(OBJECT_MODULE, handle);
    if (module == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    if (module->library != NULL)
        return sim_unlock_with(CUDA_ERROR_NOT_PERMITTED);
    module_end(module);
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult module_function(struct module *module, const char *name, CUfunction *handle)
{
    struct function *function = module->functions;
    while (function != NULL && strcmp(function->name, name) != 0)
        function = function->next;
    if (function == NULL) {
        if (!image_has(module->image, name))
            return CUDA_ERROR_NOT_FOUND;
        function = function_create(OBJECT_FUNCTION, name);
        if (function == NULL)
            return CUDA_ERROR_OUT_OF_MEMORY;
        function->module = module;
        function->next = module->functions;
        module->functions = function;
    }
    *handle = (CUfunction)(uintptr_t)function->handle;
    return CUDA_SUCCESS;
}

CUresult sim_cuModuleGetFunction(CUfunction *handle, CUmodule module_handle, const char *name)
{
    if (handle == NULL || name == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct module *module = OBJECT(OBJECT_MODULE, module_handle);
    return sim_unlock_with(module != NULL ? module_function(module, name, handle)
                                          : CUDA_ERROR_INVALID_HANDLE);
}

CUresult sim_cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
    if (mode == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *mode = LAZY_LOADING;
    return CUDA_SUCCESS;
}

CUresult sim_cuFuncGetModule(CUmodule *module, CUfunction handle)
{
    if (module == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct function *function = OBJECT(OBJECT_FUNCTION, handle);
    if (function != NULL)
        *module = function->module->handle;
    return sim_unlock_with(function != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

/* Documented: the name lives as long as the module. */
CUresult sim_cuFuncGetName(const char **name, CUfunction handle)
{
    if (name == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct function *function = function_get(handle);
    if (function != NULL)
        *name = function->name;
    return sim_unlock_with(function != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

CUresult sim_cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction handle)
{
    if (value == NULL || attribute < 0 || attribute >= FUNCTION_ATTRIBUTE_COUNT)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct function *function = function_get(handle);
    if (function != NULL)
        *value = function->attributes[attribute];
    return sim_unlock_with(function != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

/* Documented: the attributes up to the cache mode are the compiler's. */
CUresult sim_cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value)
{
    if (attribute < ATTRIBUTE_DYNAMIC_SHARED || attribute >= FUNCTION_ATTRIBUTE_COUNT)
        return CUDA_ERROR_INVALID_VALUE;
    if (attribute == ATTRIBUTE_DYNAMIC_SHARED && (value < 0 || value > MAX_SHARED_PER_BLOCK_OPT_IN))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct function *function = function_get(handle);
    if (function != NULL)
        function->attributes[attribute] = value;
    return sim_unlock_with(function != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

static CUresult check_function(CUfunction handle)
{
    sim_lock_all();
    bool known = function_get(handle) != NULL;
    return sim_unlock_with(known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

CUresult sim_cuFuncSetCacheConfig(CUfunction handle, CUfunc_cache config)
{
    return config >= 0 && config <= MAX_FUNC_CACHE ? check_function(handle)
                                                   : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuFuncSetSharedMemConfig(CUfunction handle, CUsharedconfig config)
{
    return config >= 0 && config <= MAX_SHARED_CONFIG ? check_function(handle)
                                                      : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction handle)
{
    CUresult result = state != NULL ? check_function(handle) : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *state = FUNCTION_LOADED;
    return result;
}

CUresult sim_cuFuncLoad(CUfunction handle)
{
    return check_function(handle);
}

/* Modules and functions. Nothing in them ever runs. */
#ifndef SIMGPU_MODULE_H
#define SIMGPU_MODULE_H

#include "../abi.h"
#include "context.h"
#include "object.h"

#define FUNCTION_ATTRIBUTE_COUNT 16

struct image;
struct library;
struct function;

/* A variable that someone asked for: device memory of the module's context. */
struct variable {
    struct variable *next; /* of the same module */
    char *name;
    CUdeviceptr address;
    size_t bytes;
};

struct module {
    CUmodule handle;
    struct context *context;
    struct image *image;
    struct library *library; /* not NULL: the module is this library's, and so is the image */
    struct function *functions;
    struct variable *variables;
};

/* Also serves as a kernel, which is a library's function before it has a context. */
struct function {
    uint64_t handle;
    char *name;
    struct module *module;   /* of a function */
    struct library *library; /* of a kernel */
    int attributes[FUNCTION_ATTRIBUTE_COUNT];
    struct function *next; /* of the same module or library */
};

/* All functions here: called with sim_lock held. */

/* Makes a function or kernel object with a handle; NULL: out of host memory. */
struct function *function_create(enum object_kind kind, const char *name);
void function_end(struct function *function);

/* The function behind a CUfunction, which may also be a CUkernel, or NULL. */
struct function *function_get(CUfunction handle);

/* Makes the library's module of a context. */
CUresult module_of_library(struct library *library, struct context *context, CUmodule *handle);
void module_end(struct module *module);

/* The module's function of that name, made on first use. CUDA_ERROR_NOT_FOUND if it has none. */
CUresult module_function(struct module *module, const char *name, CUfunction *handle);

/* The module's variable of that name, zeroed and given memory on first use; either output may be
 * NULL.
 */
CUresult module_variable(struct module *module, const char *name, CUdeviceptr *address,
                         size_t *bytes);

/* How many kernels the code has. CUDA_ERROR_NOT_SUPPORTED for a fat binary, which is not looked
 * into. */
CUresult module_count_kernels(const struct image *image, unsigned int *count);

#endif

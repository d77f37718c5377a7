/* The just-in-time linker ("CUDA Driver API", section "Module Management"). Linking joins the
 * inputs, so that the module made of the output has the functions of all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "function_table.h"
#include "image.h"
#include "object.h"
#include "state.h"

struct link {
    CUlinkState handle;
    char *inputs;
    size_t bytes;
    void *output; /* documented: the driver's, until cuLinkDestroy */
};

CUresult sim_cuLinkCreate_v2(unsigned int option_count, CUjit_option *options, void **values,
                             CUlinkState *handle)
{
    if (handle == NULL || (option_count > 0 && (options == NULL || values == NULL)))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    struct link *link = calloc(1, sizeof(*link));
    if (link != NULL)
        link->handle = (CUlinkState)(uintptr_t)object_add(OBJECT_LINK, link, NULL);
    if (link == NULL || link->handle == NULL) {
        free(link);
        return sim_unlock_with(CUDA_ERROR_OUT_OF_MEMORY);
    }
    *handle = link->handle;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuLinkCreate(unsigned int option_count, CUjit_option *options, void **values,
                          CUlinkState *handle)
{
    return sim_cuLinkCreate_v2(option_count, options, values, handle);
}

/* Appends an input and a zero byte, so that names at its edges stay whole words. */
static CUresult append_input(struct link *link, const void *data, size_t bytes)
{
    char *inputs = realloc(link->inputs, link->bytes + bytes + 1);
    if (inputs == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(inputs + link->bytes, data, bytes);
    inputs[link->bytes + bytes] = '\0';
    link->inputs = inputs;
    link->bytes += bytes + 1;
    return CUDA_SUCCESS;
}

CUresult sim_cuLinkAddData_v2(CUlinkState handle, CUjitInputType type, void *data, size_t bytes,
                              const char *name, unsigned int option_count, CUjit_option *options,
                              void **values)
{
    (void)type;
    (void)name;
    if (data == NULL || (option_count > 0 && (options == NULL || values == NULL)))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct link *link = OBJECT(OBJECT_LINK, handle);
    return sim_unlock_with(link != NULL ? append_input(link, data, bytes)
                                        : CUDA_ERROR_INVALID_HANDLE);
}

CUresult sim_cuLinkAddData(CUlinkState handle, CUjitInputType type, void *data, size_t bytes,
                           const char *name, unsigned int option_count, CUjit_option *options,
                           void **values)
{
    return sim_cuLinkAddData_v2(handle, type, data, bytes, name, option_count, options, values);
}

CUresult sim_cuLinkAddFile_v2(CUlinkState handle, CUjitInputType type, const char *path,
                              unsigned int option_count, CUjit_option *options, void **values)
{
    if (path == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return CUDA_ERROR_FILE_NOT_FOUND;
    char *text = NULL;
    size_t room = 0;
    ssize_t bytes = getdelim(&text, &room, EOF, file);
    CUresult result = CUDA_ERROR_OPERATING_SYSTEM;
    if (bytes >= 0)
        result = sim_cuLinkAddData_v2(handle, type, text, (size_t)bytes, path, option_count,
                                      options, values);
    free(text);
    fclose(file);
    return result;
}

CUresult sim_cuLinkAddFile(CUlinkState handle, CUjitInputType type, const char *path,
                           unsigned int option_count, CUjit_option *options, void **values)
{
    return sim_cuLinkAddFile_v2(handle, type, path, option_count, options, values);
}

CUresult sim_cuLinkComplete(CUlinkState handle, void **output, size_t *bytes)
{
    if (output == NULL || bytes == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct link *link = OBJECT(OBJECT_LINK, handle);
    if (link == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    if (link->bytes == 0)
        return sim_unlock_with(CUDA_ERROR_INVALID_IMAGE);
    size_t output_bytes;
    void *made = image_link(link->inputs, link->bytes, &output_bytes);
    if (made == NULL)
        return sim_unlock_with(CUDA_ERROR_OUT_OF_MEMORY);
    free(link->output);
    link->output = made;
    *output = made;
    *bytes = output_bytes;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuLinkDestroy(CUlinkState handle)
{
    sim_lock_all();
    struct link *link = OBJECT(OBJECT_LINK, handle);
    if (link == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    object_remove((uint64_t)(uintptr_t)handle);
    free(link->inputs);
    free(link->output);
    free(link);
    return sim_unlock_with(CUDA_SUCCESS);
}

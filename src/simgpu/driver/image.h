/* The code in a module. It never runs; it is only asked which functions it has. */
#ifndef SIMGPU_IMAGE_H
#define SIMGPU_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "../abi.h"

struct image;

/* Copies PTX text, a cubin (ELF), a fat binary or the output of cuLinkComplete. Returns
 * CUDA_SUCCESS, CUDA_ERROR_INVALID_IMAGE or CUDA_ERROR_OUT_OF_MEMORY. The caller frees it with
 * image_free. */
CUresult image_copy(const void *code, struct image **image);

/* The same from a file; also CUDA_ERROR_FILE_NOT_FOUND. */
CUresult image_read(const char *path, struct image **image);

void image_free(struct image *image);

/* Whether the code defines `name`. A fat binary may be compressed, so it is believed to have every
 * name. */
bool image_has(const struct image *image, const char *name);

/* The code that is kept: none of a fat binary. */
const char *image_code(const struct image *image, size_t *bytes);
bool image_is_opaque(const struct image *image);

/* The size of a variable that the code declares. Returns 0 or -ENOENT. */
int image_variable(const struct image *image, const char *name, size_t *bytes);

/* The name of the kernel with that index, for the caller to free; NULL if there are fewer. */
char *image_kernel(const struct image *image, size_t index);

/* Makes what cuLinkComplete gives out from joined inputs; the caller frees it. NULL: out of memory.
 */
void *image_link(const void *inputs, size_t bytes, size_t *image_bytes);

#endif

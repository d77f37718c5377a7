/* Sorting without memory of its own: glibc's qsort calls malloc for larger arrays. */
#ifndef VRAMGUARD_BASE_SORT_H
#define VRAMGUARD_BASE_SORT_H

#include <stddef.h>

/* Sorts `count` elements of `size_bytes` at `base` so that `compare` is <= 0 for neighbours. Equal
 * elements may change their order. Takes n log n steps whatever the input. */
void vg_sort(void *base, size_t count, size_t size_bytes,
             int (*compare)(const void *a, const void *b));

#endif

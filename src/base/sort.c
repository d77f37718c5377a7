#include "base/sort.h"

static void swap_elements(char *a, char *b, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++) {
        const char kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

/* Lets the element at `at` sink to its place in the heap of the first `count`. */
static void sift_down(char *base, size_t at, size_t count, size_t size_bytes,
                      int (*compare)(const void *, const void *))
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count &&
            compare(base + child * size_bytes, base + (child + 1) * size_bytes) < 0)
            child++;
        if (compare(base + at * size_bytes, base + child * size_bytes) >= 0)
            return;
        swap_elements(base + at * size_bytes, base + child * size_bytes, size_bytes);
    }
}

void vg_sort(void *base, size_t count, size_t size_bytes,
             int (*compare)(const void *a, const void *b))
{
    char *const elements = base;
    for (size_t i = count / 2; i-- > 0;)
        sift_down(elements, i, count, size_bytes, compare);
    for (size_t end = count; end > 1; end--) {
        swap_elements(elements, elements + (end - 1) * size_bytes, size_bytes);
        sift_down(elements, 0, end - 1, size_bytes, compare);
    }
}

/* Marks in a program in C, or C++: run by test_marks.py. Prints what each returned. */
#include "vramguard.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif
int cuInit(unsigned flags);
int cuDevicePrimaryCtxRetain(void **context, int device);
int cuCtxSetCurrent(void *context);
int cuMemAlloc_v2(unsigned long long *address, size_t bytes);
int cuMemFree_v2(unsigned long long address);
#ifdef __cplusplus
}
#endif

int main(void)
{
    void *context;
    unsigned long long address;
    if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context))
        return 70;
    printf("%d ", vramguard_mark("start"));
    if (cuMemAlloc_v2(&address, 100 << 20))
        return 70;
    printf("%d ", vramguard_mark("loaded"));
    if (cuMemFree_v2(address))
        return 70;
    printf("%d %d\n", vramguard_mark("freed"), vramguard_mark(NULL));
    return 0;
}

/* A library that looks names up: preloaded, or opened by the program. With OWN_FREE it also has a
 * function that the driver has, as another library may by chance. */
#include "lookups.h"

#define JOIN_(a, b)  a##b
#define JOIN(a, b)   JOIN_(a, b)
#define TEXT_(x)     #x
#define TEXT(x)      TEXT_(x)
#define LOOK_FROM_ME JOIN(look_from_, ME)

__attribute__((visibility("default"))) void LOOK_FROM_ME(void *driver, void *other);

void LOOK_FROM_ME(void *driver, void *other)
{
    look_everywhere(TEXT(ME), driver, other);
}

#ifdef OWN_FREE
__attribute__((visibility("default"))) int cuMemFree_v2(unsigned long long address);
int cuMemFree_v2(unsigned long long address)
{
    return address == 42 ? 4242 : 0;
}
#endif

#ifdef LINKED
/* Makes the driver one of this library's dependencies. */
int cuDriverGetVersion(int *version);
__attribute__((visibility("default"))) int (*const linked_function)(int *) = cuDriverGetVersion;
#endif

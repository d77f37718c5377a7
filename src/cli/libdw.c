#define VG_LIBDW_PLAIN_NAMES
#include "cli/libdw.h"

#include <dlfcn.h>
#include <string.h>

struct vg_libdw vg_libdw;

static bool bind_all(void *library)
{
    void *address;
#define BIND(name)                                                                                 \
    address = dlsym(library, #name);                                                               \
    if (!address)                                                                                  \
        return false;                                                                              \
    memcpy(&vg_libdw.name, &address, sizeof address); /* ISO C has no cast for it */
    VG_LIBDW_FUNCTIONS(BIND)
#undef BIND
    return true;
}

bool vg_libdw_open(void)
{
    static bool tried, found;
    if (!tried) {
        void *const library = dlopen("libdw.so.1", RTLD_LAZY | RTLD_LOCAL);
        tried = true;
        found = library && bind_all(library);
    }
    return found;
}

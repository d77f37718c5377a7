#include "os/loader.h"

#include "base/every_process.h"
#include "os/fork_gate.h"

VG_EVERY_PROCESS int vg_loader_each_object(int (*visit)(struct dl_phdr_info *info, size_t size,
                                                        void *argument),
                                           void *argument)
{
    vg_fork_gate_enter();
    const int result = dl_iterate_phdr(visit, argument);
    vg_fork_gate_leave();
    return result;
}

void *vg_loader_open(const char *path, int flags)
{
    vg_fork_gate_enter();
    void *const library = dlopen(path, flags);
    vg_fork_gate_leave();
    return library;
}

int vg_loader_close(void *library)
{
    vg_fork_gate_enter();
    const int result = dlclose(library);
    vg_fork_gate_leave();
    return result;
}

struct link_map *vg_loader_map_at(const void *address, Dl_info *out)
{
    struct link_map *map = NULL;
    vg_fork_gate_enter();
    const int found = dladdr1(address, out, (void **)&map, RTLD_DL_LINKMAP);
    vg_fork_gate_leave();
    return found ? map : NULL;
}

struct link_map *vg_loader_map_of(void *library)
{
    struct link_map *map = NULL;
    vg_fork_gate_enter();
    const int result = dlinfo(library, RTLD_DI_LINKMAP, &map);
    vg_fork_gate_leave();
    return result == 0 ? map : NULL;
}

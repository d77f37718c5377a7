#include "analyze/host_shortage.h"

#include <string.h>

#include "base/amount.h"

/* Does `limit` leave less than `asked` beyond what is `used`? */
static bool passes_limit(uint64_t limit, uint64_t used, uint64_t asked)
{
    return vg_amount_known(limit) && vg_amount_known(used) &&
           (used >= limit || limit - used < asked);
}

static bool lacks_room(uint64_t room, uint64_t asked)
{
    return vg_amount_known(room) && room < asked;
}

bool vg_host_lacks_address_space(const struct vg_host_limits *limits, uint64_t asked_bytes)
{
    return vg_amount_known(asked_bytes) &&
           passes_limit(limits->address_limit_bytes, limits->address_bytes, asked_bytes);
}

enum vg_host_shortage vg_host_shortage_of(const struct vg_host_limits *limits, uint64_t asked_bytes,
                                          bool registers)
{
    if (!vg_amount_known(asked_bytes) || asked_bytes == 0)
        return VG_HOST_SHORTAGE_NONE;
    if (!registers) {
        if (vg_host_lacks_address_space(limits, asked_bytes))
            return VG_HOST_SHORTAGE_ADDRESS;
        if (lacks_room(limits->cgroup_room_bytes, asked_bytes))
            return VG_HOST_SHORTAGE_CGROUP;
        if (lacks_room(limits->available_bytes, asked_bytes))
            return VG_HOST_SHORTAGE_MEMORY;
    }
    if (!limits->lock_exempt &&
        passes_limit(limits->locked_limit_bytes, limits->locked_bytes, asked_bytes))
        return VG_HOST_SHORTAGE_LOCKED;
    return VG_HOST_SHORTAGE_NONE;
}

bool vg_host_call_registers(const char *api)
{
    return strncmp(api, "cuMemHostRegister", strlen("cuMemHostRegister")) == 0;
}

bool vg_host_call(const char *api)
{
    static const char *const beginnings[] = { "cuMemHostAlloc", "cuMemAllocHost",
                                              "cuMemHostRegister" };
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
        if (strncmp(api, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

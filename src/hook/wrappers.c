#include "hook/wrappers.h"

#include <stdint.h>
#include <string.h>

#define WRAPPER_HOOK(symbol) (void *)(uintptr_t)symbol
#define WRAPPER_CALL(symbol) NULL

static void *wrapper_of(enum vg_function_id id)
{
    switch (id) {
#define VG_CUDA(symbol, name, version, flags, use, parameters, arguments)                          \
    case VG_FN_##symbol:                                                                           \
        return WRAPPER_##use(symbol);
#include "driver/cuda_table.h"
#undef VG_CUDA
    case VG_FN_COUNT: break;
    }
    return NULL;
}

void *vg_wrapper_address(enum vg_function_id id)
{
    return wrapper_of(id);
}

/* A filter for names that are not ours: few rows are wrapped, and a program may look thousands of
 * names up. Bit n is set when some wrapped symbol has signature n. */
static unsigned signature(const char *symbol, size_t length)
{
    return (unsigned)(length + 5u * (unsigned char)symbol[length - 1] +
                      11u * (unsigned char)symbol[length / 2]) %
           64;
}

static uint64_t wrapped_signatures(void)
{
    static uint64_t cached;
    uint64_t bits = __atomic_load_n(&cached, __ATOMIC_RELAXED);
    if (bits)
        return bits;
    for (int id = 0; id < VG_FN_COUNT; id++)
        if (vg_functions[id].hooked)
            bits |=
                UINT64_C(1) << signature(vg_functions[id].symbol, strlen(vg_functions[id].symbol));
    __atomic_store_n(&cached, bits, __ATOMIC_RELAXED);
    return bits;
}

int vg_wrapper_find(const char *symbol)
{
    const size_t length = strlen(symbol);
    if (length < 3 || !(wrapped_signatures() >> signature(symbol, length) & 1))
        return -1;
    for (int id = 0; id < VG_FN_COUNT; id++)
        if (vg_functions[id].hooked && strcmp(vg_functions[id].symbol, symbol) == 0)
            return id;
    return -1;
}

void *vg_wrapper_for_symbol(const char *symbol, void *found)
{
    const int id = vg_wrapper_find(symbol);
    if (id < 0 || !found || !vg_driver_bind() || vg_driver_address(id) != found)
        return found;
    return wrapper_of(id);
}

/* What the driver's own cuGetProcAddress answers for exactly this row. Drivers may answer with
 * another address than the exported symbol's. */
static void *address_by_name(enum vg_function_id id)
{
    const struct vg_function *const row = &vg_functions[id];
    void *found = NULL;
    CUdriverProcAddressQueryResult status;
    CUresult result = CUDA_ERROR_NOT_FOUND;
    if (vg_driver.cuGetProcAddress_v2)
        result =
            vg_driver.cuGetProcAddress_v2(row->name, &found, row->version, row->flags, &status);
    else if (vg_driver.cuGetProcAddress)
        result = vg_driver.cuGetProcAddress(row->name, &found, row->version, row->flags);
    return result == CUDA_SUCCESS ? found : NULL;
}

void *vg_wrapper_for_name(const char *name, void *found)
{
    int candidates[8];
    int count = 0;
    for (int id = 0; id < VG_FN_COUNT && count < 8; id++)
        if (vg_functions[id].hooked && strcmp(vg_functions[id].name, name) == 0)
            candidates[count++] = id;
    if (count == 0 || !found || !vg_driver_bind())
        return found;
    for (int i = 0; i < count; i++)
        if (vg_driver_address(candidates[i]) == found)
            return wrapper_of(candidates[i]);
    for (int i = 0; i < count; i++)
        if (address_by_name(candidates[i]) == found)
            return wrapper_of(candidates[i]);
    return found;
}

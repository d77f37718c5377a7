#include "hook/wrappers.h"

#include <stdint.h>
#include <string.h>

#include "base/log.h"
#include "base/plain_text.h"

#define WRAPPER_HOOK(symbol)  (void *)(uintptr_t)symbol
#define WRAPPER_WATCH(symbol) WRAPPER_HOOK(symbol)
#define WRAPPER_CALL(symbol)  NULL

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

/* A hash table of the wrapped symbols, so that a program that looks thousands of other names up
 * hardly notices. Made on first use; several threads may make it at once and store the same. */
enum { BUCKETS = 256 };
static int16_t bucket_first[BUCKETS], bucket_next[VG_FN_COUNT]; /* id + 1; 0 ends a chain */
static bool buckets_made;

static unsigned bucket_of(const char *symbol, size_t length)
{
    const unsigned char *const s = (const unsigned char *)symbol;
    return (unsigned)(length * 3 + s[length - 1] * 7u + s[length / 2] * 31u + s[length - 4] * 17u) %
           BUCKETS;
}

static void make_buckets(void)
{
    int16_t first[BUCKETS] = { 0 };
    for (int id = 0; id < VG_FN_COUNT; id++) {
        if (!vg_functions[id].hooked)
            continue;
        const char *const symbol = vg_functions[id].symbol;
        const unsigned bucket = bucket_of(symbol, vg_plain_length(symbol));
        __atomic_store_n(&bucket_next[id], first[bucket], __ATOMIC_RELAXED);
        first[bucket] = (int16_t)(id + 1);
    }
    for (int i = 0; i < BUCKETS; i++)
        __atomic_store_n(&bucket_first[i], first[i], __ATOMIC_RELAXED);
    __atomic_store_n(&buckets_made, true, __ATOMIC_RELEASE);
}

int vg_wrapper_find(const char *symbol)
{
    const size_t length = vg_plain_length(symbol);
    if (length < 6) /* "cuInit" is the shortest */
        return -1;
    if (!__atomic_load_n(&buckets_made, __ATOMIC_ACQUIRE))
        make_buckets();
    for (int id = bucket_first[bucket_of(symbol, length)] - 1; id >= 0; id = bucket_next[id] - 1)
        if (vg_plain_equal(vg_functions[id].symbol, symbol))
            return id;
    return -1;
}

void *vg_wrapper_for_symbol(const char *symbol, void *found, bool in_order)
{
    const int id = vg_wrapper_find(symbol);
    if (id < 0 || !found || !vg_driver_bind() ||
        (vg_driver_address((enum vg_function_id)id) != found &&
         (!in_order || vg_chain_address((enum vg_function_id)id) != found)))
        return found;
    return wrapper_of(id);
}

/* Is `found` what our wrapper of `id` calls, or the driver's function that it calls in the end? */
static bool stands_for(enum vg_function_id id, const void *found)
{
    return vg_driver_address(id) == found || vg_chain_address(id) == found;
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

/* Does a function called `row_name` answer to `asked`? By its own name or, as "cuGraphInstantiate"
 * means cuGraphInstantiateWithFlags since CUDA 12, by the beginning of it. */
static bool answers_to(const char *row_name, const char *asked)
{
    return strncmp(row_name, asked, strlen(asked)) == 0;
}

/* The function that `found`, an answer to the base name `name`, leads to; -1 for none of ours. */
static int find_by_name(const char *name, const void *found)
{
    bool named = false;
    for (int id = 0; id < VG_FN_COUNT; id++) {
        if (!vg_functions[id].hooked || !answers_to(vg_functions[id].name, name))
            continue;
        named = true;
        if (stands_for((enum vg_function_id)id, found))
            return id;
    }
    for (int id = 0; named && id < VG_FN_COUNT; id++)
        if (vg_functions[id].hooked && answers_to(vg_functions[id].name, name) &&
            vg_driver_address((enum vg_function_id)id) && /* or the wrapper has nothing to call */
            address_by_name((enum vg_function_id)id) == found)
            return id;
    return -1;
}

void *vg_wrapper_for_name(const char *name, void *found)
{
    const int id = found && vg_driver_bind() ? find_by_name(name, found) : -1;
    return id >= 0 ? wrapper_of((enum vg_function_id)id) : found;
}

void *vg_wrapper_before(const char *name, void *found, const void *own)
{
    const int id = find_by_name(name, own);
    if (id < 0)
        return found;
    if (vg_chain_adopt((enum vg_function_id)id, found))
        return wrapper_of((enum vg_function_id)id);
    vg_warn_once(VG_FAULT_CHAIN,
                 "another library, preloaded behind vramguard, gives the program a second %s: its "
                 "calls are not seen",
                 vg_functions[id].symbol);
    return found;
}

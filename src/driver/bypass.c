#include "driver/bypass.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/plain_text.h"
#include "driver/chain.h"
#include "driver/driver.h"
#include "os/elf_imports.h"
#include "os/loader.h"
#include "os/startup_order.h"

/* Entries below `noted_count` are constant; those taken and not yet written have an empty name. */
static struct {
    _Atomic uintptr_t bias;
    char name[VG_BYPASS_NAME_CAP];
} noted[VG_BYPASS_MAX];
static _Atomic unsigned noted_count;

/* The beginning of "libcuda.so" and "libcuda.so.1": short texts may be stored in pieces of eight
 * bytes within the code. */
static const char driver_name[8] = { 'l', 'i', 'b', 'c', 'u', 'd', 'a', '.' };

struct finding {
    const void *libc_dlsym, *libc_dlvsym;
    bool looks_up; /* past us */
    bool calls;    /* likewise */
};

static bool is_drivers_own(const char *name, const void *bound)
{
    for (int id = 0; id < VG_FN_COUNT; id++)
        if (vg_functions[id].hooked && vg_driver_address((enum vg_function_id)id) == bound)
            return bound && vg_plain_equal(vg_functions[id].symbol, name);
    return false;
}

static bool look_at_import(const char *name, const void *bound, void *argument)
{
    struct finding *const f = argument;
    if (name[0] == 'd' && name[1] == 'l')
        f->looks_up |= (bound == f->libc_dlsym && vg_plain_equal(name, "dlsym")) ||
                       (bound == f->libc_dlvsym && vg_plain_equal(name, "dlvsym"));
    else if (name[0] == 'c' && name[1] == 'u')
        f->calls |= is_drivers_own(name, bound);
    return f->calls;
}

static void note_library(uintptr_t bias, const char *path)
{
    const char *const slash = strrchr(path, '/');
    for (unsigned i = 0; i < VG_BYPASS_MAX; i++) {
        uintptr_t before = 0;
        if (atomic_compare_exchange_strong(&noted[i].bias, &before, bias)) {
            snprintf(noted[i].name, sizeof noted[i].name, "%s", slash ? slash + 1 : path);
            atomic_fetch_add(&noted_count, 1);
            return;
        }
        if (before == bias)
            return;
    }
}

/* Ourselves, what looks names up for others, the driver, and interposers, which go past us by
 * right. */
static bool is_exempt(const struct dl_phdr_info *info, const struct vg_elf_object *object)
{
    return vg_elf_covers(info, (uintptr_t)&noted_count) || vg_startup_is_libc(object) ||
           vg_plain_equal(object->soname, "libcuda.so.1") ||
           vg_chain_is_behind((const void *)object->start);
}

struct check {
    uintptr_t bias; /* of the object in question; ignored with `all` */
    bool all;
    struct finding libc; /* the addresses */
};

static const ElfW(Dyn) * dynamic_of(const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            return (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    return NULL;
}

static int check_object(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size;
    const struct check *const check = argument;
    struct finding f = check->libc;
    struct vg_elf_object object;
    if ((!check->all && info->dlpi_addr != check->bias) || !vg_elf_describe(info, &object) ||
        is_exempt(info, &object))
        return 0;
    vg_elf_each_import(info->dlpi_addr, dynamic_of(info), look_at_import, &f);
    if (f.calls || (f.looks_up && vg_elf_contains(info, driver_name, sizeof driver_name)))
        note_library(info->dlpi_addr, object.path);
    return 0;
}

static struct finding nothing_found(void)
{
    static void *libc_dlsym, *libc_dlvsym;
    if (!__atomic_load_n(&libc_dlsym, __ATOMIC_RELAXED)) {
        __atomic_store_n(&libc_dlvsym, vg_startup_libc_function("dlvsym"), __ATOMIC_RELAXED);
        __atomic_store_n(&libc_dlsym, vg_startup_libc_function("dlsym"), __ATOMIC_RELAXED);
    }
    return (struct finding){ .libc_dlsym = __atomic_load_n(&libc_dlsym, __ATOMIC_RELAXED),
                             .libc_dlvsym = __atomic_load_n(&libc_dlvsym, __ATOMIC_RELAXED) };
}

bool vg_bypass_check(uintptr_t bias, const ElfW(Dyn) * dynamic)
{
    struct check check = { .bias = bias, .libc = nothing_found() };
    struct finding f = check.libc;
    vg_elf_each_import(bias, dynamic, look_at_import, &f);
    if (f.calls || f.looks_up)
        vg_loader_each_object(check_object, &check);
    return vg_bypass_count() > 0;
}

bool vg_bypass_check_all(bool again)
{
    static _Atomic uint64_t checked_generation; /* nothing was opened since */
    const uint64_t generation = vg_elf_generation();
    if (atomic_exchange(&checked_generation, generation) == generation && !again)
        return vg_bypass_count() > 0;
    struct check check = { .all = true, .libc = nothing_found() };
    vg_loader_each_object(check_object, &check);
    return vg_bypass_count() > 0;
}

void vg_bypass_tell(void)
{
    vg_warn_once(VG_FAULT_BYPASS,
                 "%s goes past vramguard to the driver, as libraries opened with RTLD_DEEPBIND do: "
                 "what it allocates is neither seen nor limited",
                 vg_bypass_name(0));
}

unsigned vg_bypass_count(void)
{
    const unsigned count = atomic_load(&noted_count);
    return count < VG_BYPASS_MAX ? count : VG_BYPASS_MAX;
}

const char *vg_bypass_name(unsigned index)
{
    return index < vg_bypass_count() ? noted[index].name : "";
}

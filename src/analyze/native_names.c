#include "analyze/native_names.h"

#include <dlfcn.h>
#include <string.h>

#include "base/text.h"
#include "os/process.h"
#include "unwind/symbol_name.h"

/* A return address can lie behind the end of a function that never returns. */
static uintptr_t address_inside_call(uint64_t return_address)
{
    return (uintptr_t)return_address - 1;
}

/* What is being filled in, and the name of the program's own file once it was asked for. */
struct filling {
    struct vg_oom_frame *frames;
    char exe[64];
};

/* The program itself has no path in the loader's list, and argv[0] may be anything. */
static const char *exe_name(struct filling *filling)
{
    if (!filling->exe[0])
        vg_process_exe_name(filling->exe, sizeof filling->exe);
    return filling->exe;
}

static void fill_frame(struct vg_oom_frame *out, uintptr_t module_start, const char *path,
                       const char *symbol)
{
    const char *const module = vg_text_base_name(path);
    out->module_offset = out->address - module_start;
    vg_text_sanitize(out->module, sizeof out->module, module, strlen(module));
    if (symbol)
        vg_symbol_name(out->function, sizeof out->function, symbol);
}

static void fill_found(const struct vg_elf_object *object, const struct vg_elf_address *item,
                       void *argument)
{
    struct filling *const filling = argument;
    const char *const path = object->path[0] ? object->path : exe_name(filling);
    fill_frame(&filling->frames[item->number], object->start, path, item->symbol);
}

/* Objects of other link namespaces (dlmopen) are known to dladdr only. */
static void fill_elsewhere(struct vg_oom_frame *out)
{
    Dl_info info;
    if (dladdr((const void *)address_inside_call(out->address), &info) != 0 && info.dli_fname)
        fill_frame(out, (uintptr_t)info.dli_fbase, info.dli_fname, info.dli_sname);
}

static void look_up(const uint64_t *addresses, struct vg_oom_frame *frames, uint32_t count,
                    struct vg_elf_address *items)
{
    struct filling filling = { .frames = frames };
    for (uint32_t i = 0; i < count; i++) {
        items[i] =
            (struct vg_elf_address){ .address = address_inside_call(addresses[i]), .number = i };
        frames[i] = (struct vg_oom_frame){ .address = addresses[i], .module_offset = addresses[i] };
    }
    vg_elf_find_addresses(items, count, fill_found, &filling);
    for (uint32_t i = 0; i < count; i++)
        if (!frames[i].module[0])
            fill_elsewhere(&frames[i]);
}

/* Its place among the names, `count` when it is not there. */
static uint32_t place_of(const struct vg_native_names *names, uint64_t address)
{
    uint32_t i = 0;
    while (i < names->count && names->addresses[i] != address)
        i++;
    return i;
}

void vg_native_names_clear(struct vg_native_names *names)
{
    names->count = names->looked_up = 0;
}

/* Its place, where it is put if it is new; VG_NATIVE_NAMES when there is no room. */
static uint32_t add_address(struct vg_native_names *names, uint64_t address)
{
    const uint32_t place = place_of(names, address);
    if (place == names->count && place < VG_NATIVE_NAMES)
        names->addresses[names->count++] = address;
    return place;
}

void vg_native_names_add(struct vg_native_names *names, uint64_t address)
{
    add_address(names, address);
}

static void look_up_noted(struct vg_native_names *names)
{
    const uint32_t first = names->looked_up;
    look_up(&names->addresses[first], &names->frames[first], names->count - first, names->items);
    names->looked_up = names->count;
}

void vg_native_names_get(struct vg_native_names *names, uint64_t address, struct vg_oom_frame *out)
{
    struct vg_elf_address item;
    const uint32_t place = add_address(names, address);
    if (place == VG_NATIVE_NAMES) {
        look_up(&address, out, 1, &item);
        return;
    }
    if (place >= names->looked_up)
        look_up_noted(names);
    *out = names->frames[place];
}

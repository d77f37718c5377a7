#include "analyze/native_names.h"

#include <dlfcn.h>
#include <string.h>

#include "analyze/frame.h"
#include "base/text.h"
#include "os/process.h"
#include "unwind/symbol_name.h"

enum { FUNCTION_CAP = 96 };

/* A return address can lie behind the end of a function that never returns. */
static uintptr_t address_inside_call(uint64_t return_address)
{
    return (uintptr_t)return_address - 1;
}

/* What is being filled in, and the name of the program's own file once it was asked for. */
struct filling {
    struct vg_run_frame *frames;
    struct vg_region *region;
    char exe[64];
};

/* The program itself has no path in the loader's list, and argv[0] may be anything. */
static const char *exe_name(struct filling *filling)
{
    if (!filling->exe[0])
        vg_process_exe_name(filling->exe, sizeof filling->exe);
    return filling->exe;
}

static void fill_frame(struct vg_region *region, struct vg_run_frame *out, uintptr_t module_start,
                       const char *path, const char *symbol)
{
    char function[FUNCTION_CAP];
    out->module_offset = out->address - module_start;
    out->module = vg_region_string(region, vg_text_base_name(path));
    if (!symbol)
        return;
    vg_symbol_name(function, sizeof function, symbol);
    out->function = vg_region_string(region, function);
}

static void fill_found(const struct vg_elf_object *object, const struct vg_elf_address *item,
                       void *argument)
{
    struct filling *const filling = argument;
    const char *const path = object->path[0] ? object->path : exe_name(filling);
    fill_frame(filling->region, &filling->frames[item->number], object->start, path, item->symbol);
}

/* Objects of other link namespaces (dlmopen) are known to dladdr only. */
static void fill_elsewhere(struct vg_region *region, struct vg_run_frame *out)
{
    Dl_info info;
    if (dladdr((const void *)address_inside_call(out->address), &info) != 0 && info.dli_fname)
        fill_frame(region, out, (uintptr_t)info.dli_fbase, info.dli_fname, info.dli_sname);
}

static void look_up_addresses(struct vg_region *region, const uint64_t *addresses,
                              struct vg_run_frame *frames, uint32_t count,
                              struct vg_elf_address *items)
{
    struct filling filling = { .frames = frames, .region = region };
    for (uint32_t i = 0; i < count; i++) {
        items[i] =
            (struct vg_elf_address){ .address = address_inside_call(addresses[i]), .number = i };
        frames[i] = vg_frame_of_address(addresses[i]);
    }
    vg_elf_find_addresses(items, count, fill_found, &filling);
    for (uint32_t i = 0; i < count; i++)
        if (!frames[i].module[0])
            fill_elsewhere(region, &frames[i]);
}

/* Its index among the names, `count` when it is not there. */
static uint32_t index_of_address(const struct vg_native_names *names, uint64_t address)
{
    uint32_t i = 0;
    while (i < names->count && names->addresses[i] != address)
        i++;
    return i;
}

void vg_native_names_clear(struct vg_native_names *names, struct vg_region *region)
{
    names->region = region;
    names->count = names->looked_up = 0;
}

/* Its index, where it is put if it is new; VG_NATIVE_NAMES when there is no room. */
static uint32_t add_address(struct vg_native_names *names, uint64_t address)
{
    const uint32_t index = index_of_address(names, address);
    if (index == names->count && index < VG_NATIVE_NAMES)
        names->addresses[names->count++] = address;
    return index;
}

void vg_native_names_add(struct vg_native_names *names, uint64_t address)
{
    add_address(names, address);
}

static void look_up_noted(struct vg_native_names *names)
{
    const uint32_t first = names->looked_up;
    look_up_addresses(names->region, &names->addresses[first], &names->frames[first],
                      names->count - first, names->items);
    names->looked_up = names->count;
}

void vg_native_names_get(struct vg_native_names *names, uint64_t address, struct vg_run_frame *out)
{
    struct vg_elf_address item;
    const uint32_t index = add_address(names, address);
    if (index == VG_NATIVE_NAMES) {
        look_up_addresses(names->region, &address, out, 1, &item);
        return;
    }
    if (index >= names->looked_up)
        look_up_noted(names);
    *out = names->frames[index];
}

#include "report/native_names.h"

#include <dlfcn.h>
#include <string.h>

#include "base/process.h"
#include "base/text.h"
#include "report/symbol_name.h"

/* A return address can lie behind the end of a function that never returns. */
static uintptr_t inside(uint64_t return_address)
{
    return (uintptr_t)return_address - 1;
}

static void fill(struct vg_snapshot_frame *out, uintptr_t module_start, const char *path,
                 const char *symbol)
{
    char exe[64];
    out->module_offset = out->address - module_start;
    if (!path[0]) { /* the program itself; argv[0] may be anything */
        vg_process_exe_name(exe, sizeof exe);
        path = exe;
    }
    const char *const module = vg_text_base_name(path);
    vg_text_sanitize(out->module, sizeof out->module, module, strlen(module));
    if (symbol)
        vg_symbol_name(out->function, sizeof out->function, symbol);
}

static void fill_found(const struct vg_elf_object *object, const struct vg_elf_address *item,
                       void *argument)
{
    struct vg_snapshot_frame *const frames = argument;
    fill(&frames[item->number], object->start, object->path, item->symbol);
}

/* Objects of other link namespaces (dlmopen) are known to dladdr only. */
static void fill_elsewhere(struct vg_snapshot_frame *out)
{
    Dl_info info;
    if (dladdr((const void *)inside(out->address), &info) != 0 && info.dli_fname &&
        info.dli_fname[0])
        fill(out, (uintptr_t)info.dli_fbase, info.dli_fname, info.dli_sname);
}

static void look_up(const uint64_t *addresses, struct vg_snapshot_frame *frames, uint32_t count,
                    struct vg_elf_address *items)
{
    for (uint32_t i = 0; i < count; i++) {
        items[i] = (struct vg_elf_address){ .address = inside(addresses[i]), .number = i };
        frames[i] =
            (struct vg_snapshot_frame){ .address = addresses[i], .module_offset = addresses[i] };
    }
    vg_elf_find_addresses(items, count, fill_found, frames);
    for (uint32_t i = 0; i < count; i++)
        if (!frames[i].module[0])
            fill_elsewhere(&frames[i]);
}

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

void vg_native_names_add(struct vg_native_names *names, uint64_t address)
{
    if (place_of(names, address) == names->count && names->count < VG_NATIVE_NAMES)
        names->addresses[names->count++] = address;
}

void vg_native_names_get(struct vg_native_names *names, uint64_t address,
                         struct vg_snapshot_frame *out)
{
    struct vg_elf_address item;
    vg_native_names_add(names, address);
    const uint32_t place = place_of(names, address);
    if (place == names->count) { /* it is full */
        look_up(&address, out, 1, &item);
        return;
    }
    if (place >= names->looked_up) {
        const uint32_t first = names->looked_up;
        look_up(&names->addresses[first], &names->frames[first], names->count - first,
                names->items);
        names->looked_up = names->count;
    }
    *out = names->frames[place];
}

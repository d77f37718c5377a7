#include "analyze/native_names.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/stat.h>

#include "analyze/frame.h"
#include "base/text.h"
#include "os/elf_symtab.h"
#include "os/loader.h"
#include "os/process.h"
#include "unwind/symbol_name.h"

enum { FUNCTION_CAP = 96, UNNAMED_MAX = 48, SYMBOL_FILE_BYTES = 8 * 1024 * 1024 };

/* A return address can lie behind the end of a function that never returns. */
static uintptr_t address_inside_call(uint64_t return_address)
{
    return (uintptr_t)return_address - 1;
}

/* A function that its object does not export. */
struct unnamed {
    const char *path; /* of the object's file */
    uint64_t value;   /* its address in the file's own numbering */
    uint32_t frame;
};

/* What is being filled in, and the name of the program's own file once it was asked for. */
struct filling {
    struct vg_run_frame *frames;
    struct vg_region *region;
    char exe[64];
    struct unnamed unnamed[UNNAMED_MAX];
    uint32_t unnamed_count;
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

/* Neighbours are of one object: its path is copied once, as it may be unloaded. */
static void note_unnamed(struct filling *filling, const struct vg_elf_object *object,
                         const struct vg_elf_address *item)
{
    const char *const path = object->path[0] ? object->path : "/proc/self/exe";
    const uint32_t at = filling->unnamed_count;
    if (at == UNNAMED_MAX)
        return;
    const bool same = at > 0 && strcmp(filling->unnamed[at - 1].path, path) == 0;
    filling->unnamed[at] = (struct unnamed){
        .path = same ? filling->unnamed[at - 1].path : vg_region_string(filling->region, path),
        .value = item->address - object->bias,
        .frame = item->number,
    };
    filling->unnamed_count++;
}

static void fill_found(const struct vg_elf_object *object, const struct vg_elf_address *item,
                       void *argument)
{
    struct filling *const filling = argument;
    const char *const path = object->path[0] ? object->path : exe_name(filling);
    fill_frame(filling->region, &filling->frames[item->number], object->start, path, item->symbol);
    if (!item->symbol)
        note_unnamed(filling, object, item);
}

/* Large ones, which are those of frameworks, would take longer than a report may. */
static bool is_small_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_size <= SYMBOL_FILE_BYTES;
}

/* Names `count` functions of one object from its file. */
static void name_from_file(struct filling *filling, const struct unnamed *unnamed, uint32_t count,
                           uint64_t started_ns)
{
    char function[FUNCTION_CAP];
    struct vg_symtab_query *const queries =
        is_small_file(unnamed->path) ? vg_region_array(filling->region, count, sizeof *queries)
                                     : NULL;
    for (uint32_t i = 0; queries && i < count; i++)
        queries[i].value = unnamed[i].value;
    if (!queries || vg_elf_symtab_name(unnamed->path, started_ns, queries, count) != 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        if (!queries[i].name[0])
            continue;
        vg_symbol_name(function, sizeof function, queries[i].name);
        filling->frames[unnamed[i].frame].function = vg_region_string(filling->region, function);
    }
}

static void name_from_files(struct filling *filling, uint64_t started_ns)
{
    for (uint32_t i = 0, end; i < filling->unnamed_count; i = end) {
        for (end = i + 1; end < filling->unnamed_count &&
                          strcmp(filling->unnamed[end].path, filling->unnamed[i].path) == 0;)
            end++;
        name_from_file(filling, &filling->unnamed[i], end - i, started_ns);
    }
}

/* Objects of other link namespaces (dlmopen) are known to dladdr only. */
static void fill_elsewhere(struct vg_region *region, struct vg_run_frame *out)
{
    Dl_info info;
    const void *const address = (const void *)address_inside_call(out->address);
    if (vg_loader_map_at(address, &info) && info.dli_fname)
        fill_frame(region, out, (uintptr_t)info.dli_fbase, info.dli_fname, info.dli_sname);
}

static void look_up_addresses(const struct vg_native_names *names, const uint64_t *addresses,
                              struct vg_run_frame *frames, uint32_t count,
                              struct vg_elf_address *items)
{
    struct filling filling = { .frames = frames, .region = names->region };
    for (uint32_t i = 0; i < count; i++) {
        items[i] =
            (struct vg_elf_address){ .address = address_inside_call(addresses[i]), .number = i };
        frames[i] = vg_frame_of_address(addresses[i]);
    }
    vg_elf_find_addresses(items, count, fill_found, &filling);
    for (uint32_t i = 0; i < count; i++)
        if (!frames[i].module[0])
            fill_elsewhere(names->region, &frames[i]);
    name_from_files(&filling, names->started_ns);
}

/* Its index among the names, `count` when it is not there. */
static uint32_t index_of_address(const struct vg_native_names *names, uint64_t address)
{
    uint32_t i = 0;
    while (i < names->count && names->addresses[i] != address)
        i++;
    return i;
}

void vg_native_names_clear(struct vg_native_names *names, struct vg_region *region,
                           uint64_t started_ns)
{
    names->region = region;
    names->started_ns = started_ns;
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
    look_up_addresses(names, &names->addresses[first], &names->frames[first], names->count - first,
                      names->items);
    names->looked_up = names->count;
}

void vg_native_names_get(struct vg_native_names *names, uint64_t address, struct vg_run_frame *out)
{
    struct vg_elf_address item;
    const uint32_t index = add_address(names, address);
    if (index == VG_NATIVE_NAMES) {
        look_up_addresses(names, &address, out, 1, &item);
        return;
    }
    if (index >= names->looked_up)
        look_up_noted(names);
    *out = names->frames[index];
}

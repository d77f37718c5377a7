#include "os/elf_symbol.h"

#include <errno.h>

#include "base/every_process.h"
#include "base/plain_text.h"
#include "os/loader.h"

const void *vg_elf_dynamic_pointer(uintptr_t bias, uintptr_t value)
{
    return (const void *)(value < bias ? value + bias : value);
}

/* Reads the dynamic section. Nothing of libc is called: see vg_elf_find_early. */
static bool read_dynamic(const ElfW(Dyn) * dynamic, struct vg_elf_object *out)
{
    uintptr_t soname_offset = 0;
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        const void *const pointer = vg_elf_dynamic_pointer(out->bias, dynamic->d_un.d_ptr);
        switch (dynamic->d_tag) {
        case DT_SYMTAB: out->symbols = pointer; break;
        case DT_STRTAB: out->strings = pointer; break;
        case DT_GNU_HASH: out->gnu_hash = pointer; break;
        case DT_HASH: out->sysv_hash = pointer; break;
        case DT_SONAME: soname_offset = dynamic->d_un.d_val; break;
        default: break;
        }
    }
    if (!out->symbols || !out->strings)
        return false;
    if (soname_offset)
        out->soname = out->strings + soname_offset;
    return true;
}

static const ElfW(Phdr) * find_header(const struct dl_phdr_info *info, uint32_t type)
{
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == type)
            return &info->dlpi_phdr[i];
    return NULL;
}

void vg_elf_span(const struct dl_phdr_info *info, uintptr_t *out_start, uintptr_t *out_end)
{
    *out_start = UINTPTR_MAX;
    *out_end = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *const header = &info->dlpi_phdr[i];
        const uintptr_t start = info->dlpi_addr + header->p_vaddr, end = start + header->p_memsz;
        if (header->p_type != PT_LOAD)
            continue;
        *out_start = start < *out_start ? start : *out_start;
        *out_end = end > *out_end ? end : *out_end;
    }
    if (*out_start > *out_end)
        *out_start = *out_end;
}

bool vg_elf_describe(const struct dl_phdr_info *info, struct vg_elf_object *out)
{
    const ElfW(Phdr) *const dynamic = find_header(info, PT_DYNAMIC);
    *out = (struct vg_elf_object){ .bias = info->dlpi_addr,
                                   .soname = "",
                                   .path = info->dlpi_name ? info->dlpi_name : "" };
    vg_elf_span(info, &out->start, &out->end);
    return dynamic && read_dynamic((const void *)(out->bias + dynamic->p_vaddr), out);
}

/* Weak, so that nothing but libc is needed for the link; the loader always has it. */
extern struct r_debug _r_debug __attribute__((weak));

bool vg_elf_each_early(vg_elf_early_visit *visit, void *argument)
{
    for (const struct link_map *map = &_r_debug ? _r_debug.r_map : NULL; map; map = map->l_next) {
        struct vg_elf_object object = { .bias = map->l_addr, .soname = "", .path = map->l_name };
        if (map->l_ld && read_dynamic(map->l_ld, &object) &&
            visit(&object, map->l_ld == _DYNAMIC, argument))
            return true;
    }
    return false;
}

bool vg_elf_covers(const struct dl_phdr_info *info, uintptr_t address)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *const header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD &&
            address - (info->dlpi_addr + header->p_vaddr) < header->p_memsz)
            return true;
    }
    return false;
}

struct search {
    const char *soname, *symbol; /* one of the two, or NULL: search by address */
    uintptr_t address;           /* with `symbol`: of the object that is passed over, or 0 */
    struct vg_elf_object *out;
};

static int match_object(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size;
    const struct search *const search = argument;
    struct vg_elf_object object;
    bool found = vg_elf_covers(info, search->address);
    /* What describes an object is cold for most: it is read of the one that is meant. */
    if ((!found && !search->soname && !search->symbol) || !vg_elf_describe(info, &object))
        return 0;
    if (search->soname)
        found = vg_plain_equal(object.soname, search->soname);
    else if (search->symbol)
        found = !found && vg_elf_symbol(&object, search->symbol) != NULL;
    if (found)
        *search->out = object;
    return found;
}

int vg_elf_find_soname(const char *soname, struct vg_elf_object *out)
{
    struct search search = { .soname = soname, .out = out };
    return vg_loader_each_object(match_object, &search) ? 0 : -ENOENT;
}

int vg_elf_find_address(uintptr_t address, struct vg_elf_object *out)
{
    struct search search = { .address = address, .out = out };
    return vg_loader_each_object(match_object, &search) ? 0 : -ENOENT;
}

int vg_elf_find_definition(const char *symbol, struct vg_elf_object *out)
{
    struct search search = { .symbol = symbol, .out = out };
    return vg_loader_each_object(match_object, &search) ? 0 : -ENOENT;
}

int vg_elf_find_other_definition(const char *symbol, uintptr_t address, struct vg_elf_object *out)
{
    struct search search = { .symbol = symbol, .address = address, .out = out };
    return vg_loader_each_object(match_object, &search) ? 0 : -ENOENT;
}

VG_EVERY_PROCESS static int read_generation(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size;
    *(uint64_t *)argument = info->dlpi_adds;
    return 1;
}

VG_EVERY_PROCESS uint64_t vg_elf_generation(void)
{
    uint64_t generation = 0;
    vg_loader_each_object(read_generation, &generation);
    return generation;
}

static const ElfW(Sym) *
    definition(const struct vg_elf_object *object, uint32_t index, const char *name)
{
    const ElfW(Sym) *const symbol = &object->symbols[index];
    const unsigned type = symbol->st_info & 0xf;
    if (symbol->st_shndx == SHN_UNDEF || symbol->st_value == 0 ||
        (type != STT_FUNC && type != STT_OBJECT && type != STT_NOTYPE))
        return NULL;
    return vg_plain_equal(object->strings + symbol->st_name, name) ? symbol : NULL;
}

static const ElfW(Sym) * find_gnu(const struct vg_elf_object *object, const char *name)
{
    uint32_t hash = 5381;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        hash = hash * 33 + *c;
    const uint32_t *const table = object->gnu_hash;
    const uint32_t bucket_count = table[0], first_symbol = table[1], bloom_words = table[2];
    const uint32_t *const buckets = table + 4 + bloom_words * (sizeof(ElfW(Addr)) / 4);
    const uint32_t *const chain = buckets + bucket_count;
    if (bucket_count == 0)
        return NULL;
    uint32_t index = buckets[hash % bucket_count];
    if (index < first_symbol)
        return NULL;
    for (;; index++) {
        const uint32_t entry = chain[index - first_symbol];
        const ElfW(Sym) *const found =
            (entry | 1) == (hash | 1) ? definition(object, index, name) : NULL;
        if (found || (entry & 1)) /* bit 0 marks the end of the chain */
            return found;
    }
}

static const ElfW(Sym) * find_sysv(const struct vg_elf_object *object, const char *name)
{
    uint32_t hash = 0;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++) {
        hash = (hash << 4) + *c;
        const uint32_t high = hash & 0xf0000000;
        hash ^= high >> 24;
        hash &= ~high;
    }
    const uint32_t bucket_count = object->sysv_hash[0];
    const uint32_t *const buckets = object->sysv_hash + 2;
    const uint32_t *const chain = buckets + bucket_count;
    if (bucket_count == 0)
        return NULL;
    for (uint32_t index = buckets[hash % bucket_count]; index != 0; index = chain[index]) {
        const ElfW(Sym) *const found = definition(object, index, name);
        if (found)
            return found;
    }
    return NULL;
}

static const ElfW(Sym) * find_symbol(const struct vg_elf_object *object, const char *name)
{
    if (object->gnu_hash)
        return find_gnu(object, name);
    return object->sysv_hash ? find_sysv(object, name) : NULL;
}

void *vg_elf_symbol(const struct vg_elf_object *object, const char *name)
{
    const ElfW(Sym) *const found = find_symbol(object, name);
    return found ? (void *)(object->bias + found->st_value) : NULL;
}

void *vg_elf_function(const struct vg_elf_object *object, const char *name)
{
    const ElfW(Sym) *const found = find_symbol(object, name);
    return found && (found->st_info & 0xf) == STT_FUNC ? (void *)(object->bias + found->st_value)
                                                       : NULL;
}

size_t vg_elf_symbol_bytes(const struct vg_elf_object *object, const char *name)
{
    const ElfW(Sym) *const found = find_symbol(object, name);
    return found ? found->st_size : 0;
}

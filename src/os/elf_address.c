#include "os/elf_address.h"

#include <stdbool.h>

#include "os/loader.h"

struct lookup {
    struct vg_elf_address *items;
    size_t count;
    vg_elf_found *found;
    void *argument;
};

/* Symbols are found by their names' hashes only, so their number is told by the hash table.
 * Undefined symbols come first and are in no GNU hash table. */
struct symbol_range {
    uint32_t first, end;
};

static struct symbol_range range_of_gnu(const uint32_t *table)
{
    const uint32_t bucket_count = table[0], first = table[1], bloom_words = table[2];
    const uint32_t *const buckets = table + 4 + bloom_words * (sizeof(ElfW(Addr)) / 4);
    const uint32_t *const chain = buckets + bucket_count;
    uint32_t last = 0;
    for (uint32_t i = 0; i < bucket_count; i++)
        last = buckets[i] > last ? buckets[i] : last;
    if (last < first)
        return (struct symbol_range){ first, first }; /* it exports nothing */
    while (!(chain[last - first] & 1))                /* bit 0 marks the end of a chain */
        last++;
    return (struct symbol_range){ first, last + 1 };
}

static struct symbol_range range_of(const struct vg_elf_object *object)
{
    if (object->gnu_hash)
        return range_of_gnu(object->gnu_hash);
    if (object->sysv_hash)
        return (struct symbol_range){ 1, object->sysv_hash[1] };
    return (struct symbol_range){ 0, 0 };
}

static bool names_an_address(const ElfW(Sym) * symbol)
{
    const unsigned type = symbol->st_info & 0xf;
    return symbol->st_shndx != SHN_UNDEF && symbol->st_value != 0 &&
           (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_OBJECT || type == STT_NOTYPE);
}

/* Index of the first item at `address` or behind, of `count` sorted ones. */
static size_t first_from(const struct vg_elf_address *items, size_t count, uintptr_t address)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (items[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A large object has 100,000 symbols and more, and next to none of them is asked for. So that each
 * is passed over without a search, and without a branch that the processor cannot foresee, the
 * range of the items is cut into slices: for each slice the index of the first item in it or
 * behind. */
enum { SLICES = 256 };
struct address_slices {
    uintptr_t first_address;
    unsigned shift; /* a slice has 2^shift addresses */
    uint32_t first[SLICES + 1];
};

static void make_slices(const struct vg_elf_address *items, size_t count,
                        struct address_slices *out)
{
    out->first_address = items[0].address;
    out->shift = 0;
    while ((items[count - 1].address - items[0].address) >> out->shift >= SLICES)
        out->shift++;
    uint32_t item = 0;
    for (uintptr_t slice = 0; slice < SLICES; slice++) {
        while (item < count && (items[item].address - items[0].address) >> out->shift < slice)
            item++;
        out->first[slice] = item;
    }
    out->first[SLICES] = (uint32_t)count;
}

/* Gives `symbol` to the items in its range that have none which starts later. */
static void offer_symbol(const struct vg_elf_object *object, const ElfW(Sym) * symbol,
                         const struct address_slices *slices, struct vg_elf_address *items,
                         size_t count)
{
    const uintptr_t start = object->bias + symbol->st_value;
    const uintptr_t end = start + (symbol->st_size ? symbol->st_size : 1);
    const uintptr_t slice =
        start < slices->first_address ? 0 : (start - slices->first_address) >> slices->shift;
    size_t i = slices->first[slice < SLICES ? slice : SLICES];
    while (i < count && items[i].address < start)
        i++;
    for (; i < count && items[i].address < end; i++)
        if (names_an_address(symbol) && (!items[i].symbol || symbol->st_value > items[i].start)) {
            items[i].symbol = object->strings + symbol->st_name;
            items[i].start = symbol->st_value;
        }
}

void vg_elf_name_addresses(const struct vg_elf_object *object, struct vg_elf_address *items,
                           size_t count)
{
    const struct symbol_range range = range_of(object);
    struct address_slices slices;
    make_slices(items, count, &slices);
    for (uint32_t i = range.first; i < range.end; i++)
        offer_symbol(object, &object->symbols[i], &slices, items, count);
}

static int visit_object(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size;
    const struct lookup *const lookup = argument;
    struct vg_elf_object object;
    uintptr_t start, end;
    vg_elf_span(info, &start, &end);
    const size_t first = first_from(lookup->items, lookup->count, start);
    const size_t count = first_from(lookup->items, lookup->count, end) - first;
    struct vg_elf_address *const items = lookup->items + first;
    if (count == 0 || !vg_elf_describe(info, &object))
        return 0;
    vg_elf_name_addresses(&object, items, count);
    for (size_t i = 0; i < count; i++)
        if (vg_elf_covers(info, items[i].address))
            lookup->found(&object, &items[i], lookup->argument);
    return 0;
}

static void sort_by_address(struct vg_elf_address *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct vg_elf_address item = items[i];
        size_t at = i;
        for (; at > 0 && items[at - 1].address > item.address; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

void vg_elf_find_addresses(struct vg_elf_address *items, size_t count, vg_elf_found *found,
                           void *argument)
{
    struct lookup lookup = { items, count, found, argument };
    for (size_t i = 0; i < count; i++)
        items[i].symbol = NULL;
    sort_by_address(items, count);
    vg_loader_each_object(visit_object, &lookup);
}

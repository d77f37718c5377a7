/* Naming addresses by the symbols of loaded objects: for every symbol of every loaded object, and
 * between them, the same answer as dladdr's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "os/elf_address.h"

enum { BATCH = 300, OUTSIDE = 3 };

static struct vg_elf_address items[BATCH];
static uintptr_t wanted[BATCH];
static size_t filled;
static unsigned long compared, with_symbol;

static void compare(const struct vg_elf_object *object, const struct vg_elf_address *item,
                    void *argument)
{
    Dl_info info;
    unsigned *const found = argument;
    assert_int_equal(item->address, wanted[item->number]);
    found[item->number]++;
    assert_int_not_equal(dladdr((const void *)item->address, &info), 0);
    if (object->path[0])
        assert_string_equal(object->path, info.dli_fname);
    assert_int_equal(object->start, (uintptr_t)info.dli_fbase);
    if (!item->symbol != !info.dli_sname)
        fail_msg("%s+%#lx is in %s, not in %s", object->path, item->address - object->bias,
                 info.dli_sname ? info.dli_sname : "none", item->symbol ? item->symbol : "none");
    if (item->symbol) {
        assert_string_equal(item->symbol, info.dli_sname);
        assert_int_equal(object->bias + item->start, (uintptr_t)info.dli_saddr);
        with_symbol++;
    }
    compared++;
}

static void compare_batch(void)
{
    unsigned found[BATCH] = { 0 };
    for (size_t i = 0; i < filled; i++)
        items[i] = (struct vg_elf_address){ .address = wanted[i],
                                            .number = (uint32_t)i,
                                            .symbol = "left from before" };
    vg_elf_find_addresses(items, filled, compare, found);
    for (size_t i = 0; i < filled; i++)
        assert_int_equal(found[i], 1);
    filled = 0;
}

static void add(uintptr_t address)
{
    wanted[filled++] = address;
    if (filled == BATCH)
        compare_batch();
}

static struct loaded {
    struct vg_elf_object object;
    const ElfW(Phdr) * headers;
    int header_count;
} loaded[BATCH];
static size_t loaded_count;

static int note_object(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size, (void)argument;
    struct loaded *const one = &loaded[loaded_count];
    if (loaded_count < BATCH && vg_elf_describe(info, &one->object)) {
        one->headers = info->dlpi_phdr;
        one->header_count = info->dlpi_phnum;
        loaded_count++;
    }
    return 0;
}

/* Between segments there is no code; dladdr counts it as the object's on some systems only. */
static void add_if_in_segment(const struct loaded *one, uintptr_t address)
{
    for (int i = 0; i < one->header_count; i++) {
        const uintptr_t start = one->object.bias + one->headers[i].p_vaddr;
        if (one->headers[i].p_type == PT_LOAD && address >= start &&
            address < start + one->headers[i].p_memsz)
            add(address);
    }
}

/* At random in an object: anything, the start of the symbol there, what is right before it, and the
 * first byte behind. */
static void add_addresses(const struct loaded *one)
{
    for (uint32_t i = 1; i < 400; i++) {
        Dl_info info;
        const uintptr_t span = one->object.end - one->object.start;
        const uintptr_t address = one->object.start + ((uintptr_t)rand() * 4 + i) % span;
        ElfW(Sym) *symbol = NULL;
        add_if_in_segment(one, address);
        if (dladdr1((const void *)address, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0 ||
            !info.dli_saddr)
            continue;
        add_if_in_segment(one, (uintptr_t)info.dli_saddr);
        add_if_in_segment(one, (uintptr_t)info.dli_saddr - 1);
        add_if_in_segment(one, (uintptr_t)info.dli_saddr + symbol->st_size);
    }
}

/* The symbol begins before all that is asked for. */
static void one_address_inside_a_function_is_named(void **state)
{
    (void)state;
    filled = 0;
    add((uintptr_t)dlsym(RTLD_DEFAULT, "vfprintf") + 1);
    compare_batch();
    assert_true(with_symbol == 1);
}

static void tells_what_dladdr_tells(void **state)
{
    (void)state;
    assert_non_null(dlopen("libstdc++.so.6", RTLD_NOW)); /* many names, and long ones */
    assert_non_null(dlopen("libm.so.6", RTLD_NOW));
    dl_iterate_phdr(note_object, NULL);
    for (size_t i = 0; i < loaded_count; i++)
        add_addresses(&loaded[i]);
    compare_batch();
    print_message("%lu addresses, %lu of them in a symbol\n", compared, with_symbol);
    assert_true(compared > 1000 && with_symbol > 500);
}

static void never(const struct vg_elf_object *object, const struct vg_elf_address *item,
                  void *argument)
{
    (void)object, (void)argument;
    fail_msg("%#lx is in no object", item->address);
}

static void knows_nothing_of_other_memory(void **state)
{
    static int here;
    (void)state;
    char *const heap = malloc(1);
    struct vg_elf_address outside[OUTSIDE] = { { .address = (uintptr_t)&here ^ (1ULL << 46) },
                                               { .address = (uintptr_t)heap },
                                               { .address = 0 } };
    vg_elf_find_addresses(outside, OUTSIDE, never, NULL);
    vg_elf_find_addresses(outside, 0, never, NULL);
    for (int i = 0; i < OUTSIDE; i++)
        assert_null(outside[i].symbol);
    free(heap);
}

/* In the object's range, but in no segment of it. */
static void knows_nothing_of_what_lies_between_segments(void **state)
{
    (void)state;
    struct vg_elf_address between[BATCH];
    size_t count = 0;
    for (size_t i = 0; i < loaded_count && count < BATCH; i++) {
        const ElfW(Phdr) *last = NULL;
        for (int k = 0; k < loaded[i].header_count; k++) {
            const ElfW(Phdr) *const header = &loaded[i].headers[k];
            if (header->p_type != PT_LOAD)
                continue;
            if (last && last->p_vaddr + last->p_memsz < header->p_vaddr && count < BATCH)
                between[count++] = (struct vg_elf_address){ .address = loaded[i].object.bias +
                                                                       header->p_vaddr - 1 };
            last = header;
        }
    }
    assert_true(count > 0);
    vg_elf_find_addresses(between, count, never, NULL);
}

/* Made by hand: a table of the old kind, symbols within symbols, without a size, undefined. */
static void reads_the_old_hash_table_too(void **state)
{
    (void)state;
    static const char strings[] = "\0outer\0inner\0point\0missing\0thread";
    const ElfW(Sym) symbols[] = {
        { 0 },
        { .st_name = 1, .st_info = STT_FUNC, .st_shndx = 5, .st_value = 0x10, .st_size = 0x40 },
        { .st_name = 7, .st_info = STT_FUNC, .st_shndx = 5, .st_value = 0x20, .st_size = 8 },
        { .st_name = 13, .st_info = STT_NOTYPE, .st_shndx = 5, .st_value = 0x80 },
        { .st_name = 19,
          .st_info = STT_FUNC,
          .st_shndx = SHN_UNDEF,
          .st_value = 0x90,
          .st_size = 8 },
        { .st_name = 27, .st_info = STT_TLS, .st_shndx = 6, .st_value = 0x90, .st_size = 8 },
    };
    const uint32_t hash[] = { 1, 6, 1, 0, 2, 3, 4, 5, 0 };
    const struct vg_elf_object object = {
        .bias = 0x1000, .symbols = symbols, .strings = strings, .sysv_hash = hash
    };
    static const struct {
        uintptr_t address;
        const char *symbol;
    } cases[] = {
        { 0x100f, NULL },    { 0x1010, "outer" }, { 0x101f, "outer" }, { 0x1020, "inner" },
        { 0x1027, "inner" }, { 0x1028, "outer" }, { 0x104f, "outer" }, { 0x1050, NULL },
        { 0x1080, "point" }, { 0x1081, NULL },    { 0x1090, NULL },
    };
    enum { CASES = sizeof cases / sizeof cases[0] };
    struct vg_elf_address list[CASES] = { { 0 } };
    for (int i = 0; i < CASES; i++)
        list[i].address = cases[i].address;
    vg_elf_name_addresses(&object, list, CASES);
    for (int i = 0; i < CASES; i++) {
        assert_int_equal(list[i].symbol != NULL, cases[i].symbol != NULL);
        if (cases[i].symbol)
            assert_string_equal(list[i].symbol, cases[i].symbol);
    }
    const struct vg_elf_object bare = { .symbols = symbols, .strings = strings };
    struct vg_elf_address one = { .address = 0x10 };
    vg_elf_name_addresses(&bare, &one, 1);
    assert_null(one.symbol);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_address_inside_a_function_is_named),
        cmocka_unit_test(tells_what_dladdr_tells),
        cmocka_unit_test(knows_nothing_of_other_memory),
        cmocka_unit_test(reads_the_old_hash_table_too),
        cmocka_unit_test(knows_nothing_of_what_lies_between_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

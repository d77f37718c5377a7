/* Reading recorder files: whole, torn, hostile, and while they are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record/reader.h"
#include "record/recorder.h"
#include "record/stack_merge.h"
#include "run_file_builder.h"

static struct builder built;
static struct vg_reader reader;
static char path[] = "/tmp/vg-test-reader-XXXXXX";
static char why[160];

static int make_path(void **state)
{
    (void)state;
    const int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

static int open_built(size_t length)
{
    builder_write(&built, path, length);
    why[0] = '\0';
    return vg_reader_open(&reader, path, why, sizeof why);
}

static const char *module_at(uint64_t address)
{
    const size_t index = vg_reader_module_index(&reader, address);
    return index < reader.module_count ? reader.modules[index]->path : NULL;
}

static int add_bytes(const struct vg_live_slot *slot, void *argument)
{
    *(uint64_t *)argument += slot->bytes;
    return 0;
}

static uint64_t live_bytes(void)
{
    uint64_t sum = 0;
    assert_int_equal(vg_reader_each_live(&reader, add_bytes, &sum), 0);
    return sum;
}

static void build_sample(void)
{
    static const uint64_t frames[] = { 0x1010, 0x2020 };
    builder_init(&built);
    builder_module(&built, 0x1000, 0x2000, "/bin/a");
    builder_module(&built, 0x2000, 0x3000, "/bin/b");
    builder_stack(&built, 1, frames, 2);
    builder_stack(&built, 2, frames + 1, 1);
    builder_record(&built, VG_JOURNAL_FAILURE, "a report", 8);
    for (uint64_t i = 1; i <= 100; i++)
        builder_slot(&built, i, 1, 0);
}

static void reads_all_parts(void **state)
{
    (void)state;
    char text[160];
    build_sample();
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(reader.header->pid, 4712);
    assert_int_equal(vg_reader_load(&reader), 0);
    assert_int_equal(reader.module_count, 2);
    assert_string_equal(module_at(0x2fff), "/bin/b");
    assert_null(module_at(0x3000));
    assert_null(module_at(0xfff));
    assert_int_equal(vg_reader_stack(&reader, 1)->depth, 2);
    assert_int_equal(vg_reader_stack(&reader, 2)->frames[0], 0x2020);
    assert_null(vg_reader_stack(&reader, 0));
    assert_null(vg_reader_stack(&reader, 3));
    assert_null(vg_reader_stack(&reader, UINT32_MAX));
    assert_int_equal(reader.failure_count, 1);
    assert_memory_equal(reader.failures[0].bytes, "a report", 8);
    assert_int_equal(live_bytes(), 5050);
    assert_false(vg_reader_describe_damage(&reader, text, sizeof text));
    vg_reader_close(&reader);
}

static void later_modules_win(void **state)
{
    (void)state;
    builder_init(&built);
    builder_module(&built, 0x1000, 0x3000, "/lib/old");
    builder_module(&built, 0x2000, 0x3000, "/lib/new");
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    assert_string_equal(module_at(0x2100), "/lib/new");
    assert_string_equal(module_at(0x1100), "/lib/old");
    vg_reader_close(&reader);
}

static void journal_goes_on_in_the_next_extent(void **state)
{
    (void)state;
    uint64_t frames[20];
    builder_init(&built);
    for (uint32_t id = 1; id <= 70; id++) {
        for (int i = 0; i < 20; i++)
            frames[i] = id;
        builder_stack(&built, id, frames, 20);
    }
    assert_true(built.journal_used > BUILDER_JOURNAL_EXTENT);
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    for (uint32_t id = 1; id <= 70; id++)
        assert_int_equal(vg_reader_stack(&reader, id)->frames[19], id);
    assert_int_equal(reader.damage.records, 0);
    vg_reader_close(&reader);
}

static void refuses_what_is_no_recorder_file(void **state)
{
    (void)state;
    build_sample();
    assert_int_equal(open_built(0), -EBADMSG);
    assert_int_equal(open_built(100), -EBADMSG);
    assert_string_equal(why, "cut off inside its header");
    built.header.magic[0] = 'X';
    assert_int_equal(open_built(BUILDER_CAP), -EBADMSG);
    assert_string_equal(why, "not a vramguard recorder file");
    memset(built.header.magic, 0, sizeof built.header.magic);
    assert_int_equal(open_built(BUILDER_CAP), -EAGAIN);
    build_sample();
    built.header.version = VG_FILE_VERSION + 1;
    assert_int_equal(open_built(BUILDER_CAP), -EPROTO);
    assert_non_null(strstr(why, "versions 3 to 4"));
    build_sample();
    built.header.byte_order = __builtin_bswap32(VG_FILE_BYTE_ORDER);
    assert_int_equal(open_built(BUILDER_CAP), -EPROTO);
    build_sample();
    memset(built.header.command, 'c', sizeof built.header.command);
    assert_int_equal(open_built(BUILDER_CAP), -EBADMSG);
    assert_int_equal(vg_reader_open(&reader, "/tmp", why, sizeof why), -EBADMSG);
    assert_string_equal(why, "not a regular file");
    assert_int_equal(vg_reader_open(&reader, "/no/such/file", why, sizeof why), -ENOENT);
}

static void never_waits_for_a_pipe(void **state)
{
    (void)state;
    char pipe_path[64];
    snprintf(pipe_path, sizeof pipe_path, "%s.pipe", path);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    alarm(20); /* instead of hanging for ever */
    assert_int_equal(vg_reader_open(&reader, pipe_path, why, sizeof why), -EBADMSG);
    alarm(0);
    unlink(pipe_path);
}

static void makes_header_texts_printable(void **state)
{
    (void)state;
    build_sample();
    strcpy(built.header.command, "a\033[2Jb");
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_string_equal(reader.header->command, "a?[2Jb");
    vg_reader_close(&reader);
}

static void counts_damaged_records(void **state)
{
    (void)state;
    static const uint64_t frames[] = { 1, 2, 3 };
    char text[160];
    builder_init(&built);
    builder_stack(&built, 1, frames, 3)->checksum++;
    builder_stack(&built, 2, frames, 3);
    builder_stack(&built, 0, frames, 3);        /* no id */
    builder_stack(&built, 1u << 31, frames, 3); /* no such id */
    builder_module(&built, 0x2000, 0x1000, "/backwards");
    builder_record(&built, 77, "future", 6);
    builder_record(&built, VG_JOURNAL_STACK, "short", 5);
    builder_stack(&built, 3, frames, 3);
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    assert_null(vg_reader_stack(&reader, 1));
    assert_non_null(vg_reader_stack(&reader, 2));
    assert_non_null(vg_reader_stack(&reader, 3));
    assert_int_equal(reader.damage.records, 5);
    assert_int_equal(reader.damage.unknown, 1);
    assert_true(vg_reader_describe_damage(&reader, text, sizeof text));
    assert_string_equal(text, "5 damaged records; 1 records of unknown types");
    vg_reader_close(&reader);
}

/* A stack of two native frames and of Python frames at `first` and `second`. */
static struct vg_journal_record *build_python_stack(uint32_t id, uint32_t python_depth,
                                                    uint32_t first, uint32_t second)
{
    union {
        struct vg_journal_stack stack;
        uint64_t words[16];
    } payload = { .stack = { .id = id, .depth = 2, .python_depth = python_depth } };
    payload.stack.frames[0] = 0x1010;
    payload.stack.frames[1] = 0x2020;
    struct vg_journal_python *const python = (void *)(payload.stack.frames + 2);
    python[0] = (struct vg_journal_python){ .code_id = 1, .line = 69, .at = first };
    python[1] = (struct vg_journal_python){ .code_id = 2, .line = 170, .at = second };
    return builder_record(&built, VG_JOURNAL_STACK, &payload,
                          (uint32_t)(sizeof payload.stack + 16 + 2 * sizeof *python));
}

static void build_code(uint32_t id, const char *texts, uint32_t file_bytes, uint32_t name_bytes,
                       uint32_t size)
{
    union {
        struct vg_journal_code code;
        char bytes[64];
    } payload = { .code = { .id = id, .file_bytes = file_bytes, .name_bytes = name_bytes } };
    memcpy(payload.code.texts, texts, size);
    builder_record(&built, VG_JOURNAL_CODE, &payload, (uint32_t)sizeof payload.code + size);
}

/* The merged order of stack `id` as text: lines of Python frames, "*" for native ones. */
static const char *order_of(uint32_t id)
{
    static char text[64];
    struct vg_stack_cursor cursor = { 0 };
    struct vg_stack_item item;
    text[0] = '\0';
    while (vg_stack_next(vg_reader_stack(&reader, id), &cursor, &item))
        snprintf(text + strlen(text), sizeof text - strlen(text), item.python ? " %u" : " *",
                 item.python ? item.python->line : 0);
    return text;
}

static void merges_python_frames(void **state)
{
    (void)state;
    builder_init(&built);
    build_code(1, "run.py\0allocate", 7, 9, 16);
    build_python_stack(1, 2, 0, 0);
    build_python_stack(2, 2, 1, 2);
    build_python_stack(3, 2, 0, 1);
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    assert_string_equal(order_of(1), " 69 170 * *");
    assert_string_equal(order_of(2), " * 69 * 170");
    assert_string_equal(order_of(3), " 69 * 170 *");
    assert_string_equal(vg_reader_code(&reader, 1)->texts, "run.py");
    assert_string_equal(vg_journal_code_name(vg_reader_code(&reader, 1)), "allocate");
    assert_null(vg_reader_code(&reader, 0));
    assert_null(vg_reader_code(&reader, 2));
    assert_null(vg_reader_code(&reader, UINT32_MAX));
    assert_int_equal(reader.damage.records, 0);
    vg_reader_close(&reader);
}

static void refuses_impossible_python_frames(void **state)
{
    (void)state;
    builder_init(&built);
    build_python_stack(1, 2, 0, 3); /* behind the native frames */
    build_python_stack(2, 2, 1, 0); /* not in order */
    build_python_stack(3, 3, 0, 0); /* more than there are */
    build_python_stack(4, UINT32_MAX, 0, 0);
    build_code(0, "a\0b", 2, 2, 4);          /* no id */
    build_code(UINT32_MAX, "a\0b", 2, 2, 4); /* no such id */
    build_code(1, "a\0b", 2, 3, 4);          /* too short */
    build_code(2, "abcd", 2, 2, 4);          /* a text without an end */
    build_code(3, "a\0b", 4, 0, 4);          /* no name */
    build_code(4, "a\0b", UINT32_MAX, 5, 4);
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    assert_int_equal(reader.damage.records, 10);
    for (uint32_t id = 0; id < 6; id++) {
        assert_null(vg_reader_stack(&reader, id));
        assert_null(vg_reader_code(&reader, id));
    }
    vg_reader_close(&reader);
}

static void a_broken_length_costs_one_extent(void **state)
{
    (void)state;
    uint64_t frames[20] = { 0 };
    builder_init(&built);
    struct vg_journal_record *const first = builder_stack(&built, 1, frames, 20);
    for (uint32_t id = 2; id <= 70; id++)
        builder_stack(&built, id, frames, 20);
    first->size_bytes = UINT32_MAX - 3;
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    assert_null(vg_reader_stack(&reader, 2));
    assert_non_null(vg_reader_stack(&reader, 70));
    assert_int_equal(reader.damage.records, 1);
    vg_reader_close(&reader);
}

static void an_unfinished_record_ends_the_journal(void **state)
{
    (void)state;
    static const uint64_t frames[] = { 1, 2, 3 };
    builder_init(&built);
    builder_stack(&built, 1, frames, 3);
    const uint64_t committed = built.journal_used;
    builder_stack(&built, 2, frames, 3)->type = VG_JOURNAL_NONE;
    built.header.journal_bytes = committed;
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    assert_non_null(vg_reader_stack(&reader, 1));
    assert_null(vg_reader_stack(&reader, 2));
    assert_int_equal(reader.damage.uncommitted, 1);
    vg_reader_close(&reader);
    /* Killed after the record's type and before the journal's length: the record counts. */
    build_sample();
    built.header.journal_bytes = 0;
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    assert_int_equal(reader.failure_count, 1);
    vg_reader_close(&reader);
}

static void a_cut_file_gives_what_is_left(void **state)
{
    (void)state;
    build_sample();
    const size_t second_live = BUILDER_CAP - BUILDER_LIVE_EXTENT;
    assert_int_equal(open_built(second_live + 64 + 10), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    assert_int_equal(reader.failure_count, 1);
    assert_int_equal(live_bytes(), 65 * 66 / 2); /* 64 slots before, one behind */
    assert_int_equal(reader.damage.missing_bytes, BUILDER_LIVE_EXTENT - 74);
    vg_reader_close(&reader);
    /* Cut while it is open. */
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(truncate(path, VG_FILE_HEADER_BYTES), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    assert_int_equal(live_bytes(), 0);
    vg_reader_close(&reader);
}

static void extents_must_make_sense(void **state)
{
    (void)state;
    static const struct vg_file_extent senseless[] = {
        { .area = 7, .offset_bytes = VG_FILE_HEADER_BYTES, .size_bytes = 4096 },
        { .area = VG_AREA_LIVE, .offset_bytes = 0, .size_bytes = 4096 },
        { .area = VG_AREA_LIVE, .offset_bytes = UINT64_MAX - 63, .size_bytes = 4096 },
        { .area = VG_AREA_LIVE, .offset_bytes = VG_FILE_HEADER_BYTES, .size_bytes = UINT64_MAX },
        { .area = VG_AREA_LIVE, .offset_bytes = VG_FILE_HEADER_BYTES + 1, .size_bytes = 4096 },
        { .area = VG_AREA_JOURNAL, .offset_bytes = VG_FILE_HEADER_BYTES, .size_bytes = 0 },
    };
    for (size_t i = 0; i < sizeof senseless / sizeof senseless[0]; i++) {
        build_sample();
        built.header.extents[1] = senseless[i];
        assert_int_equal(open_built(BUILDER_CAP), 0);
        assert_int_equal(vg_reader_load(&reader), 0);
        assert_int_equal(reader.damage.extents, 1);
        assert_int_equal(reader.failure_count, 1);
        vg_reader_close(&reader);
    }
}

static void impossible_allocations_are_counted(void **state)
{
    (void)state;
    build_sample();
    builder_slot(&built, UINT64_MAX, 1, 0);
    builder_slot(&built, 1, 1, VG_FILE_DEVICES);
    builder_slot(&built, 1, 1, 0)->kind = 9999;
    builder_slot(&built, 1, 1, 0)->address = 0;
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(live_bytes(), 5050);
    assert_int_equal(reader.damage.slots, 3);
    built.header.live_slots = UINT64_MAX;
    vg_reader_close(&reader);
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(live_bytes(), 5050);
    vg_reader_close(&reader);
}

static void slots_that_were_not_given_out_are_none(void **state)
{
    (void)state;
    build_sample();
    built.header.live_slots = 70; /* in the second extent */
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(live_bytes(), 70 * 71 / 2);
    vg_reader_close(&reader);
    built.header.live_slots = 3;
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(live_bytes(), 6);
    vg_reader_close(&reader);
}

static int stop_at_third(const struct vg_live_slot *slot, void *argument)
{
    (void)slot;
    return ++*(int *)argument == 3 ? 77 : 0;
}

static void a_visit_can_end_it(void **state)
{
    (void)state;
    int count = 0;
    build_sample();
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(vg_reader_each_live(&reader, stop_at_third, &count), 77);
    assert_int_equal(count, 3);
    vg_reader_close(&reader);
}

static int count_site(const struct vg_site_slot *slot, void *argument)
{
    (void)slot;
    ++*(int *)argument;
    return 0;
}

static void impossible_sites_are_counted(void **state)
{
    (void)state;
    enum { SITES = 8 };
    const struct vg_site_slot good = {
        .allocations = 5, .frees = 5, .peak_count = 5, .level = VG_SITE_BLOCK
    };
    int count = 0;
    build_sample();
    built.header.extents[3].area = VG_AREA_SITES;
    struct vg_site_slot *const sites = (void *)(built.bytes + built.header.extents[3].offset_bytes);
    for (int i = 0; i < SITES; i++)
        memcpy(&sites[i], &good, sizeof good);
    sites[0].frees = 6;
    sites[1].device = VG_FILE_DEVICES;
    sites[2].live_bytes = UINT64_MAX;
    sites[3].peak_bytes = UINT64_MAX;
    sites[4].peak_count = 6;
    atomic_store(&sites[5].level, VG_SITE_LEVELS);
    atomic_store(&sites[6].level, VG_SITE_NONE); /* no site */
    built.header.site_slots = SITES;
    assert_int_equal(open_built(BUILDER_CAP), 0);
    assert_int_equal(vg_reader_each_site(&reader, count_site, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(reader.damage.sites, 6);
    vg_reader_close(&reader);
}

/* Whatever the bytes are: no crash, no access outside of what was read. */
static void survives_random_damage(void **state)
{
    (void)state;
    srand(17);
    for (int round = 0; round < 1500; round++) {
        build_sample();
        const int hits = 1 + rand() % 40;
        for (int i = 0; i < hits; i++) {
            /* Mostly where something is. */
            const size_t at = rand() % 2 ? (size_t)rand() % sizeof(struct vg_file_header)
                                         : VG_FILE_HEADER_BYTES + (size_t)rand() % 600;
            built.bytes[at] = (char)rand();
        }
        if (rand() % 4 == 0) { /* a checksum that fits the damage */
            struct vg_journal_record *const record = (void *)(built.bytes + VG_FILE_HEADER_BYTES);
            if (record->size_bytes < 4096)
                record->checksum = vg_hash_fnv1a(record + 1, record->size_bytes);
        }
        memcpy(built.header.magic, VG_FILE_MAGIC, sizeof built.header.magic);
        if (open_built(rand() % 3 ? BUILDER_CAP : (size_t)rand() % BUILDER_CAP) != 0) {
            assert_true(why[0] != '\0');
            continue;
        }
        assert_int_equal(vg_reader_load(&reader), 0);
        for (uint32_t id = 0; id < 4; id++) {
            const struct vg_journal_stack *const stack = vg_reader_stack(&reader, id);
            uint64_t sum = 0;
            for (uint32_t k = 0; stack && k < stack->depth; k++)
                sum += stack->frames[k];
            assert_true(vg_reader_module_index(&reader, sum) <= reader.module_count);
        }
        for (size_t k = 0; k < reader.module_count; k++)
            assert_true(strlen(reader.modules[k]->path) < 64 * 1024);
        live_bytes();
        vg_reader_close(&reader);
    }
}

/* ---- the real writer ---- */

static struct vg_recorder recorder;
static _Atomic int writing;

static void *write_run(void *argument)
{
    (void)argument;
    for (uint32_t i = 1; i <= 20000; i++) {
        uint64_t first;
        const uint64_t frames[] = { i, i + 1, i + 2 };
        assert_int_equal(vg_recorder_stack(&recorder, frames, 3, false), i);
        if (vg_recorder_take_slots(&recorder, 1, &first) != 0)
            break;
        struct vg_live_slot *const slot = &recorder.slots[first];
        slot->bytes = 1000;
        slot->stack_id = i;
        slot->kind = VG_KIND_DEVICE;
        atomic_store_explicit(&slot->address, 0x1000 + i, memory_order_release);
    }
    writing = 0;
    return NULL;
}

/* The file is read again and again while it grows: each time everything in it is whole. */
static void reads_while_it_is_written(void **state)
{
    (void)state;
    pthread_t thread;
    const struct vg_recorder_config config = { .path_template = "/tmp/vg-test-run-%p.vgr" };
    assert_int_equal(vg_recorder_open(&recorder, &config), 0);
    assert_true(recorder.path[0] != '\0');
    writing = 1;
    assert_int_equal(pthread_create(&thread, NULL, write_run, NULL), 0);
    uint64_t last = 0;
    for (bool more = true; more;) {
        more = writing != 0;
        assert_int_equal(vg_reader_open(&reader, recorder.path, why, sizeof why), 0);
        assert_int_equal(vg_reader_load(&reader), 0);
        assert_int_equal(reader.damage.records, 0);
        assert_int_equal(reader.damage.extents, 0);
        uint32_t known = 1;
        while (vg_reader_stack(&reader, known)) {
            assert_int_equal(vg_reader_stack(&reader, known)->frames[0], known);
            known++;
        }
        const uint64_t bytes = live_bytes();
        assert_int_equal(reader.damage.slots, 0);
        assert_true(bytes >= last && bytes % 1000 == 0);
        last = bytes;
        if (!more) {
            assert_int_equal(known, 20001);
            assert_int_equal(bytes, 20000 * 1000);
            assert_true(reader.module_count > 2);
            assert_non_null(module_at((uintptr_t)&write_run));
        }
        vg_reader_close(&reader);
    }
    pthread_join(thread, NULL);
    vg_recorder_finish(&recorder, 3);
    assert_int_equal(vg_reader_open(&reader, recorder.path, why, sizeof why), 0);
    assert_int_equal(reader.header->end, VG_END_EXIT);
    assert_int_equal(reader.header->exit_status, 3);
    vg_reader_close(&reader);
    unlink(recorder.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_parts),
        cmocka_unit_test(later_modules_win),
        cmocka_unit_test(journal_goes_on_in_the_next_extent),
        cmocka_unit_test(refuses_what_is_no_recorder_file),
        cmocka_unit_test(never_waits_for_a_pipe),
        cmocka_unit_test(makes_header_texts_printable),
        cmocka_unit_test(counts_damaged_records),
        cmocka_unit_test(merges_python_frames),
        cmocka_unit_test(refuses_impossible_python_frames),
        cmocka_unit_test(a_broken_length_costs_one_extent),
        cmocka_unit_test(an_unfinished_record_ends_the_journal),
        cmocka_unit_test(a_cut_file_gives_what_is_left),
        cmocka_unit_test(extents_must_make_sense),
        cmocka_unit_test(impossible_allocations_are_counted),
        cmocka_unit_test(slots_that_were_not_given_out_are_none),
        cmocka_unit_test(a_visit_can_end_it),
        cmocka_unit_test(impossible_sites_are_counted),
        cmocka_unit_test(survives_random_damage),
        cmocka_unit_test(reads_while_it_is_written),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}

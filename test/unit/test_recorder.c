/* The recorder file's writer: what is in the file, and how it grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>

#include <sys/resource.h>

#include "record/reader.h"
#include "recorder_fixture.h"

static int setup(void **state)
{
    return make_scratch(state) == 0 ? open_at(in_scratch("run.vgr")) : -1;
}

static void header_says_who_and_when(void **state)
{
    (void)state;
    struct record record;
    struct stat status;
    assert_string_equal(recorder.path, in_scratch("run.vgr"));
    assert_int_equal(stat(recorder.path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_true(read_record(recorder.path, &record));
    const struct vg_file_header *const header = record.header;
    assert_int_equal(header->version, VG_FILE_VERSION);
    assert_int_equal(header->byte_order, VG_FILE_BYTE_ORDER);
    assert_int_equal(header->header_bytes, VG_FILE_HEADER_BYTES);
    assert_int_equal(header->slot_bytes, 64);
    assert_int_equal(header->pid, getpid());
    assert_int_equal(header->uid, getuid());
    assert_true(header->start_ticks > 0);
    assert_string_equal(header->exe, "test_recorder");
    assert_non_null(strstr(header->command, "test_recorder"));
    assert_int_equal(strlen(header->boot_id), 36);
    assert_int_equal(header->end, VG_END_NONE);
    assert_int_equal(header->memory_only, 0);
    struct timespec time; /* not time(2)'s, which is up to a tick behind */
    clock_gettime(CLOCK_REALTIME, &time);
    const uint64_t now_ns = (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
    assert_in_range(header->start_realtime_ns, now_ns - UINT64_C(60000000000), now_ns);
    free_record(&record);
}

static void finish_is_written(void **state)
{
    (void)state;
    struct record record;
    vg_recorder_finish(&recorder, 37);
    assert_true(use_slots(1)); /* still usable */
    assert_true(read_record(recorder.path, &record));
    assert_int_equal(record.header->end, VG_END_EXIT);
    assert_int_equal(record.header->exit_status, 37);
    assert_true(record.header->end_realtime_ns >= record.header->start_realtime_ns);
    free_record(&record);
}

static void extents_follow_their_rule(void **state)
{
    (void)state;
    const uint64_t kib = 1024, mib = 1024 * 1024;
    assert_int_equal(vg_area_extent_end(0), 64 * kib);
    assert_int_equal(vg_area_extent_end(64 * kib - 1), 64 * kib);
    assert_int_equal(vg_area_extent_end(64 * kib), 128 * kib);
    assert_int_equal(vg_area_extent_end(128 * kib), 256 * kib);
    assert_int_equal(vg_area_extent_end(8 * mib), 16 * mib);
    assert_int_equal(vg_area_extent_end(16 * mib - 1), 16 * mib);
    assert_int_equal(vg_area_extent_end(16 * mib), 32 * mib);
    assert_int_equal(vg_area_extent_end(48 * mib + 1), 64 * mib);
}

static void live_area_grows_in_the_file(void **state)
{
    (void)state;
    enum { SLOTS = 600000, STEP = 1000 }; /* 37 MiB: beyond the doubling */
    for (int i = 0; i < SLOTS; i += STEP)
        assert_true(use_slots(STEP));
    struct record record;
    uint64_t bytes;
    assert_true(read_record(recorder.path, &record));
    assert_int_equal(record.header->live_slots, SLOTS);
    assert_int_equal(count_live(&record, &bytes), SLOTS);
    assert_int_equal(bytes, (uint64_t)SLOTS * (SLOTS - 1) / 2);
    const struct vg_live_slot *const slots = (const void *)record.areas[VG_AREA_LIVE];
    for (uint64_t i = 0; i < SLOTS; i++)
        if (slots[i].address != (i + 1) * 512)
            fail_msg("slot %llu holds another's address", (unsigned long long)i);
    free_record(&record);
}

static void *take_slots(void *argument)
{
    uint64_t *const firsts = argument;
    for (int i = 0; i < 500; i++)
        if (vg_recorder_take_slots(&recorder, 64, &firsts[i]) != 0)
            firsts[i] = UINT64_MAX;
    return NULL;
}

static void slots_are_given_out_once(void **state)
{
    (void)state;
    static uint64_t firsts[8][500];
    static bool given[8 * 500];
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_slots, firsts[i]), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 8 * 500; i++) {
        const uint64_t first = firsts[i / 500][i % 500];
        assert_true(first % 64 == 0 && first / 64 < 8 * 500);
        assert_false(given[first / 64]);
        given[first / 64] = true;
    }
    assert_true(use_slots(1));
}

enum { RECORDS = 3000 };

static uint32_t record_size(uint32_t i)
{
    return i % 50 == 7 ? 48 * 1024 - i % 9 : i * 37 % 700; /* 0 included */
}

static void check_record(uint32_t type, const void *payload, uint32_t size_bytes, void *argument)
{
    uint32_t *const next = argument;
    const unsigned char *const bytes = payload;
    bool right = type == VG_JOURNAL_FAILURE && size_bytes == record_size(*next);
    for (uint32_t i = 0; right && i < size_bytes; i++)
        right = bytes[i] == (unsigned char)(*next + i);
    if (right)
        ++*next;
}

static void journal_keeps_every_record(void **state)
{
    (void)state;
    static unsigned char payload[48 * 1024];
    for (uint32_t i = 0; i < RECORDS; i++) {
        uint64_t offset;
        for (uint32_t k = 0; k < record_size(i); k++)
            payload[k] = (unsigned char)(i + k);
        assert_int_equal(
            vg_recorder_append(&recorder, VG_JOURNAL_FAILURE, payload, record_size(i), &offset), 0);
        assert_memory_equal(recorder.journal.base + offset, payload, record_size(i));
    }
    struct record record;
    uint32_t next = 0;
    assert_true(read_record(recorder.path, &record));
    assert_int_equal(walk_journal(&record, check_record, &next), RECORDS);
    assert_int_equal(next, RECORDS);
    free_record(&record);
}

static void *append_many(void *argument)
{
    char payload[600];
    memset(payload, *(const int *)argument, sizeof payload);
    for (uint32_t i = 0; i < 2000; i++)
        if (vg_recorder_append(&recorder, VG_JOURNAL_FAILURE, payload, i % 600, NULL) != 0)
            return argument;
    return NULL;
}

static void check_one_letter(uint32_t type, const void *payload, uint32_t size_bytes,
                             void *argument)
{
    const char *const bytes = payload;
    (void)type;
    for (uint32_t i = 1; i < size_bytes; i++)
        *(long *)argument += bytes[i] != bytes[0];
}

static void threads_append_whole_records(void **state)
{
    (void)state;
    static int letters[4] = { 'a', 'b', 'c', 'd' };
    pthread_t threads[4];
    void *failed = NULL;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, append_many, &letters[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    struct record record;
    long mixed = 0;
    assert_true(read_record(recorder.path, &record));
    assert_int_equal(walk_journal(&record, check_one_letter, &mixed), 4 * 2000);
    assert_int_equal(mixed, 0);
    free_record(&record);
}

static void same_stack_same_id(void **state)
{
    (void)state;
    assert_int_equal(stack_of(1, 0), 0);
    assert_int_equal(stack_of(1, VG_STACK_FRAMES + 1), 0);
    assert_int_equal(stack_of(1, 5), 1);
    assert_int_equal(stack_of(2, 5), 2);
    assert_int_equal(stack_of(2, 6), 3); /* deeper is another */
    assert_int_equal(stack_of(1, 5), 1);
    assert_int_equal(stack_of(9, VG_STACK_FRAMES), 4);
    const struct vg_journal_stack *stack = vg_recorder_stack_record(&recorder, 2);
    assert_int_equal(stack->depth, 5);
    assert_int_equal(stack->frames[0], 0x400000 + 2 * 64);
    assert_int_equal(stack->frames[4], 0x400000 + 2 * 64 + 4);
    assert_int_equal(stack->truncated, 0);
    stack = vg_recorder_stack_record(&recorder, 4);
    assert_int_equal(stack->depth, VG_STACK_FRAMES);
    assert_int_equal(stack->truncated, 1);
    assert_null(vg_recorder_stack_record(&recorder, 0));
    assert_null(vg_recorder_stack_record(&recorder, 5));
    assert_null(vg_recorder_stack_record(&recorder, UINT32_MAX));
}

static void python_frames_are_kept(void **state)
{
    (void)state;
    static const uint64_t native[] = { 0x400000, 0x400010 };
    const uint32_t first = vg_recorder_add_code(&recorder, 11, 60, "/a/run.py", "Device.allocate");
    const uint32_t second = vg_recorder_add_code(&recorder, 12, 0, "", "");
    assert_int_equal(first, 1);
    assert_int_equal(second, 2);
    assert_int_equal(vg_recorder_add_code(&recorder, 11, 60, "/a/run.py", "Device.allocate"), 1);
    assert_int_equal(vg_recorder_find_code(&recorder, 12), 2);
    assert_int_equal(vg_recorder_find_code(&recorder, 13), 0);
    const struct vg_journal_code *const code = vg_recorder_code_record(&recorder, 1);
    assert_string_equal(code->texts, "/a/run.py");
    assert_string_equal(vg_journal_code_name(code), "Device.allocate");
    assert_int_equal(code->first_line, 60);
    assert_null(vg_recorder_code_record(&recorder, 0));
    assert_null(vg_recorder_code_record(&recorder, 3));
    vg_recorder_rename_code_file(&recorder, 1, "<cell 7>");
    vg_recorder_rename_code_file(&recorder, 3, "<cell 8>"); /* there is none */
    const struct vg_journal_code *const renamed = vg_recorder_code_record(&recorder, 1);
    assert_string_equal(renamed->texts, "<cell 7>");
    assert_string_equal(vg_journal_code_name(renamed), "Device.allocate");
    assert_true(renamed->id == 1 && renamed->first_line == 60);
    assert_string_equal(code->texts, "/a/run.py"); /* who has it reads on */
    assert_int_equal(vg_recorder_find_code(&recorder, 11), 1);

    const struct vg_journal_python python[] = { { .code_id = 1, .line = 69, .at = 1 },
                                                { .code_id = 2, .at = 2 } };
    struct vg_recorder_frames frames = {
        .native = native, .depth = 2, .python = python, .python_depth = 2
    };
    assert_int_equal(vg_recorder_find_stack(&recorder, 77), 0);
    const uint32_t id = vg_recorder_add_stack(&recorder, 77, &frames);
    assert_int_equal(vg_recorder_add_stack(&recorder, 77, &frames), id);
    assert_int_equal(vg_recorder_find_stack(&recorder, 77), id);
    const struct vg_journal_stack *const stack = vg_recorder_stack_record(&recorder, id);
    assert_int_equal(stack->python_depth, 2);
    assert_memory_equal(vg_journal_stack_python(stack), python, sizeof python);
    frames.depth = 0; /* Python frames alone */
    assert_true(vg_recorder_add_stack(&recorder, 78, &frames) > id);
    frames.python_depth = 0;
    assert_int_equal(vg_recorder_add_stack(&recorder, 79, &frames), 0);
    frames.python_depth = VG_PYTHON_FRAMES + 1;
    assert_int_equal(vg_recorder_add_stack(&recorder, 80, &frames), 0);
}

struct stacks_seen {
    uint32_t count, wrong;
};

static void check_stack(uint32_t type, const void *payload, uint32_t size_bytes, void *argument)
{
    struct stacks_seen *const seen = argument;
    const struct vg_journal_stack *const stack = payload;
    if (type != VG_JOURNAL_STACK)
        return;
    seen->count++;
    seen->wrong += stack->id != seen->count || size_bytes != sizeof *stack + stack->depth * 8u;
}

static void *same_stacks(void *argument)
{
    uint32_t *const ids = argument;
    for (uint64_t i = 0; i < 5000; i++)
        ids[i] = stack_of(i, 12);
    return NULL;
}

static void threads_agree_on_stacks(void **state)
{
    (void)state;
    static uint32_t ids[8][5000];
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, same_stacks, ids[i]), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    for (int i = 1; i < 8; i++)
        assert_memory_equal(ids[i], ids[0], sizeof ids[0]);
    struct record record;
    struct stacks_seen seen = { 0 };
    assert_true(read_record(recorder.path, &record));
    assert_true(walk_journal(&record, check_stack, &seen) > 5000); /* and modules */
    assert_int_equal(seen.count, 5000);
    assert_int_equal(seen.wrong, 0);
    free_record(&record);
}

struct module_search {
    const char *path_end;
    uint64_t address; /* 0: any */
    int found;
};

static void match_module(uint32_t type, const void *payload, uint32_t size_bytes, void *argument)
{
    struct module_search *const search = argument;
    const struct vg_journal_module *const module = payload;
    if (type != VG_JOURNAL_MODULE)
        return;
    const size_t length = strnlen(module->path, size_bytes - sizeof *module);
    const size_t wanted = strlen(search->path_end);
    search->found += length >= wanted && size_bytes == sizeof *module + length + 1 &&
                     strcmp(module->path + length - wanted, search->path_end) == 0 &&
                     module->start < module->end &&
                     (search->address == 0 ||
                      (search->address >= module->start && search->address < module->end));
}

static int modules_like(const char *path_end, uint64_t address)
{
    struct record record;
    struct module_search search = { .path_end = path_end, .address = address };
    if (!read_record(recorder.path, &record) || walk_journal(&record, match_module, &search) < 0)
        return -1;
    free_record(&record);
    return search.found;
}

static void modules_are_recorded_with_the_first_stack(void **state)
{
    (void)state;
    assert_int_equal(modules_like("", 0), 0);
    stack_of(1, 3);
    assert_int_equal(modules_like("/test_recorder", (uint64_t)(uintptr_t)&stack_of), 1);
    void *const libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(libc);
    assert_int_equal(modules_like("/libc.so.6", (uint64_t)(uintptr_t)dlsym(libc, "qsort")), 1);
    const int before = modules_like("", 0);
    stack_of(2, 3);
    assert_int_equal(modules_like("", 0), before);
    void *const late = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL);
    assert_non_null(late);
    stack_of(3, 3);
    assert_int_equal(modules_like("/libresolv.so.2", 0), 1);
    assert_int_equal(modules_like("", 0), before + 1);
    dlclose(late);
}

static char beyond_the_file[1 << 20]; /* zeros are in no file */

struct id_search {
    const char *path_end;
    struct vg_journal_module *out;
    bool found;
};

static void take_module(uint32_t type, const void *payload, uint32_t size_bytes, void *argument)
{
    struct id_search *const search = argument;
    const struct vg_journal_module *const module = payload;
    (void)size_bytes;
    if (type != VG_JOURNAL_MODULE || !strstr(module->path, search->path_end))
        return;
    *search->out = *module;
    search->found = true;
}

/* The build id as it lies in the file: the first note of that type (elf(5), ElfN_Nhdr). */
static void file_tells_the_same_build_id(void **state)
{
    (void)state;
    static const char head[] = { 4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0 };
    static char bytes[64 * 1024];
    struct vg_journal_module module;
    struct record record;
    struct id_search search = { .path_end = "/libc.so.6", .out = &module };
    stack_of(101, 3);
    assert_true(read_record(recorder.path, &record));
    assert_true(walk_journal(&record, take_module, &search) > 0);
    free_record(&record);
    assert_true(search.found);
    Dl_info info;
    void *const libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    assert_int_not_equal(dladdr(dlsym(libc, "getppid"), &info), 0);
    FILE *const file = fopen(info.dli_fname, "r");
    assert_non_null(file);
    const size_t length = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    const char *const note = memmem(bytes, length, head, sizeof head);
    if (!note)
        skip(); /* built otherwise */
    assert_int_equal(module.build_id_bytes, 20);
    assert_memory_equal(module.build_id, note + sizeof head, 20);
}

static void modules_reach_to_their_last_byte(void **state)
{
    (void)state;
    stack_of(102, 3);
    assert_int_equal(
        modules_like("/test_recorder",
                     (uint64_t)(uintptr_t)&beyond_the_file[sizeof beyond_the_file - 1]),
        1);
}

static void a_full_table_of_extents_is_the_end_of_the_file(void **state)
{
    (void)state;
    struct vg_file_header *const header = recorder.header;
    for (int i = 0; i < VG_FILE_EXTENTS; i++)
        if (header->extents[i].area == VG_AREA_NONE)
            header->extents[i].area = VG_AREA_BLOCKS;
    const struct vg_file_extent first = header->extents[0];
    assert_true(use_slots(5000)); /* in memory from then on */
    assert_int_equal(header->memory_only, 1);
    assert_memory_equal(&header->extents[0], &first, sizeof first);
}

static void an_area_ends_where_its_space_does(void **state)
{
    (void)state;
    const uint32_t slots = VG_AREA_FIRST_BYTES / sizeof(struct vg_live_slot);
    uint64_t first;
    recorder.live.reserved_bytes = 2 * VG_AREA_FIRST_BYTES;
    assert_true(use_slots(2 * slots));
    assert_int_equal(vg_recorder_take_slots(&recorder, 1, &first), -ENOMEM);
}

static void recorders_have_stacks_of_their_own(void **state)
{
    (void)state;
    static struct vg_recorder other; /* as after a fork */
    const uint64_t frames[] = { 0x400000, 0x400001, 0x400002 };
    const struct vg_recorder_config config = { .path_template = in_scratch("other.vgr") };
    assert_int_equal(vg_recorder_open(&other, &config), 0);
    assert_int_equal(vg_recorder_stack(&recorder, frames, 3, false), 1);
    assert_int_equal(vg_recorder_stack(&recorder, frames, 2, false), 2);
    assert_int_equal(vg_recorder_stack(&other, frames, 2, false), 1);
    assert_int_equal(vg_recorder_stack(&recorder, frames, 2, false), 2);
    assert_non_null(vg_recorder_stack_record(&other, 1));
    assert_null(vg_recorder_stack_record(&other, 2));
    assert_null(vg_recorder_stack_record(&other, 0));
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *const directory = opendir("/proc/self/fd");
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void no_descriptor_stays_open(void **state)
{
    (void)state;
    const int before = open_descriptors();
    assert_int_equal(open_at(in_scratch("other")), 0);
    assert_true(use_slots(5000));
    stack_of(1, 3);
    assert_int_equal(open_descriptors(), before);
}

static uint64_t used_address_space(void)
{
    unsigned long pages = 0;
    FILE *const file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void limited_child(void *argument)
{
    const uint64_t left_bytes = UINT64_C(1) << 30, before = used_address_space();
    const struct rlimit limit = { before + left_bytes, before + left_bytes };
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(open_at(argument) == 0);
    CHECK(used_address_space() - before < left_bytes / 7);
    CHECK(use_slots(1000));
    CHECK(stack_of(1, 10) == 1);
}

static void little_address_space_is_left_to_the_program(void **state)
{
    (void)state;
    char text[512];
    const char *const path = in_scratch("run");
    assert_int_equal(run_child(limited_child, (void *)(uintptr_t)path, text, sizeof text), 0);
    assert_string_equal(text, "");
}

static void released_child(void *argument)
{
    CHECK(open_at(argument) == 0);
    const uint64_t with = used_address_space();
    vg_recorder_release(&recorder);
    CHECK(with - used_address_space() > (UINT64_C(8) << 30));
}

static void what_was_reserved_is_given_back(void **state)
{
    (void)state;
    char text[512];
    const char *const path = in_scratch("run");
    assert_int_equal(run_child(released_child, (void *)(uintptr_t)path, text, sizeof text), 0);
}

/* Stacks until there is no room, then failures. */
static void full_journal_child(void *argument)
{
    const struct rlimit limit = { used_address_space() + (64 << 20), RLIM_INFINITY };
    char failure[40000];
    uint64_t stacks = 0;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(open_at(argument) == 0);
    while (stack_of(++stacks, 60) != 0)
        CHECK(stacks < 100000);
    CHECK(recorder.header->dropped_count == 1);
    memset(failure, 7, sizeof failure);
    CHECK(vg_recorder_append(&recorder, VG_JOURNAL_FAILURE_PARTS, failure, sizeof failure, NULL) ==
          0);
    CHECK(stack_of(++stacks, 60) == 0 && recorder.header->dropped_count == 2);
}

static void full_journal_keeps_room_for_failures(void **state)
{
    (void)state;
    char text[512], why[200];
    const char *const path = in_scratch("run");
    struct vg_reader reader;
    assert_int_equal(run_child(full_journal_child, (void *)(uintptr_t)path, text, sizeof text), 0);
    assert_string_equal(text, "");
    assert_int_equal(vg_reader_open(&reader, path, why, sizeof why), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    assert_true(vg_reader_describe_damage(&reader, why, sizeof why));
    assert_non_null(strstr(why, "no room for 2 records"));
    vg_reader_close(&reader);
}

#define WRITER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WRITER_TEST(header_says_who_and_when),
        WRITER_TEST(finish_is_written),
        WRITER_TEST(extents_follow_their_rule),
        WRITER_TEST(live_area_grows_in_the_file),
        WRITER_TEST(slots_are_given_out_once),
        WRITER_TEST(journal_keeps_every_record),
        WRITER_TEST(threads_append_whole_records),
        WRITER_TEST(same_stack_same_id),
        WRITER_TEST(python_frames_are_kept),
        WRITER_TEST(threads_agree_on_stacks),
        WRITER_TEST(modules_are_recorded_with_the_first_stack),
        WRITER_TEST(file_tells_the_same_build_id),
        WRITER_TEST(modules_reach_to_their_last_byte),
        WRITER_TEST(a_full_table_of_extents_is_the_end_of_the_file),
        WRITER_TEST(an_area_ends_where_its_space_does),
        WRITER_TEST(recorders_have_stacks_of_their_own),
        WRITER_TEST(no_descriptor_stays_open),
        WRITER_TEST(little_address_space_is_left_to_the_program),
        WRITER_TEST(what_was_reserved_is_given_back),
        WRITER_TEST(full_journal_keeps_room_for_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

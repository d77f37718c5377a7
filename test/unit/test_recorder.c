/* The recorder file's writer: what is in the file, how it grows, and what happens when it cannot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "base/process.h"
#include "core_fixture.h"
#include "recorder/recorder.h"
#include "recorder/run_file.h"

static struct vg_recorder recorder;

static int open_at(const char *path_template)
{
    memset(&recorder, 0, sizeof recorder);
    const struct vg_recorder_config config = { .path_template = path_template,
                                               .snapshot_bytes = 4321 };
    return vg_recorder_open(&recorder, &config);
}

static int setup(void **state)
{
    return make_scratch(state) == 0 ? open_at(in_scratch("run.vgr")) : -1;
}

/* Uses `count` slots more as the index of live allocations does. */
static bool use_slots(uint32_t count)
{
    uint64_t first;
    if (vg_recorder_take_slots(&recorder, count, &first) != 0)
        return false;
    for (uint64_t i = first; i < first + count; i++) {
        if (recorder.slots[i].address != 0)
            return false;
        recorder.slots[i].bytes = i;
        atomic_store(&recorder.slots[i].address, (i + 1) * 512);
    }
    return true;
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
    assert_int_equal(header->snapshot_bytes, 4321);
    assert_int_equal(header->pid, getpid());
    assert_int_equal(header->uid, getuid());
    assert_true(header->start_ticks > 0);
    assert_string_equal(header->exe, "test_recorder");
    assert_non_null(strstr(header->command, "test_recorder"));
    assert_int_equal(strlen(header->boot_id), 36);
    assert_int_equal(header->end, VG_END_NONE);
    assert_int_equal(header->memory_only, 0);
    const uint64_t now = (uint64_t)time(NULL) * 1000000000;
    assert_in_range(header->start_realtime_ns, now - UINT64_C(60000000000), now + 1000000000);
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

static uint32_t stack_of(uint64_t seed, uint32_t depth)
{
    uint64_t frames[VG_STACK_FRAMES + 1];
    for (uint32_t i = 0; i < depth; i++)
        frames[i] = 0x400000 + seed * 64 + i;
    return vg_recorder_stack(&recorder, frames, depth, depth == VG_STACK_FRAMES);
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

/* In a child each: what is wrong is told once a process. */

static void use_without_a_file(void)
{
    CHECK(recorder.path[0] == '\0');
    CHECK(use_slots(100000));
    for (uint64_t i = 0; i < 2000; i++)
        CHECK(stack_of(i, 20) == i + 1);
    CHECK(recorder.header->live_slots == 100000);
    vg_recorder_finish(&recorder, 3);
    CHECK(recorder.header->exit_status == 3);
}

static void unwritable_folder_child(void *argument)
{
    setenv("XDG_STATE_HOME", argument, 1);
    CHECK(open_at("") == 0);
    use_without_a_file();
}

static void unwritable_folder_is_one_line(void **state)
{
    (void)state;
    char text[4096], place[128];
    fclose(fopen(in_scratch("file"), "w"));
    snprintf(place, sizeof place, "%s/file/below", scratch);
    assert_int_equal(run_child(unwritable_folder_child, place, text, sizeof text), 0);
    assert_int_equal(line_count(text), 1);
    assert_non_null(strstr(text, place));
    assert_non_null(strstr(text, "Not a directory"));
}

static void limit_file_size(rlim_t bytes)
{
    const struct rlimit limit = { .rlim_cur = bytes, .rlim_max = bytes };
    signal(SIGXFSZ, SIG_DFL);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void no_room_for_the_header_child(void *argument)
{
    limit_file_size(4096);
    CHECK(open_at(argument) == 0);
    CHECK(access(argument, F_OK) != 0); /* nothing is left behind */
    use_without_a_file();
}

static void no_room_for_the_header(void **state)
{
    (void)state;
    char text[4096], path[128];
    snprintf(path, sizeof path, "%s/limited", scratch);
    assert_int_equal(run_child(no_room_for_the_header_child, path, text, sizeof text), 0);
    assert_int_equal(line_count(text), 1);
    assert_non_null(strstr(text, path));
    assert_non_null(strstr(text, "File too large"));
}

/* Goes on beyond what the file can hold: nothing is lost to the process. */
static void outgrow_the_file(void)
{
    enum { SLOTS = 100000 };
    CHECK(use_slots(SLOTS));
    for (uint64_t i = 0; i < 3000; i++)
        CHECK(stack_of(i, 30) == i + 1);
    for (uint64_t i = 0; i < SLOTS; i++)
        CHECK(recorder.slots[i].address == (i + 1) * 512);
    for (uint32_t id = 1; id <= 3000; id++) {
        const struct vg_journal_stack *const stack = vg_recorder_stack_record(&recorder, id);
        CHECK(stack && stack->depth == 30);
        CHECK(stack->frames[29] == 0x400000 + (id - 1) * 64 + 29);
    }
    CHECK(recorder.header->memory_only == 1);
}

static void check_outgrown_record(const char *path, uint64_t most_bytes)
{
    struct record record;
    uint64_t bytes;
    assert_true(read_record(path, &record));
    assert_true(record.size_bytes <= most_bytes);
    assert_int_equal(record.header->memory_only, 1);
    assert_true(record.header->live_slots >= 100000);
    assert_int_equal(count_live(&record, &bytes),
                     record.area_bytes[VG_AREA_LIVE] / sizeof(struct vg_live_slot));
    free_record(&record);
}

static void file_size_limit_child(void *argument)
{
    limit_file_size(300 * 1024);
    CHECK(open_at(argument) == 0);
    outgrow_the_file();
}

static void file_size_limit_on_growth(void **state)
{
    (void)state;
    char text[4096], path[128];
    snprintf(path, sizeof path, "%s/limited", scratch);
    assert_int_equal(run_child(file_size_limit_child, path, text, sizeof text), 0);
    assert_int_equal(line_count(text), 1);
    assert_non_null(strstr(text, "File too large"));
    check_outgrown_record(path, 300 * 1024);
}

static void full_disk_child(void *argument)
{
    CHECK(open_at(argument) == 0);
    outgrow_the_file();
    /* The file system goes with this process. */
    struct record record;
    CHECK(read_record(argument, &record));
    CHECK(record.header->memory_only == 1 && record.area_bytes[VG_AREA_LIVE] > 0);
    free_record(&record);
}

static void mount_small(void *argument)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", scratch, "tmpfs", 0, "size=512k") != 0)
        _exit(77);
    full_disk_child(argument);
}

static void full_disk_on_growth(void **state)
{
    (void)state;
    char text[4096], path[128];
    snprintf(path, sizeof path, "%s/full", scratch);
    const int status = run_child(mount_small, path, text, sizeof text);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("skipped: this machine does not let us mount a file system of our own\n");
        skip();
    }
    assert_int_equal(status, 0);
    assert_int_equal(line_count(text), 1);
    assert_non_null(strstr(text, "No space left on device"));
}

static void deleted_file_child(void *argument)
{
    CHECK(open_at(argument) == 0);
    CHECK(use_slots(1));
    CHECK(unlink(argument) == 0);
    outgrow_the_file();
    CHECK(access(argument, F_OK) != 0); /* and not made again */
}

static void deleted_file_goes_on_in_memory(void **state)
{
    (void)state;
    char text[4096], path[128];
    snprintf(path, sizeof path, "%s/deleted", scratch);
    assert_int_equal(run_child(deleted_file_child, path, text, sizeof text), 0);
    assert_int_equal(line_count(text), 1);
}

static void replaced_file_child(void *argument)
{
    CHECK(open_at(argument) == 0);
    CHECK(use_slots(1));
    FILE *const other = fopen(in_scratch("other"), "w");
    fputs("precious", other);
    fclose(other);
    CHECK(rename(in_scratch("other"), argument) == 0);
    outgrow_the_file();
}

static void file_in_our_place_is_left_alone(void **state)
{
    (void)state;
    char text[4096], path[128], content[32];
    snprintf(path, sizeof path, "%s/replaced", scratch);
    assert_int_equal(run_child(replaced_file_child, path, text, sizeof text), 0);
    assert_int_equal(line_count(text), 1);
    assert_int_equal(vg_process_read_file(path, content, sizeof content), 8);
    assert_string_equal(content, "precious");
}

/* Stands in for the C library's: allocating blocks can be interrupted by a signal on file systems
 * that take their time (tmpfs before Linux 6.7). */
static int interruptions;

int posix_fallocate(int fd, off_t offset, off_t length)
{
    if (interruptions > 0) {
        interruptions--;
        return EINTR;
    }
    return fallocate(fd, 0, offset, length) == 0 ? 0 : errno;
}

static void interrupted_child(void *argument)
{
    interruptions = 1;
    CHECK(open_at(argument) == 0);
    CHECK(recorder.path[0] != '\0');
    interruptions = 3;
    CHECK(use_slots(5000));
    CHECK(recorder.header->memory_only == 0);
}

static void growth_survives_a_signal(void **state)
{
    (void)state;
    char text[4096], path[128];
    snprintf(path, sizeof path, "%s/interrupted", scratch);
    const int status = run_child(interrupted_child, path, text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(status, 0);
}

/* Names. */

static const char *expand(const char *path_template)
{
    static char out[512];
    assert_int_equal(
        vg_run_file_expand(path_template, UINT64_C(951831662) * 1000000000, out, sizeof out), 0);
    return out;
}

static void placeholders_are_expanded(void **state)
{
    (void)state;
    char wanted[128];
    snprintf(wanted, sizeof wanted, "a-%d-b", (int)getpid());
    assert_string_equal(expand("a-%p-b"), wanted);
    assert_string_equal(expand("%e"), "test_recorder");
    assert_string_equal(expand("%t"), "20000229-134102");
    assert_string_equal(expand("100%%"), "100%");
    assert_string_equal(expand("%%p"), "%p");
    assert_string_equal(expand("%z%"), "%z%");
    assert_string_equal(expand(""), "");
    char small[8];
    assert_int_equal(vg_run_file_expand("12345678", 0, small, sizeof small), -ENAMETOOLONG);
}

static void taken_names_get_a_number(void **state)
{
    (void)state;
    char path[4096];
    const char *const wanted[] = { "n.vgr", "n-2.vgr", "n-3.vgr" };
    for (int i = 0; i < 3; i++) {
        const int fd = vg_run_file_create(in_scratch("n.vgr"), 0, path, sizeof path);
        assert_true(fd >= 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_string_equal(path, in_scratch(wanted[i]));
        close(fd);
    }
    close(vg_run_file_create(in_scratch("bare"), 0, path, sizeof path));
    close(vg_run_file_create(in_scratch("bare"), 0, path, sizeof path));
    assert_string_equal(path, in_scratch("bare-2"));
    assert_int_equal(symlink("/etc/passwd", in_scratch("link")), 0);
    assert_int_equal(vg_run_file_create(in_scratch("link"), 0, path, sizeof path), -EEXIST);
    assert_int_equal(vg_run_file_create("/dev/null", 0, path, sizeof path), -EEXIST);
    const int fd = vg_run_file_create(scratch, 0, path, sizeof path); /* into the folder */
    assert_true(fd >= 0);
    close(fd);
    assert_non_null(strstr(path, "/19700101-000000-test_recorder-"));
}

static void relative_paths_become_absolute(void **state)
{
    (void)state;
    char path[4096], before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(scratch), 0);
    const int fd = vg_run_file_create("here", 0, path, sizeof path);
    assert_int_equal(chdir(before), 0);
    assert_true(fd >= 0);
    close(fd);
    assert_string_equal(path, in_scratch("here"));
}

static void state_directory_follows_xdg(void **state)
{
    (void)state;
    char out[256], wanted[256];
    setenv("XDG_STATE_HOME", "/x/y", 1);
    assert_int_equal(vg_run_file_directory(out, sizeof out), 0);
    assert_string_equal(out, "/x/y/vramguard");
    setenv("XDG_STATE_HOME", "relative", 1);
    assert_int_equal(vg_run_file_directory(out, sizeof out), 0);
    snprintf(wanted, sizeof wanted, "%s/.local/state/vramguard", scratch);
    assert_string_equal(out, wanted);
    assert_int_equal(vg_run_file_directory(out, 20), -ENAMETOOLONG);
    unsetenv("HOME");
    assert_int_equal(vg_run_file_directory(out, sizeof out), -ENOENT);
}

static void folders_are_made_private(void **state)
{
    (void)state;
    char path[4096];
    struct stat status;
    setenv("XDG_STATE_HOME", in_scratch("a/b"), 1);
    const int fd = vg_run_file_create("", 0, path, sizeof path);
    assert_true(fd >= 0);
    close(fd);
    const char *const made[] = { "a", "a/b", "a/b/vramguard" };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stat(in_scratch(made[i]), &status), 0);
        assert_int_equal(status.st_mode & 07777, 0700);
    }
    assert_non_null(strstr(path, "/a/b/vramguard/19700101-000000-test_recorder-"));
}

/* Pruning. */

static const char *run_file(const char *name)
{
    char relative[128];
    snprintf(relative, sizeof relative, "vramguard/%s", name);
    return in_scratch(relative);
}

static void write_run_file(const char *name, int32_t pid, uint64_t start_ticks, const char *host)
{
    struct vg_file_header header = { .pid = pid, .start_ticks = start_ticks };
    memcpy(header.magic, VG_FILE_MAGIC, 8);
    snprintf(header.host, sizeof header.host, "%s", host);
    FILE *const file = fopen(run_file(name), "w");
    fwrite(&header, sizeof header, 1, file);
    fclose(file);
}

static bool exists(const char *name)
{
    return access(run_file(name), F_OK) == 0;
}

static int setup_prune(void **state)
{
    char host[64] = "";
    if (make_scratch(state) != 0 || mkdir(in_scratch("vramguard"), 0700) != 0)
        return -1;
    gethostname(host, sizeof host - 1);
    for (int i = 0; i < 8; i++) {
        char name[64];
        snprintf(name, sizeof name, "2026010%d-dead.vgr", i + 1);
        write_run_file(name, 4194305, 1, host); /* no pid is that large */
    }
    return 0;
}

static void oldest_are_pruned(void **state)
{
    (void)state;
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    vg_run_file_prune(8);
    assert_true(exists("20260101-dead.vgr"));
    write_run_file("20260109-dead.vgr", 4194305, 1, host);
    vg_run_file_prune(8); /* an eighth too many is left for a while */
    assert_true(exists("20260101-dead.vgr"));
    unlink(run_file("20260109-dead.vgr"));
    vg_run_file_prune(0); /* keep all */
    assert_true(exists("20260101-dead.vgr"));
    vg_run_file_prune(6);
    assert_false(exists("20260101-dead.vgr"));
    assert_false(exists("20260102-dead.vgr"));
    assert_true(exists("20260103-dead.vgr"));
    vg_run_file_prune(1); /* bounded work: the rest goes with later runs */
    vg_run_file_prune(1);
    assert_true(exists("20260108-dead.vgr"));
    assert_false(exists("20260107-dead.vgr"));
}

static void what_is_not_ours_is_not_pruned(void **state)
{
    (void)state;
    char host[64] = "";
    struct vg_process_id self;
    gethostname(host, sizeof host - 1);
    assert_int_equal(vg_process_identify(0, &self), 0);
    write_run_file("20250101-live.vgr", self.pid, self.start_ticks, host);
    write_run_file("20250102-reused.vgr", self.pid, self.start_ticks - 1, host);
    fclose(fopen(run_file("20250103-empty.vgr"), "w"));
    fclose(fopen(run_file("20250104-notes.txt"), "w"));
    assert_int_equal(mkdir(run_file("20250105-folder.vgr"), 0700), 0);
    assert_int_equal(symlink("20260108-dead.vgr", run_file("20250106-link.vgr")), 0);
    for (int i = 0; i < 5; i++)
        vg_run_file_prune(1);
    assert_true(exists("20250101-live.vgr"));
    assert_false(exists("20250102-reused.vgr"));
    assert_true(exists("20250103-empty.vgr"));
    assert_true(exists("20250104-notes.txt"));
    assert_true(exists("20250105-folder.vgr"));
    assert_false(exists("20260107-dead.vgr"));
}

/* A home that several machines share: a pid says nothing of another machine's processes. */
static void write_run_elsewhere(const char *name, uint32_t age_days, uint32_t end)
{
    struct vg_file_header header = { .pid = 4194305, .start_ticks = 1, .host = "another.machine" };
    memcpy(header.magic, VG_FILE_MAGIC, 8);
    atomic_store(&header.end, end);
    header.start_realtime_ns = ((uint64_t)time(NULL) - age_days * 86400ull) * 1000000000;
    FILE *const file = fopen(run_file(name), "w");
    fwrite(&header, sizeof header, 1, file);
    fclose(file);
}

static void running_on_another_machine_is_not_pruned(void **state)
{
    (void)state;
    write_run_elsewhere("20250101-elsewhere.vgr", 2, VG_END_NONE);
    write_run_elsewhere("20250102-ended.vgr", 2, VG_END_EXIT);
    write_run_elsewhere("20250103-old.vgr", 40, VG_END_NONE);
    vg_run_file_prune(1);
    assert_true(exists("20250101-elsewhere.vgr"));
    assert_false(exists("20250102-ended.vgr"));
    assert_false(exists("20250103-old.vgr"));
}

static void prune_child(void *argument)
{
    (void)argument;
    alarm(5);
    vg_run_file_prune(1);
}

static void pipe_in_the_folder_does_not_block(void **state)
{
    (void)state;
    char text[256];
    assert_int_equal(mkfifo(run_file("20250101-pipe.vgr"), 0600), 0);
    assert_int_equal(run_child(prune_child, NULL, text, sizeof text), 0);
}

static void *prune_thread(void *argument)
{
    vg_run_file_prune(1);
    return argument;
}

/* Runs in whatever thread makes the program's first CUDA call. */
static void prune_fits_a_small_stack(void **state)
{
    (void)state;
    pthread_attr_t attributes;
    pthread_t thread;
    const long smallest = sysconf(_SC_THREAD_STACK_MIN);
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, (size_t)smallest + 16 * 1024), 0);
    assert_int_equal(pthread_create(&thread, &attributes, prune_thread, NULL), 0);
    pthread_join(thread, NULL);
    assert_false(exists("20260101-dead.vgr"));
}

#define WRITER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, remove_scratch)
#define NAME_TEST(name)   cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)
#define PRUNE_TEST(name)  cmocka_unit_test_setup_teardown(name, setup_prune, remove_scratch)

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
        WRITER_TEST(no_descriptor_stays_open),
        NAME_TEST(unwritable_folder_is_one_line),
        NAME_TEST(no_room_for_the_header),
        NAME_TEST(file_size_limit_on_growth),
        NAME_TEST(full_disk_on_growth),
        NAME_TEST(deleted_file_goes_on_in_memory),
        NAME_TEST(file_in_our_place_is_left_alone),
        NAME_TEST(growth_survives_a_signal),
        NAME_TEST(placeholders_are_expanded),
        NAME_TEST(taken_names_get_a_number),
        NAME_TEST(relative_paths_become_absolute),
        NAME_TEST(state_directory_follows_xdg),
        NAME_TEST(folders_are_made_private),
        PRUNE_TEST(oldest_are_pruned),
        PRUNE_TEST(what_is_not_ours_is_not_pruned),
        PRUNE_TEST(running_on_another_machine_is_not_pruned),
        PRUNE_TEST(pipe_in_the_folder_does_not_block),
        PRUNE_TEST(prune_fits_a_small_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

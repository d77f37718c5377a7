/* Recorder files in their folder: how they are named, and which are pruned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "core_fixture.h"
#include "os/process.h"
#include "record/run_file.h"
#include "unit/timing.h"

/* ---- names ---- */

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
    assert_string_equal(expand("%e"), "test_run_file");
    assert_int_equal(mkdir(in_scratch("self"), 0700), 0);
    assert_int_equal(symlink("/opt/my own/train it", in_scratch("self/exe")), 0);
    const char *const root = vg_process_proc_root;
    vg_process_proc_root = scratch;
    assert_string_equal(expand("%e"), "train_it"); /* one word */
    vg_process_proc_root = root;
    assert_string_equal(expand("%t"), "20000229-134102");
    assert_string_equal(expand("100%%"), "100%");
    assert_string_equal(expand("%%p"), "%p");
    assert_string_equal(expand("%z%"), "%z%");
    assert_string_equal(expand(""), "");
    char small[8];
    assert_int_equal(vg_run_file_expand("12345678", 0, small, sizeof small), -ENAMETOOLONG);
}

static void every_day_has_its_date(void **state)
{
    (void)state;
    for (time_t seconds = 0; seconds < (time_t)73000 * 86400; seconds += 86399) {
        char out[32], wanted[32];
        struct tm tm;
        strftime(wanted, sizeof wanted, "%Y%m%d-%H%M%S", gmtime_r(&seconds, &tm));
        assert_int_equal(vg_run_file_expand("%t", (uint64_t)seconds * 1000000000, out, sizeof out),
                         0);
        assert_string_equal(out, wanted);
    }
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
    assert_non_null(strstr(path, "/19700101-000000-test_run_file-"));
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
    assert_non_null(strstr(path, "/a/b/vramguard/19700101-000000-test_run_file-"));
}

/* ---- pruning ---- */

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
    vg_run_file_prune(8, 0);
    assert_true(exists("20260101-dead.vgr"));
    write_run_file("20260109-dead.vgr", 4194305, 1, host);
    vg_run_file_prune(8, 0); /* an eighth too many is left for a while */
    assert_true(exists("20260101-dead.vgr"));
    unlink(run_file("20260109-dead.vgr"));
    vg_run_file_prune(0, 0); /* keep all */
    assert_true(exists("20260101-dead.vgr"));
    vg_run_file_prune(6, 0);
    assert_false(exists("20260101-dead.vgr"));
    assert_false(exists("20260102-dead.vgr"));
    assert_true(exists("20260103-dead.vgr"));
    vg_run_file_prune(1, 0); /* bounded work: the rest goes with later runs */
    vg_run_file_prune(1, 0);
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
        vg_run_file_prune(1, 0);
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
    vg_run_file_prune(1, 0);
    assert_true(exists("20250101-elsewhere.vgr"));
    assert_false(exists("20250102-ended.vgr"));
    assert_false(exists("20250103-old.vgr"));
}

/* A process of another pid namespace of this machine: its pid is another process's here, or
 * nobody's. */
static void write_run_of_namespace(const char *name, uint64_t pid_namespace)
{
    struct vg_file_header header = { .pid = 4194305, .start_ticks = 1 };
    memcpy(header.magic, VG_FILE_MAGIC, 8);
    gethostname(header.host, sizeof header.host - 1);
    header.start_realtime_ns = ((uint64_t)time(NULL) - 86400) * 1000000000;
    header.pid_namespace = pid_namespace;
    FILE *const file = fopen(run_file(name), "w");
    fwrite(&header, sizeof header, 1, file);
    fclose(file);
}

static void a_file_that_is_mapped_is_not_pruned(void **state)
{
    (void)state;
    const uint64_t other = vg_process_pid_namespace() + 1;
    write_run_of_namespace("20250101-mapped.vgr", other);
    write_run_of_namespace("20250102-killed.vgr", other);
    int fd = open(run_file("20250102-killed.vgr"), O_RDONLY);
    const int killed = vg_run_file_has_writer(fd);
    close(fd);
    if (killed < 0) {
        print_message("skipped: this file system has no leases (%s)\n", strerror(-killed));
        skip();
    }
    assert_int_equal(killed, 0);
    fd = open(run_file("20250101-mapped.vgr"), O_RDWR);
    void *const mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(mapped != MAP_FAILED);
    close(fd);
    fd = open(run_file("20250101-mapped.vgr"), O_RDONLY);
    assert_int_equal(vg_run_file_has_writer(fd), 1);
    vg_run_file_prune(1, 0);
    assert_true(exists("20250101-mapped.vgr"));
    assert_false(exists("20250102-killed.vgr"));
    munmap(mapped, 4096);
    assert_int_equal(vg_run_file_has_writer(fd), 0);
    close(fd);
    write_run_of_namespace("20270101-last.vgr", 0);
    vg_run_file_prune(1, 0);
    assert_false(exists("20250101-mapped.vgr"));
}

static void the_oldest_go_when_they_take_too_much(void **state)
{
    (void)state;
    for (int i = 1; i <= 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "2025010%d-large.vgr", i);
        write_run_file(name, 4194305, 1, "");
        const int fd = open(run_file(name), O_WRONLY);
        assert_int_equal(posix_fallocate(fd, 0, 1 << 20), 0);
        close(fd);
    }
    vg_run_file_prune(1000, 64 << 20);
    assert_true(exists("20250101-large.vgr"));
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    for (int i = 1; i <= 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "2025010%d-large.vgr", i);
        const int fd = open(run_file(name), O_WRONLY);
        assert_true(pwrite(fd, host, sizeof host, offsetof(struct vg_file_header, host)) > 0);
        close(fd);
    }
    vg_run_file_prune(1000, 3 << 20);
    assert_false(exists("20250101-large.vgr"));
    assert_false(exists("20250102-large.vgr"));
    assert_true(exists("20250104-large.vgr"));
    assert_true(exists("20260108-dead.vgr"));
}

/* A day's files of another host, which cannot be removed, in front of one that can: each look
 * begins somewhere else, and none takes long. */
static void very_many_files_are_looked_through_in_turns(void **state)
{
    (void)state;
    enum { FILES = 10000 };
    for (int i = 0; i < FILES; i++) {
        char name[64];
        snprintf(name, sizeof name, "20250101-%05d.vgr", i);
        write_run_elsewhere(name, 2, VG_END_NONE);
    }
    write_run_elsewhere("20250101-00200x.vgr", 2, VG_END_EXIT);
    const clock_t before = clock();
    int looks = 0;
    for (; looks < 500 && exists("20250101-00200x.vgr"); looks++)
        vg_run_file_prune(1, 0);
    assert_true(looks < 500);
    /* Of this thread's own time; beside others it is up to four times as much. */
    assert_true((clock() - before) / (looks + 1) < CLOCKS_PER_SEC / (timing_is_tested() ? 20 : 5));
    assert_true(exists("20250101-00199.vgr"));
}

static void prune_child(void *argument)
{
    (void)argument;
    alarm(5);
    vg_run_file_prune(1, 0);
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
    vg_run_file_prune(1, 0);
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

#define NAME_TEST(name)  cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)
#define PRUNE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_prune, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NAME_TEST(placeholders_are_expanded),
        cmocka_unit_test(every_day_has_its_date),
        NAME_TEST(taken_names_get_a_number),
        NAME_TEST(relative_paths_become_absolute),
        NAME_TEST(state_directory_follows_xdg),
        NAME_TEST(folders_are_made_private),
        PRUNE_TEST(oldest_are_pruned),
        PRUNE_TEST(what_is_not_ours_is_not_pruned),
        PRUNE_TEST(running_on_another_machine_is_not_pruned),
        PRUNE_TEST(a_file_that_is_mapped_is_not_pruned),
        PRUNE_TEST(the_oldest_go_when_they_take_too_much),
        PRUNE_TEST(very_many_files_are_looked_through_in_turns),
        PRUNE_TEST(pipe_in_the_folder_does_not_block),
        PRUNE_TEST(prune_fits_a_small_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

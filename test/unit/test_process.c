/* Who a process is: from the real /proc, and from hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/resource.h>

#include "base/size.h"
#include "core_fixture.h"
#include "os/process.h"

static int real_proc(void **state)
{
    (void)state;
    vg_process_proc_root = "/proc";
    return 0;
}

static int fake_proc(void **state)
{
    static char root[64];
    if (make_scratch(state) != 0 || mkdir(in_scratch("41"), 0700) != 0 ||
        mkdir(in_scratch("self"), 0700) != 0)
        return -1;
    strcpy(root, scratch);
    vg_process_proc_root = root;
    return 0;
}

static int end_fake_proc(void **state)
{
    real_proc(state);
    return remove_scratch(state);
}

static void put_bytes(const char *name, const char *content, size_t length)
{
    FILE *const file = fopen(in_scratch(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, length, file), length);
    fclose(file);
}

static void put_text(const char *name, const char *content)
{
    put_bytes(name, content, strlen(content));
}

static void knows_itself_and_a_child(void **state)
{
    (void)state;
    struct vg_process_id self, named, child_id;
    assert_int_equal(vg_process_identify(0, &self), 0);
    assert_int_equal(vg_process_identify(getpid(), &named), 0);
    assert_int_equal(self.pid, getpid());
    assert_int_equal(self.start_ticks, named.start_ticks);
    assert_true(self.start_ticks > 0);
    assert_true(vg_process_alive(&self));
    self.start_ticks++;
    assert_false(vg_process_alive(&self)); /* a reused pid */
    self.start_ticks = 0;
    assert_true(vg_process_alive(&self)); /* unknown: by pid */
    const pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    assert_int_equal(vg_process_identify(child, &child_id), 0);
    assert_true(vg_process_alive(&child_id));
    kill(child, SIGKILL);
    siginfo_t info;
    waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT); /* a zombie now */
    assert_false(vg_process_alive(&child_id));
    waitpid(child, NULL, 0);
    assert_false(vg_process_alive(&child_id));
    assert_int_equal(vg_process_identify(child, &child_id), -ESRCH);
}

static void reads_fields_of_stat(void **state)
{
    (void)state;
    uint64_t value = 0;
    struct vg_process_id self;
    assert_int_equal(vg_process_identify(0, &self), 0);
    assert_int_equal(vg_process_stat(0, 4, &value), 0);
    assert_int_equal(value, getppid());
    assert_int_equal(vg_process_stat(getpid(), 22, &value), 0);
    assert_int_equal(value, self.start_ticks);
    value = 5;
    assert_int_equal(vg_process_stat(INT32_MAX, 4, &value), -ESRCH);
    assert_int_equal(vg_process_stat(0, 99, &value), -EBADMSG);
    assert_int_equal(value, 5);
}

static void nobody_is_not_alive(void **state)
{
    (void)state;
    const int32_t pids[] = { 0, -1, INT32_MIN, INT32_MAX };
    for (int i = 0; i < 4; i++)
        assert_false(vg_process_alive(&(struct vg_process_id){ .pid = pids[i] }));
}

#define REST(threads, ticks) " 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 " threads " 0 " ticks " 0 0 0\n"

static void hostile_names_do_not_shift_the_fields(void **state)
{
    (void)state;
    struct vg_process_id id;
    const char *const names[] = { "a", "a) Z 1 1 1", "((()))", ") ) )", "", "x y z", "\n\033" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char line[256];
        snprintf(line, sizeof line, "41 (%s) S" REST("1", "987654"), names[i]);
        put_text("41/stat", line);
        assert_int_equal(vg_process_identify(41, &id), 0);
        assert_int_equal(id.start_ticks, 987654);
        assert_int_equal(id.pid, 41);
    }
}

static void zombies_are_gone_but_not_leaders_of_threads(void **state)
{
    (void)state;
    struct vg_process_id id;
    put_text("41/stat", "41 (a) Z" REST("1", "5"));
    assert_int_equal(vg_process_identify(41, &id), -ESRCH);
    put_text("41/stat", "41 (a) Z" REST("3", "5"));
    assert_int_equal(vg_process_identify(41, &id), 0);
    put_text("41/stat", "41 (a) X" REST("0", "5"));
    assert_int_equal(vg_process_identify(41, &id), -ESRCH);
}

static void broken_stat_is_an_error(void **state)
{
    (void)state;
    struct vg_process_id id;
    const char *const broken[] = { "",         "41",           "41 (a", "41 (a)",      "41 (a) ",
                                   "41 (a) S", "41 (a) S 1 2", ")))))", "\377\376\375" };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        put_text("41/stat", broken[i]);
        assert_int_equal(vg_process_identify(41, &id), -EBADMSG);
    }
    srand(5);
    for (int i = 0; i < 3000; i++) {
        char noise[1500];
        const size_t length = (size_t)(rand() % (int)sizeof noise);
        for (size_t k = 0; k < length; k++)
            noise[k] = "41 (a) SZ\n\377"[rand() % 11];
        put_bytes("41/stat", noise, length);
        const int error = vg_process_identify(41, &id);
        assert_true(error == 0 || error == -EBADMSG || error == -ESRCH);
    }
}

static void command_lines_are_joined_and_safe(void **state)
{
    (void)state;
    char out[32];
    put_bytes("41/cmdline", "python\0run.py\0--x\0", 18);
    assert_int_equal(vg_process_command(41, out, sizeof out), 0);
    assert_string_equal(out, "python run.py --x");
    put_bytes("41/cmdline", "a\0\033[31m\nb", 9);
    assert_int_equal(vg_process_command(41, out, sizeof out), 0);
    assert_string_equal(out, "a ?[31m?b");
    put_text("41/cmdline", "0123456789012345678901234567890123456789");
    assert_int_equal(vg_process_command(41, out, sizeof out), 0);
    assert_string_equal(out, "0123456789012345678901234567...");
    put_text("41/cmdline", "");
    put_text("41/comm", "kworker/0:1\n");
    assert_int_equal(vg_process_command(41, out, sizeof out), 0);
    assert_string_equal(out, "[kworker/0:1]");
    assert_true(vg_process_command(42, out, sizeof out) < 0);
    assert_string_equal(out, "");
}

static void memory_of_the_host(void **state)
{
    (void)state;
    uint64_t total, available;
    vg_process_host_memory(&total, &available);
    assert_true(total == VG_BYTES_UNKNOWN && available == VG_BYTES_UNKNOWN);
    put_text("meminfo", "MemTotal:       24684084 kB\nMemFree: 1 kB\n");
    vg_process_host_memory(&total, &available);
    assert_int_equal(total, UINT64_C(24684084) * 1024);
    assert_true(available == VG_BYTES_UNKNOWN);
    put_text("meminfo", "MemTotal: 10 kB\nMemAvailable:   7 kB\n");
    vg_process_host_memory(&total, &available);
    assert_int_equal(available, 7 * 1024);
}

static void name_of_the_executable(void **state)
{
    (void)state;
    char out[32];
    vg_process_exe_name(out, sizeof out);
    assert_string_equal(out, "unknown");
    assert_int_equal(symlink("/usr/bin/py\033thon", in_scratch("self/exe")), 0);
    vg_process_exe_name(out, sizeof out);
    assert_string_equal(out, "py?thon");
    vg_process_proc_root = "/proc";
    vg_process_exe_name(out, sizeof out);
    assert_string_equal(out, "test_process");
}

/* Control groups in the scratch folder, whose path the fake /proc/self/cgroup names. */
static int fake_groups(void **state)
{
    static char root[64];
    if (fake_proc(state) != 0 || mkdir(in_scratch("memory"), 0700) != 0 ||
        mkdir(in_scratch("memory/job"), 0700) != 0 || mkdir(in_scratch("outer"), 0700) != 0 ||
        mkdir(in_scratch("outer/job"), 0700) != 0)
        return -1;
    strcpy(root, scratch);
    vg_process_cgroup_root = root;
    return 0;
}

static int end_fake_groups(void **state)
{
    vg_process_cgroup_root = "/sys/fs/cgroup";
    return end_fake_proc(state);
}

static uint64_t keep_ten(uint64_t limit_bytes)
{
    assert_true(limit_bytes != VG_BYTES_UNKNOWN);
    return 10;
}

static void room_of_control_groups(void **state)
{
    (void)state;
    assert_int_equal(vg_process_cgroup_room(keep_ten), VG_BYTES_UNKNOWN);
    put_text("self/cgroup", "0::/outer/job\n");
    assert_int_equal(vg_process_cgroup_room(keep_ten), VG_BYTES_UNKNOWN);
    put_text("outer/job/memory.max", "max\n");
    put_text("outer/job/memory.current", "500\n");
    assert_int_equal(vg_process_cgroup_room(keep_ten), VG_BYTES_UNKNOWN);
    put_text("outer/memory.max", "1000\n");
    put_text("outer/memory.current", "900\n");
    assert_int_equal(vg_process_cgroup_room(keep_ten), 90);
    put_text("outer/memory.stat", "anon 1\ninactive_file 300\nactive_file 40\nfile 7\n");
    assert_int_equal(vg_process_cgroup_room(keep_ten), 430); /* cached files can go */
    put_text("outer/job/memory.max", "600\n");
    assert_int_equal(vg_process_cgroup_room(keep_ten), 90); /* the smaller room counts */
    put_text("outer/job/memory.current", "100\n");
    assert_int_equal(vg_process_cgroup_room(keep_ten), 430);
    put_text("outer/memory.current", "2000\n");
    assert_int_equal(vg_process_cgroup_room(keep_ten), 0);
    uint64_t limit, used;
    vg_process_cgroup_memory(&limit, &used); /* here the tightest limit does */
    assert_int_equal(limit, 600);
    assert_int_equal(used, 100);
}

static void room_of_old_control_groups(void **state)
{
    (void)state;
    put_text("self/cgroup", "4:memory:/job\n0::/outer\n");
    put_text("outer/memory.max", "1\n"); /* not the one that counts memory */
    put_text("memory/memory.limit_in_bytes", "9223372036854771712\n");
    put_text("memory/memory.usage_in_bytes", "12345\n");
    assert_int_equal(vg_process_cgroup_room(keep_ten), VG_BYTES_UNKNOWN);
    put_text("memory/job/memory.limit_in_bytes", "1000\n");
    put_text("memory/job/memory.usage_in_bytes", "800\n");
    put_text("memory/job/memory.stat",
             "inactive_file 1\nactive_file 1\ntotal_inactive_file 50\ntotal_active_file 7\n");
    assert_int_equal(vg_process_cgroup_room(keep_ten), 247);
}

/* With no descriptor left: whose end cannot be seen lives, or its place would be taken from it. */
static void without_descriptors_child(void *argument)
{
    const struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };
    const uint64_t *const owners = argument;
    CHECK(vg_process_owner_alive(owners[0]));
    CHECK(!vg_process_owner_alive(owners[1]));
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK(vg_process_owner_alive(owners[0]));
    _exit(0); /* a sanitizer's exit wants descriptors */
}

static void nobody_is_dead_for_lack_of_descriptors(void **state)
{
    (void)state;
    char text[256];
    uint64_t owners[2] = { vg_process_owner_self(), vg_process_owner_self() + 1 };
    assert_int_equal(run_child(without_descriptors_child, owners, text, sizeof text), 0);
}

/* After chroot(2) there may be no /proc: it does not tell that those are gone who run. */
static void nobody_is_dead_for_lack_of_proc(void **state)
{
    (void)state;
    struct vg_process_id self, id;
    assert_int_equal(vg_process_identify(0, &self), 0);
    const struct vg_process_id nobody = { .pid = 4194303, .start_ticks = 1 };
    const uint64_t owner = vg_process_owner(&self), image = vg_process_image(0);
    vg_process_proc_root = "/var/empty/no-proc";
    errno = 77;
    assert_int_equal(vg_process_owner_activity(owner), VG_PROCESS_RUNS);
    assert_true(vg_process_alive(&self));
    assert_true(vg_process_has_image(self.pid, image));
    assert_int_equal(vg_process_identify(0, &id), -ENOENT);
    assert_int_equal(vg_process_identify(self.pid, &id), -ENOENT);
    assert_int_equal(vg_process_owner_activity(vg_process_owner(&nobody)), VG_PROCESS_GONE);
}

/* Of another pid namespace: a pid there is another process. */
static void nobody_is_dead_for_anothers_proc(void **state)
{
    (void)state;
    char name[32];
    struct vg_process_id id = { .pid = getpid(), .start_ticks = 5 };
    const uint64_t owner = vg_process_owner(&id);
    snprintf(name, sizeof name, "%d", (int)getpid());
    assert_int_equal(mkdir(in_scratch(name), 0700), 0);
    snprintf(name, sizeof name, "%d/stat", (int)getpid());
    put_text(name, "7 (other) S" REST("1", "6 0 0 0 0 0 8192"));
    put_text("self/stat", "8 (self) S" REST("1", "5"));
    assert_int_equal(vg_process_owner_activity(owner), VG_PROCESS_RUNS);
    assert_true(vg_process_alive(&id));
    assert_true(vg_process_has_image(id.pid, 4096));
    put_text(name, "7 (other) Z" REST("1", "5"));
    assert_int_equal(vg_process_owner_activity(owner), VG_PROCESS_RUNS);
    char own[128];
    snprintf(own, sizeof own, "%d (self) S" REST("1", "5"), (int)getpid());
    put_text("self/stat", own);
    assert_int_equal(vg_process_owner_activity(owner), VG_PROCESS_GONE);
    assert_false(vg_process_alive(&id));
}

static void tells_what_a_process_does(void **state)
{
    (void)state;
    struct vg_process_id id;
    int status;
    const pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    assert_int_equal(vg_process_identify(pid, &id), 0);
    const uint64_t owner = vg_process_owner(&id);
    assert_int_equal(vg_process_owner_activity(owner), VG_PROCESS_RUNS);
    kill(pid, SIGSTOP);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_int_equal(vg_process_owner_activity(owner), VG_PROCESS_STOPPED);
    assert_true(vg_process_owner_alive(owner));
    kill(pid, SIGCONT);
    assert_int_equal(waitpid(pid, &status, WCONTINUED), pid);
    assert_int_equal(vg_process_owner_activity(owner), VG_PROCESS_RUNS);
    assert_int_equal(vg_process_owner_activity(owner + 1), VG_PROCESS_GONE); /* another start */
    kill(pid, SIGKILL);
    siginfo_t ended;
    assert_int_equal(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT), 0);
    assert_int_equal(vg_process_owner_activity(owner), VG_PROCESS_GONE); /* a zombie */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(vg_process_owner_activity(owner), VG_PROCESS_GONE);
    assert_false(vg_process_owner_alive(owner));
}

#define REAL(name) cmocka_unit_test_setup(name, real_proc)
#define FAKE(name) cmocka_unit_test_setup_teardown(name, fake_proc, end_fake_proc)

static void *say_thread(void *out)
{
    *(uint32_t *)out = (uint32_t)gettid();
    return NULL;
}

static void threads_and_images(void **state)
{
    (void)state;
    const uint64_t self = vg_process_owner_self(), image = vg_process_image(0);
    const uint32_t own = (uint32_t)gettid();
    uint32_t ended = 0;
    pthread_t thread;
    assert_true(image != 0 && image == vg_process_image(getpid()));
    assert_int_equal(pthread_create(&thread, NULL, say_thread, &ended), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    errno = 77;
    assert_int_equal(vg_process_thread_activity(self, own, image), VG_PROCESS_RUNS);
    assert_int_equal(vg_process_thread_activity(self, own, 0), VG_PROCESS_RUNS);
    assert_int_equal(vg_process_thread_activity(self, own, image + 4096), VG_PROCESS_GONE);
    assert_int_equal(vg_process_thread_activity(self, ended, image), VG_PROCESS_GONE);
    assert_int_equal(vg_process_thread_activity(self + 1, own, image), VG_PROCESS_GONE);
    assert_int_equal(errno, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_images),
        REAL(knows_itself_and_a_child),
        REAL(reads_fields_of_stat),
        REAL(nobody_is_dead_for_lack_of_descriptors),
        cmocka_unit_test_setup_teardown(nobody_is_dead_for_lack_of_proc, real_proc, real_proc),
        REAL(tells_what_a_process_does),
        REAL(nobody_is_not_alive),
        FAKE(hostile_names_do_not_shift_the_fields),
        FAKE(zombies_are_gone_but_not_leaders_of_threads),
        FAKE(nobody_is_dead_for_anothers_proc),
        FAKE(broken_stat_is_an_error),
        FAKE(command_lines_are_joined_and_safe),
        FAKE(memory_of_the_host),
        FAKE(name_of_the_executable),
        cmocka_unit_test_setup_teardown(room_of_control_groups, fake_groups, end_fake_groups),
        cmocka_unit_test_setup_teardown(room_of_old_control_groups, fake_groups, end_fake_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

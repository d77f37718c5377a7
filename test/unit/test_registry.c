/* The registry of guarded processes: who is in it, who is not, and who dies when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/size.h"
#include "registry_fixture.h"
#include "shared/reclaim_slot.h"
#include "shared/registry.h"
#include "shared/shared_file.h"

#define GPU "GPU-5f3c2a10-0000-1111-2222-333344445555"

#ifdef __SANITIZE_THREAD__ /* where each fork is slow */
enum { KILLS = 50, FILE_ROUNDS = 10, RANDOM_KILLS = 20 };
#else
enum { KILLS = 1040 /* more than a file has slots */, FILE_ROUNDS = 40, RANDOM_KILLS = 300 };
#endif

static const char *file_path(void)
{
    static const struct vg_shared_layout layout = { .version = 6 };
    char name[128], path[160];
    vg_shared_file_name(GPU, &layout, name, sizeof name);
    snprintf(path, sizeof path, "registry/%s", name);
    return in_scratch(path);
}

/* A process that holds memory until it is told to end. */
struct neighbour {
    pid_t pid;
    int tell; /* closing it ends the process */
};

static struct neighbour start_neighbour(uint64_t held_bytes)
{
    int to_child[2], from_child[2];
    char ready;
    assert_int_equal(pipe2(to_child, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from_child, O_CLOEXEC), 0);
    const struct neighbour neighbour = { .pid = fork(), .tell = to_child[1] };
    if (neighbour.pid == 0) {
        struct vg_registration registration;
        alarm(CHILD_TIMEOUT_S);
        close(to_child[1]);
        vg_registry_join(GPU, &registration);
        *registration.held_bytes = held_bytes;
        if (write(from_child[1], registration.file ? "y" : "n", 1) != 1 ||
            read(to_child[0], &ready, 1) != 0)
            _exit(1);
        vg_registry_leave(&registration);
        _exit(0);
    }
    close(to_child[0]);
    close(from_child[1]);
    assert_int_equal(read(from_child[0], &ready, 1), 1);
    assert_int_equal(ready, 'y');
    close(from_child[0]);
    return neighbour;
}

static void end_neighbour(struct neighbour neighbour)
{
    int status;
    close(neighbour.tell);
    waitpid(neighbour.pid, &status, 0);
    assert_int_equal(status, 0);
}

static void kill_neighbour(struct neighbour neighbour)
{
    kill(neighbour.pid, SIGKILL);
    waitpid(neighbour.pid, NULL, 0);
    close(neighbour.tell);
}

static size_t others_of(const struct vg_registration *registration,
                        struct vg_registry_entry *out_first)
{
    struct vg_registry_entry entries[64];
    const size_t count = vg_registry_members(registration->file, false, entries, 64);
    if (count > 0)
        *out_first = entries[0];
    return count;
}

static void two_processes_see_each_other(void **state)
{
    (void)state;
    struct vg_registration own;
    struct vg_registry_entry entry;
    vg_registry_join(GPU, &own);
    assert_non_null(own.file);
    assert_int_equal(others_of(&own, &entry), 0);
    const struct neighbour neighbour = start_neighbour(123456);
    assert_int_equal(others_of(&own, &entry), 1);
    assert_int_equal(vg_process_owner_pid(entry.owner), neighbour.pid);
    assert_int_equal(entry.held_bytes, 123456);
    entry = (struct vg_registry_entry){ .owner = 0 };
    assert_true(vg_registry_member(own.file, neighbour.pid, &entry));
    assert_int_equal(vg_process_owner_pid(entry.owner), neighbour.pid);
    assert_int_equal(entry.held_bytes, 123456);
    assert_false(vg_registry_member(own.file, 1, &entry));
    assert_false(vg_registry_member(NULL, neighbour.pid, &entry));
    end_neighbour(neighbour);
    assert_int_equal(others_of(&own, &entry), 0);
    assert_false(vg_registry_member(own.file, neighbour.pid, &entry));
    vg_registry_leave(&own);
}

static void every_gpu_has_its_own_file(void **state)
{
    (void)state;
    struct vg_registration here, there;
    struct vg_registry_entry entry;
    const struct neighbour neighbour = start_neighbour(1);
    vg_registry_join(GPU, &here);
    vg_registry_join("GPU-other", &there);
    assert_int_equal(others_of(&here, &entry), 1);
    assert_int_equal(others_of(&there, &entry), 0);
    end_neighbour(neighbour);
    vg_registry_leave(&here);
    vg_registry_leave(&there);
}

static void killed_owner_is_gone_and_its_slot_reused(void **state)
{
    (void)state;
    struct vg_registration own;
    struct vg_registry_entry entry;
    vg_registry_join(GPU, &own);
    for (int i = 0; i < KILLS; i++) {
        const struct neighbour neighbour = start_neighbour(777);
        assert_int_equal(others_of(&own, &entry), 1);
        kill_neighbour(neighbour);
        assert_int_equal(others_of(&own, &entry), 0);
        assert_false(vg_registry_member(own.file, neighbour.pid, &entry));
    }
    vg_registry_leave(&own);
}

/* As before an exec: `vramguard run` reserves for the program that it becomes, which holds nothing
 * yet. */
static void a_slot_that_is_taken_again_keeps_its_promise_alone(void **state)
{
    (void)state;
    struct vg_registration before, own;
    vg_registry_join(GPU, &before);
    *before.held_bytes = 777;
    vg_registry_reserve(&before, 100, UINT64_MAX);
    vg_registry_join(GPU, &own);
    assert_int_equal(*own.held_bytes, 0);
    assert_true(vg_registry_has_reserved(&own));
    vg_registry_reserve(&own, 100, vg_clock_monotonic_ns()); /* until now */
    assert_false(vg_registry_has_reserved(&own));
    vg_registry_leave(&own);
}

/* A neighbour that has given 7 MiB to somebody, and ends with what it is asked for in MiB. */
static void amounts_that_are_asked_for_are_rounded_up(void **state)
{
    (void)state;
    struct vg_registration own;
    struct vg_registry_reclaimed given;
    int ready[2], ends[2], status;
    char byte;
    vg_registry_join(GPU, &own);
    atomic_store(&vg_registry_reclaim_slot(&own)->listens, 1);
    assert_int_equal(vg_registry_request_reclaim(own.file, 1), 0); /* not oneself */
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
        struct vg_registration childs;
        close(ends[1]);
        vg_registry_join(GPU, &childs);
        struct vg_reclaim_slot *const ask = vg_registry_reclaim_slot(&childs);
        atomic_store(&ask->gave_mib, 7);
        atomic_store(&ask->listens, 1);
        if (write(ready[1], "y", 1) != 1 || read(ends[0], &byte, 1) != 0)
            _exit(99);
        _exit((int)atomic_load(&ask->wanted_mib));
    }
    close(ends[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    vg_registry_measure_reclaimed(own.file, &given);
    assert_int_equal(given.bytes, 0); /* it was another who asked for that */
    assert_int_equal(vg_registry_request_reclaim(own.file, (UINT64_C(5) << 20) + 1), 1);
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 6);
    close(ready[0]);
    close(ready[1]);
    vg_registry_leave(&own);
}

static void a_standstill_lasts_until_the_amount_changes(void **state)
{
    (void)state;
    struct vg_registration own;
    vg_registry_join(GPU, &own);
    assert_int_equal(vg_registry_note_sighting(own.file, 41, 5, 1000, 100), 100);
    assert_int_equal(vg_registry_note_sighting(own.file, 41, 5, 1000, 200), 100);
    assert_int_equal(vg_registry_note_sighting(own.file, 42, 5, 1000, 250), 250);
    assert_int_equal(vg_registry_note_sighting(own.file, 41, 5, 1000, 300), 100);
    assert_int_equal(vg_registry_note_sighting(own.file, 41, 5, 1001, 400), 400);
    assert_int_equal(vg_registry_note_sighting(own.file, 41, 6, 1001, 500), 500); /* pid reused */
    assert_int_equal(vg_registry_note_sighting(NULL, 41, 5, 1001, 600), 0);
    vg_registry_leave(&own);
}

static void count_file(const char *uuid, struct vg_registry_file *file, void *argument)
{
    assert_string_equal(uuid, GPU);
    assert_non_null(file);
    ++*(int *)argument;
}

/* Files of other versions and what else lies there are left alone, and none of ours is left over.
 */
static void only_the_files_of_gpus_are_visited(void **state)
{
    (void)state;
    struct vg_registration own;
    int count = 0;
    vg_registry_join(GPU, &own);
    static const char *const others[] = { "GPU-old.1", "GPU-none", "deciding", "jobs.1" };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", folder, others[i]);
        close(open(path, O_RDWR | O_CREAT, 0600));
    }
    assert_int_equal(vg_registry_each(count_file, &count), 0);
    assert_int_equal(count, 1);
    DIR *const directory = opendir(folder);
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory));)
        assert_int_not_equal(strncmp(entry->d_name, ".new-", 5), 0);
    closedir(directory);
    vg_registry_leave(&own);
}

static void patch_file(off_t offset, uint32_t value)
{
    const int fd = open(file_path(), O_RDWR);
    assert_int_equal(pwrite(fd, &value, sizeof value, offset), sizeof value);
    close(fd);
}

/* A process that listens, answers each question with its number of MiB, and is killed in the end.
 */
static _Noreturn void answer_questions(const struct vg_registration *own)
{
    struct vg_reclaim_slot *const ask = vg_registry_reclaim_slot(own);
    for (;;) {
        const uint32_t asked = atomic_load(&ask->asked);
        if (asked == atomic_load(&ask->answered)) {
            vg_queue_sleep(&ask->asked, asked, UINT64_C(60) * 1000000000);
            continue;
        }
        atomic_store(&ask->gave_mib, atomic_load(&ask->wanted_mib));
        atomic_store(&ask->answered, asked);
    }
}

static pid_t start_listener(uint64_t held_bytes)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        struct vg_registration own;
        alarm(CHILD_TIMEOUT_S);
        vg_registry_join(GPU, &own);
        atomic_store(&vg_registry_reclaim_slot(&own)->listens, 1);
        atomic_store(own.held_bytes, held_bytes);
        if (write(ready[1], "y", 1) != 1)
            _exit(1);
        answer_questions(&own);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void await_answers(const struct vg_registration *own, struct vg_registry_reclaimed *out)
{
    for (int i = 0; i < 5000; i++) {
        vg_registry_measure_reclaimed(own->file, out);
        if (out->pending == 0)
            return;
        usleep(1000);
    }
    fail_msg("no answer");
}

static void who_listens_is_asked_and_answers(void **state)
{
    (void)state;
    struct vg_registration own;
    struct vg_registry_reclaimed given;
    vg_registry_join(GPU, &own);
    const struct neighbour deaf = start_neighbour(500 * VG_MIB);
    assert_int_equal(vg_registry_request_reclaim(own.file, 100 * VG_MIB), 0);
    const pid_t listener = start_listener(64 * VG_MIB);
    for (uint64_t mib = 100; mib < 103; mib++) {
        assert_int_equal(vg_registry_request_reclaim(own.file, mib * VG_MIB), 1);
        await_answers(&own, &given);
        assert_int_equal(given.bytes, mib * VG_MIB);
        assert_int_equal(given.largest_bytes, mib * VG_MIB);
        assert_int_equal(given.largest_pid, listener);
    }
    const pid_t second = start_listener(64 * VG_MIB);
    assert_int_equal(vg_registry_request_reclaim(own.file, 100 * VG_MIB), 2);
    await_answers(&own, &given);
    assert_int_equal(given.bytes, 200 * VG_MIB);
    assert_int_equal(given.largest_bytes, 100 * VG_MIB);
    kill(listener, SIGKILL);
    kill(second, SIGKILL);
    waitpid(listener, NULL, 0);
    waitpid(second, NULL, 0);
    assert_int_equal(vg_registry_request_reclaim(own.file, 100 * VG_MIB), 0);
    end_neighbour(deaf);
    vg_registry_leave(&own);
    assert_null(vg_registry_reclaim_slot(&own));
}

/* A slot's next owner has not been asked what its last one was, and has given nothing. */
static void questions_die_with_who_was_asked(void **state)
{
    (void)state;
    struct vg_registration own;
    struct vg_registry_reclaimed given;
    vg_registry_join(GPU, &own);
    const pid_t listener = start_listener(64 * VG_MIB);
    assert_int_equal(kill(listener, SIGSTOP), 0);
    assert_int_equal(vg_registry_request_reclaim(own.file, VG_MIB), 1);
    assert_int_equal(vg_registry_request_reclaim(own.file, 2 * VG_MIB),
                     1); /* it is still at the first one */
    vg_registry_measure_reclaimed(own.file, &given);
    assert_int_equal(given.pending, 1);
    kill(listener, SIGCONT);
    await_answers(&own, &given);
    assert_true(given.bytes == VG_MIB || given.bytes == 2 * VG_MIB);
    kill(listener, SIGKILL);
    waitpid(listener, NULL, 0);
    vg_registry_measure_reclaimed(own.file, &given);
    assert_true(given.bytes > 0); /* it has given, though it is gone */
    /* All slots are taken once, that of the dead one among the last. */
    for (int i = 0; i < KILLS; i++)
        kill_neighbour(start_neighbour(1));
    vg_registry_measure_reclaimed(own.file, &given);
    assert_int_equal(given.bytes, KILLS > 1000 ? 0 : given.bytes);
    vg_registry_leave(&own);
}

/* A slot of a dead process whose pid another one has now. */
static void reused_pid_is_not_the_owner(void **state)
{
    (void)state;
    struct vg_registration own;
    struct vg_registry_entry entry;
    const struct neighbour neighbour = start_neighbour(1); /* has the first slot */
    vg_registry_join(GPU, &own);
    assert_int_equal(others_of(&own, &entry), 1);
    patch_file(64, 0); /* the low half of its owner: the start time */
    assert_int_equal(others_of(&own, &entry), 0);
    vg_registry_leave(&own);
    vg_registry_join(GPU, &own);
    assert_int_equal(*own.held_bytes, 0);
    assert_int_equal(others_of(&own, &entry), 0);
    vg_registry_leave(&own);
    kill_neighbour(neighbour);
}

/* Exit handlers that run after ours may still free memory. */
static void counting_after_leaving_hurts_nobody(void **state)
{
    (void)state;
    struct vg_registration own, reader;
    struct vg_registry_entry entry;
    vg_registry_join(GPU, &own);
    vg_registry_leave(&own);
    const struct neighbour neighbour = start_neighbour(4242); /* takes the slot */
    atomic_store(own.held_bytes, 999);
    vg_registry_join(GPU, &reader);
    assert_int_equal(others_of(&reader, &entry), 1);
    assert_int_equal(entry.held_bytes, 4242);
    vg_registry_leave(&reader);
    vg_registry_leave(&own); /* twice: must not free the neighbour's slot */
    vg_registry_join(GPU, &reader);
    assert_int_equal(others_of(&reader, &entry), 1);
    end_neighbour(neighbour);
    vg_registry_leave(&reader);
}

/* Expects to run unregistered, with a place to count into. */
static void refused_child(void *argument)
{
    struct vg_registration registration, again;
    struct vg_registry_entry entry;
    vg_registry_join(argument ? argument : GPU, &registration);
    CHECK(!registration.file);
    atomic_store(registration.held_bytes, 5);
    CHECK(vg_registry_members(registration.file, false, &entry, 1) == 0);
    vg_registry_leave(&registration);
    vg_registry_join(argument ? argument : GPU, &again); /* attempt once */
}

static void assert_refused(const char *why)
{
    char text[1024];
    assert_int_equal(run_child(refused_child, NULL, text, sizeof text), 0);
    assert_int_equal(line_count(text), 1);
    assert_non_null(strstr(text, why));
}

static void folder_open_to_others_is_refused(void **state)
{
    (void)state;
    const mode_t modes[] = { 0710, 0701, 0770, 0777, 01777 };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(mkdir(folder, 0700), 0);
        assert_int_equal(chmod(folder, modes[i]), 0);
        assert_refused("mode 0700");
        assert_int_equal(rmdir(folder), 0); /* nothing was put into it */
    }
}

static void folder_of_another_user_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: only root can give a folder away\n");
        skip();
    }
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(chown(folder, 12345, 12345), 0);
    assert_refused("mode 0700");
}

static void link_in_the_folders_place_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_scratch("elsewhere"), 0700), 0);
    assert_int_equal(symlink(in_scratch("elsewhere"), folder), 0);
    assert_refused("Not a directory");
    assert_int_equal(rmdir(in_scratch("elsewhere")), 0);
}

static void file_in_the_folders_place_is_refused(void **state)
{
    (void)state;
    fclose(fopen(folder, "w"));
    assert_refused("Not a directory");
}

/* Joins, and finds nobody else. */
static void joining_child(void *argument)
{
    struct vg_registration registration;
    struct vg_registry_entry entry;
    (void)argument;
    vg_registry_join(GPU, &registration);
    CHECK(registration.file);
    CHECK(vg_registry_members(registration.file, true, &entry, 1) == 1);
}

static void assert_replaced(void)
{
    char text[1024];
    struct stat broken, now;
    assert_int_equal(stat(file_path(), &broken), 0);
    assert_int_equal(run_child(joining_child, NULL, text, sizeof text), 0);
    assert_string_equal(text, "");
    assert_int_equal(stat(file_path(), &now), 0);
    assert_true(broken.st_ino != now.st_ino || now.st_size != broken.st_size);
}

static void broken_file_is_replaced(void **state)
{
    (void)state;
    const off_t fields[] = { 0, 8, 12 }; /* magic, version, slot size */
    struct vg_registration own;
    for (int i = 0; i < 3; i++) {
        vg_registry_join(GPU, &own);
        vg_registry_leave(&own);
        patch_file(fields[i], 99);
        const int fd = open(file_path(), O_RDONLY); /* its number is not used again */
        assert_replaced();
        close(fd);
    }
}

static void shortened_file_is_replaced(void **state)
{
    (void)state;
    const off_t sizes[] = { 0, 4096, 1 << 20 };
    struct vg_registration own;
    for (int i = 0; i < 3; i++) {
        vg_registry_join(GPU, &own);
        vg_registry_leave(&own);
        assert_int_equal(truncate(file_path(), sizes[i]), 0);
        assert_replaced();
    }
}

static void link_in_the_files_place_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(symlink("/etc/passwd", file_path()), 0);
    assert_refused("Too many levels of symbolic links");
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    char text[1024];
    assert_int_equal(run_child(refused_child, "../escape", text, sizeof text), 0);
    assert_string_equal(text, "");
    assert_int_not_equal(access(in_scratch("escape"), F_OK), 0);
    assert_int_equal(run_child(refused_child, "", text, sizeof text), 0);
    assert_string_equal(text, "");
}

static void file_size_limit_child(void *argument)
{
    const struct rlimit limit = { .rlim_cur = 4096, .rlim_max = 4096 };
    signal(SIGXFSZ, SIG_DFL);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    refused_child(argument);
}

static void limit_on_file_sizes_does_not_kill(void **state)
{
    (void)state;
    char text[1024];
    assert_int_equal(run_child(file_size_limit_child, NULL, text, sizeof text), 0);
    assert_int_equal(line_count(text), 1);
    assert_non_null(strstr(text, "File too large"));
}

enum { THREADS = 16 };

static pthread_barrier_t start_line;

static void *join_one(void *argument)
{
    struct vg_registration registration;
    char name[64];
    snprintf(name, sizeof name, "GPU-thread-%d", *(int *)argument);
    pthread_barrier_wait(&start_line);
    vg_registry_join(name, &registration);
    return registration.file ? NULL : argument;
}

/* The devices of one machine, first used by a thread each. */
static void threads_child(void *argument)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    void *failed;
    (void)argument;
    pthread_barrier_init(&start_line, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, join_one, &numbers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
}

static void threads_make_files_at_once(void **state)
{
    (void)state;
    char text[1024], command[256];
    for (int round = 0; round < FILE_ROUNDS; round++) {
        assert_int_equal(run_child(threads_child, NULL, text, sizeof text), 0);
        assert_string_equal(text, "");
        snprintf(command, sizeof command, "rm -rf %s", folder);
        assert_int_equal(system(command), 0);
    }
}

static void *join_on_small_stack(void *argument)
{
    vg_registry_join(GPU, argument);
    return NULL;
}

/* Runs in whatever thread makes the program's first CUDA call. */
static void making_the_file_fits_a_small_stack(void **state)
{
    (void)state;
    struct vg_registration own;
    pthread_attr_t attributes;
    pthread_t thread;
    const long smallest = sysconf(_SC_THREAD_STACK_MIN);
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, (size_t)smallest + 16 * 1024), 0);
    assert_int_equal(pthread_create(&thread, &attributes, join_on_small_stack, &own), 0);
    pthread_join(thread, NULL);
    assert_non_null(own.file);
    vg_registry_leave(&own);
}

/* Joins, counts and leaves until it is killed. */
static void live_on(void)
{
    for (;;) {
        struct vg_registration registration;
        vg_registry_join(GPU, &registration);
        *registration.held_bytes = (uint64_t)getpid();
        vg_registry_leave(&registration);
        *registration.held_bytes = (uint64_t)getpid(); /* late, must go nowhere */
    }
}

/* Processes are killed at random moments, the making of the file included: those that come later
 * always get a place, and the dead hold nothing. */
static void killed_at_random(void **state)
{
    (void)state;
    const char *const wanted = getenv("VG_TEST_KILLS");
    const int rounds = wanted ? atoi(wanted) : RANDOM_KILLS;
    struct vg_registration own;
    struct vg_registry_entry entry;
    for (int round = 0; round < rounds; round++) {
        if (round % 10 == 0)
            unlink(file_path());
        pid_t pids[2];
        for (int i = 0; i < 2; i++)
            if ((pids[i] = fork()) == 0)
                live_on();
        usleep((useconds_t)(rand() % 3000));
        for (int i = 0; i < 2; i++)
            kill(pids[i], SIGKILL);
        for (int i = 0; i < 2; i++)
            waitpid(pids[i], NULL, 0);
        vg_registry_join(GPU, &own);
        assert_non_null(own.file);
        assert_int_equal(*own.held_bytes, 0);
        assert_int_equal(others_of(&own, &entry), 0);
        vg_registry_leave(&own);
    }
}

#define REGISTRY_TEST(name)                                                                        \
    cmocka_unit_test_setup_teardown(name, make_registry_folder, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REGISTRY_TEST(two_processes_see_each_other),
        REGISTRY_TEST(every_gpu_has_its_own_file),
        REGISTRY_TEST(killed_owner_is_gone_and_its_slot_reused),
        REGISTRY_TEST(a_slot_that_is_taken_again_keeps_its_promise_alone),
        REGISTRY_TEST(amounts_that_are_asked_for_are_rounded_up),
        REGISTRY_TEST(a_standstill_lasts_until_the_amount_changes),
        REGISTRY_TEST(only_the_files_of_gpus_are_visited),
        REGISTRY_TEST(who_listens_is_asked_and_answers),
        REGISTRY_TEST(questions_die_with_who_was_asked),
        REGISTRY_TEST(reused_pid_is_not_the_owner),
        REGISTRY_TEST(counting_after_leaving_hurts_nobody),
        REGISTRY_TEST(folder_open_to_others_is_refused),
        REGISTRY_TEST(folder_of_another_user_is_refused),
        REGISTRY_TEST(link_in_the_folders_place_is_refused),
        REGISTRY_TEST(file_in_the_folders_place_is_refused),
        REGISTRY_TEST(broken_file_is_replaced),
        REGISTRY_TEST(shortened_file_is_replaced),
        REGISTRY_TEST(link_in_the_files_place_is_refused),
        REGISTRY_TEST(names_that_lead_elsewhere_are_refused),
        REGISTRY_TEST(limit_on_file_sizes_does_not_kill),
        REGISTRY_TEST(threads_make_files_at_once),
        REGISTRY_TEST(making_the_file_fits_a_small_stack),
        REGISTRY_TEST(killed_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

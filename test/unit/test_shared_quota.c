/* The account of a shared limit: exact among threads and processes, whoever is killed or stopped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "os/process.h"
#include "registry_fixture.h"
#include "segments.h"
#include "shared/shared_file.h"
#include "shared/shared_quota.h"
#include "timing.h"

#define GPU "GPU-5f3c2a10-0000-1111-2222-333344445555"

#ifdef __SANITIZE_THREAD__ /* where each fork is slow */
enum { RANDOM_KILLS = 20, MANY = 40, CHURN = 5000 };
#else
enum { RANDOM_KILLS = 60, MANY = VG_SHARED_QUOTA_SLOTS + 20, CHURN = 20000 };
#endif

static struct vg_shared_quota joined(uint64_t group)
{
    struct vg_shared_quota ledger;
    CHECK(vg_shared_quota_join(GPU, group, &ledger) == 0);
    return ledger;
}

/* Slots are of 64 bytes and begin at byte 128 of the file. */
static uint64_t slot_index(const struct vg_shared_quota *ledger)
{
    return ((uint64_t)(uintptr_t)ledger->slot - (uint64_t)(uintptr_t)ledger->file) / 64 - 2;
}

/* The lock's word lies at byte 64 of the file. */
static _Atomic uint64_t *lock_word(const struct vg_shared_quota *ledger)
{
    return (_Atomic uint64_t *)(uintptr_t)((char *)ledger->file + 64);
}

/* A process that says a byte when it has run `run`, and then lives until it is killed. */
struct child {
    pid_t pid;
    int from;
};

static struct child start_child(void (*run)(void *argument), void *argument)
{
    int ready[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    const struct child child = { .pid = fork(), .from = ready[0] };
    if (child.pid == 0) {
        alarm(CHILD_TIMEOUT_S);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(argument);
        CHECK(write(ready[1], "y", 1) == 1);
        for (;;)
            pause();
    }
    close(ready[1]);
    return child;
}

static void await_child(struct child child)
{
    char byte;
    assert_int_equal(read(child.from, &byte, 1), 1);
}

static void kill_child(struct child child)
{
    kill(child.pid, SIGKILL);
    waitpid(child.pid, NULL, 0);
    close(child.from);
}

static void hold_70(void *argument)
{
    struct vg_shared_quota ledger = joined(1);
    (void)argument;
    CHECK(vg_shared_quota_reserve(&ledger, 70, 100));
}

static void one_process_is_limited_to_the_byte(void **state)
{
    (void)state;
    struct vg_shared_quota ledger = joined(1);
    assert_int_equal(vg_shared_quota_charged(&ledger), 0);
    assert_false(vg_shared_quota_reserve(&ledger, 101, 100));
    assert_true(vg_shared_quota_reserve(&ledger, 60, 100));
    assert_false(vg_shared_quota_reserve(&ledger, 41, 100));
    assert_false(vg_shared_quota_reserve(&ledger, UINT64_MAX, 100));
    assert_true(vg_shared_quota_reserve(&ledger, 40, 100));
    assert_false(vg_shared_quota_reserve(&ledger, 1, 100));
    assert_true(vg_shared_quota_reserve(&ledger, 0, 100));
    assert_int_equal(vg_shared_quota_charged(&ledger), 100);
    vg_shared_quota_give_back(&ledger, 60);
    assert_int_equal(vg_shared_quota_charged(&ledger), 40);
    assert_true(vg_shared_quota_reserve(&ledger, 60, 100));
    assert_false(vg_shared_quota_reserve(&ledger, 1, 40)); /* a smaller limit than is charged */
}

static void dead_processes_are_charged_nothing(void **state)
{
    (void)state;
    struct vg_shared_quota ledger = joined(1);
    const struct child child = start_child(hold_70, NULL);
    await_child(child);
    assert_int_equal(vg_shared_quota_charged(&ledger), 70);
    assert_false(vg_shared_quota_reserve(&ledger, 31, 100));
    assert_true(vg_shared_quota_reserve(&ledger, 30, 100));
    kill(child.pid, SIGKILL);
    siginfo_t info;
    waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT); /* a zombie */
    assert_true(vg_shared_quota_reserve(&ledger, 70, 100));
    assert_int_equal(vg_shared_quota_charged(&ledger), 100);
    kill_child(child);
}

static void groups_do_not_meet(void **state)
{
    (void)state;
    const struct child child = start_child(hold_70, NULL);
    await_child(child);
    struct vg_shared_quota other = joined(2);
    assert_int_equal(vg_shared_quota_charged(&other), 0);
    assert_true(vg_shared_quota_reserve(&other, 100, 100));
    kill_child(child);
}

static void exec_child(void *argument)
{
    hold_70(argument);
    execlp("sleep", "sleep", "100", (char *)NULL);
}

/* The process lives on as another program: the driver has taken back what it held. */
static void exec_ends_the_charge(void **state)
{
    (void)state;
    struct vg_shared_quota ledger = joined(1);
    const struct child child = start_child(exec_child, NULL);
    char byte;
    assert_int_equal(read(child.from, &byte, 1), 0); /* closed by exec */
    char command[64] = "";
    for (int i = 0; i < 1000 && !strstr(command, "sleep"); i++)
        vg_process_command(child.pid, command, sizeof command);
    assert_int_equal(vg_shared_quota_charged(&ledger), 0);
    assert_true(vg_shared_quota_reserve(&ledger, 100, 100));
    kill_child(child);
}

/* And joins again, in its new life. */
static void own_slot_is_taken_anew(void **state)
{
    (void)state;
    const struct child child = start_child(hold_70, NULL); /* has the first slot */
    await_child(child);
    struct vg_shared_quota before = joined(1);
    assert_true(vg_shared_quota_reserve(&before, 30, 100));
    kill_child(child);
    assert_int_equal(vg_shared_quota_charged(&before), 30); /* and the first slot is free now */
    struct vg_shared_quota after = joined(1);
    assert_int_equal(slot_index(&after), slot_index(&before));
    assert_int_equal(vg_shared_quota_charged(&after), 0);
}

static void slots_of_the_dead_are_taken_again(void **state)
{
    (void)state;
    for (int i = 0; i < MANY; i++) {
        const struct child child = start_child(hold_70, NULL);
        await_child(child);
        kill_child(child);
    }
    struct vg_shared_quota ledger = joined(1);
    assert_int_equal(vg_shared_quota_charged(&ledger), 0);
}

/* ---- races for the last byte ---- */

enum { THREADS = 8, RACERS = 6, LIMIT = 5000 };

struct race {
    pthread_barrier_t start;
    _Atomic uint64_t got;
    _Atomic int64_t most; /* charged at once, as the racers see it */
    _Atomic int64_t held;
    pid_t owner;
};

static struct race *race;

static void make_race(unsigned racers)
{
    pthread_barrierattr_t shared;
    race = mmap(NULL, sizeof *race, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(race != MAP_FAILED);
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&race->start, &shared, racers);
}

/* Takes bytes one by one, now and then several, until there are none. */
static void *take_all(void *argument)
{
    struct vg_shared_quota *const ledger = argument;
    pthread_barrier_wait(&race->start);
    for (uint64_t i = 0;; i++) {
        const uint64_t bytes = i % 7 == 0 ? 13 : 1;
        if (vg_shared_quota_reserve(ledger, bytes, LIMIT))
            race->got += bytes;
        else if (bytes == 1)
            return NULL;
    }
}

static void threads_take_exactly_the_limit(void **state)
{
    (void)state;
    struct vg_shared_quota ledger = joined(1);
    pthread_t threads[THREADS];
    make_race(THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_all, &ledger), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(race->got, LIMIT);
    assert_int_equal(vg_shared_quota_charged(&ledger), LIMIT);
}

static void racer(void *argument)
{
    (void)argument;
    struct vg_shared_quota ledger = joined(1);
    take_all(&ledger);
}

static void processes_take_exactly_the_limit(void **state)
{
    (void)state;
    struct child children[RACERS];
    struct vg_shared_quota ledger = joined(1);
    for (int round = 0; round < 5; round++) {
        make_race(RACERS);
        for (int i = 0; i < RACERS; i++)
            children[i] = start_child(racer, NULL);
        for (int i = 0; i < RACERS; i++)
            await_child(children[i]);
        assert_int_equal(race->got, LIMIT);
        assert_int_equal(vg_shared_quota_charged(&ledger), LIMIT);
        for (int i = 0; i < RACERS; i++)
            kill_child(children[i]);
        assert_int_equal(vg_shared_quota_charged(&ledger), 0);
    }
}

/* Takes and gives back for ever; what it holds beyond doubt it counts in `held`. */
static void churn(void *argument)
{
    (void)argument;
    struct vg_shared_quota ledger = joined(1);
    unsigned seed = (unsigned)getpid();
    for (int i = 0; i < CHURN; i++) {
        const int64_t bytes = 1 + rand_r(&seed) % 900;
        if (!vg_shared_quota_reserve(&ledger, (uint64_t)bytes, 1000))
            continue;
        const int64_t held = atomic_fetch_add(&race->held, bytes) + bytes;
        int64_t most = race->most;
        while (held > most && !atomic_compare_exchange_weak(&race->most, &most, held))
            ;
        if (i % 50 == 0)
            usleep(50);
        atomic_fetch_sub(&race->held, bytes);
        vg_shared_quota_give_back(&ledger, (uint64_t)bytes);
    }
}

static void processes_never_hold_more_than_the_limit(void **state)
{
    (void)state;
    struct child children[RACERS];
    make_race(RACERS);
    for (int i = 0; i < RACERS; i++)
        children[i] = start_child(churn, NULL);
    for (int i = 0; i < RACERS; i++)
        await_child(children[i]);
    assert_in_range(race->most, 901, 1000);
    struct vg_shared_quota ledger = joined(1);
    assert_int_equal(vg_shared_quota_charged(&ledger), 0); /* though all still run */
    for (int i = 0; i < RACERS; i++)
        kill_child(children[i]);
}

/* Opens the lock again and again, so that it protects nobody. */
static void break_the_lock(void *argument)
{
    (void)argument;
    struct vg_shared_quota ledger = joined(2);
    for (unsigned i = 0; getppid() == race->owner; i++) {
        *lock_word(&ledger) = 0;
        if (i % 10 == 0)
            sched_yield();
    }
}

/* As when it is taken over from a holder that was only stopped. */
static void without_the_lock_nobody_gets_too_much(void **state)
{
    (void)state;
    struct child children[RACERS];
    make_race(RACERS);
    race->owner = getpid();
    const struct child breaker = start_child(break_the_lock, NULL);
    for (int i = 0; i < RACERS; i++)
        children[i] = start_child(churn, NULL);
    for (int i = 0; i < RACERS; i++)
        await_child(children[i]);
    assert_in_range(race->most, 901, 1000);
    kill_child(breaker);
    struct vg_shared_quota ledger = joined(1);
    assert_int_equal(vg_shared_quota_charged(&ledger), 0);
    for (int i = 0; i < RACERS; i++)
        kill_child(children[i]);
}

/* ---- killed and stopped ---- */

/* Joins, charges and gives back until it is killed. */
static void live_on(void *argument)
{
    (void)argument;
    struct vg_shared_quota ledger = joined(1);
    for (unsigned i = 0;; i++) {
        if (vg_shared_quota_reserve(&ledger, 1 + i % 50, 100))
            vg_shared_quota_give_back(&ledger, 1 + i % 50);
        if (i % 64 == 63)
            ledger = joined(1);
    }
}

static uint64_t milliseconds_of(struct vg_shared_quota *ledger, uint64_t bytes, bool *charged)
{
    const uint64_t start_ns = vg_clock_monotonic_ns();
    *charged = vg_shared_quota_reserve(ledger, bytes, 100);
    return (vg_clock_monotonic_ns() - start_ns) / 1000000;
}

/* Whenever they are killed, the making of the file included: the whole limit is there again at
 * once, and nobody waits longer than patience. VG_TEST_KILLS: how often. */
static void killed_at_random(void **state)
{
    (void)state;
    const char *const wanted = getenv("VG_TEST_KILLS");
    const int rounds = wanted ? atoi(wanted) : RANDOM_KILLS;
    struct child children[3];
    for (int round = 0; round < rounds; round++) {
        bool charged;
        if (round % 10 == 0)
            remove_idle_segments();
        for (int i = 0; i < 3; i++)
            children[i] = start_child(live_on, NULL);
        usleep((useconds_t)(rand() % 4000));
        for (int i = 0; i < 3; i++)
            kill_child(children[i]);
        struct vg_shared_quota ledger = joined(1);
        assert_took_between(milliseconds_of(&ledger, 100, &charged), 0,
                            2 * VG_SHARED_QUOTA_PATIENCE_MS);
        assert_true(charged);
        assert_int_equal(vg_shared_quota_charged(&ledger), 100);
        shmdt(ledger.file);
    }
}

/* Stopped at random moments, the holding of the lock included: nobody waits long, nobody gets more
 * than there is, and when they go on all is well. */
static void stopped_at_random(void **state)
{
    (void)state;
    struct child children[3];
    make_race(1);
    struct vg_shared_quota ledger = joined(1);
    for (int i = 0; i < 3; i++)
        children[i] = start_child(live_on, NULL);
    for (int round = 0; round < 20; round++) {
        bool charged;
        usleep((useconds_t)(rand() % 2000));
        for (int i = 0; i < 3; i++)
            kill(children[i].pid, SIGSTOP);
        /* The others may have stopped with some; the rest of their 100 is ours. */
        assert_took_between(milliseconds_of(&ledger, 1, &charged), 0,
                            2 * VG_SHARED_QUOTA_PATIENCE_MS);
        const uint64_t sum = vg_shared_quota_charged(&ledger);
        assert_in_range(sum, 0, 100);
        assert_true(charged || sum == 100);
        if (charged)
            vg_shared_quota_give_back(&ledger, 1);
        for (int i = 0; i < 3; i++)
            kill(children[i].pid, SIGCONT);
    }
    for (int i = 0; i < 3; i++)
        kill_child(children[i]);
    assert_int_equal(vg_shared_quota_charged(&ledger), 0);
}

static void hold_the_lock(void *argument)
{
    struct vg_shared_quota ledger = joined(1);
    (void)argument;
    *lock_word(&ledger) = (slot_index(&ledger) + 1) << 32 | (uint32_t)getpid();
}

static void lock_of_the_dead_is_taken_over(void **state)
{
    (void)state;
    struct vg_shared_quota ledger = joined(1);
    bool charged;
    const struct child child = start_child(hold_the_lock, NULL);
    await_child(child);
    kill_child(child);
    assert_int_not_equal(*lock_word(&ledger), 0);
    assert_took_between(milliseconds_of(&ledger, 100, &charged), 0,
                        VG_SHARED_QUOTA_PATIENCE_MS / 2);
    assert_true(charged);
    assert_int_equal(*lock_word(&ledger), 0);
}

static void lock_of_the_stopped_is_taken_over_in_the_end(void **state)
{
    (void)state;
    struct vg_shared_quota ledger = joined(1);
    bool charged;
    const struct child child = start_child(hold_the_lock, NULL);
    await_child(child);
    assert_took_between(milliseconds_of(&ledger, 50, &charged), VG_SHARED_QUOTA_PATIENCE_MS / 2,
                        2 * VG_SHARED_QUOTA_PATIENCE_MS);
    assert_true(charged);
    assert_took_between(milliseconds_of(&ledger, 50, &charged), 0, VG_SHARED_QUOTA_PATIENCE_MS / 2);
    assert_true(charged);
    kill_child(child);
}

/* ---- what cannot be used ---- */

static void bad_names_are_refused(void **state)
{
    (void)state;
    struct vg_shared_quota ledger;
    const char *const names[] = { "", "../x", "a/b",
                                  "GPU-1111111111111111111111111111111111111111111111111111111111"
                                  "11111111111111111111111111111111111111111" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(vg_shared_quota_join(names[i], 1, &ledger), -EINVAL);
        assert_null(ledger.file);
    }
}

/* Nothing of an account depends on the folder. */
static void folder_does_not_matter(void **state)
{
    (void)state;
    struct vg_shared_quota ledger;
    fclose(fopen(folder, "w"));
    errno = 77;
    assert_int_equal(vg_shared_quota_join(GPU, 1, &ledger), 0);
    assert_int_equal(errno, 77);
    assert_true(vg_shared_quota_reserve(&ledger, 70, 100));
    struct vg_shared_quota other = joined(1);
    assert_int_equal(vg_shared_quota_charged(&other), 0); /* of this very process: its slot anew */
}

static void charge_child(void *argument)
{
    struct vg_shared_quota ledger = joined(1);
    CHECK(vg_shared_quota_reserve(&ledger, 70, 100) == !argument);
    CHECK(vg_shared_quota_charged(&ledger) == (argument ? 40 : 70));
}

/* ipcrm, or the last logout of the user: who has it and who comes find each other. */
static void removed_account_is_found_again(void **state)
{
    (void)state;
    char text[256];
    struct vg_shared_quota ledger = joined(1);
    assert_true(vg_shared_quota_reserve(&ledger, 40, 100));
    const int id = segment_id(ledger.file);
    assert_true(id >= 0);
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
    assert_int_equal(segment_id(ledger.file), -1);
    assert_int_equal(run_child(charge_child, &ledger, text, sizeof text), 0);
    assert_int_equal(shmdt(ledger.file), 0);
    assert_int_equal(run_child(charge_child, NULL, text, sizeof text), 0); /* a new one */
}

static void segment_of_another_program_is_refused(void **state)
{
    (void)state;
    struct vg_shared_quota ledger = joined(1);
    const int id = segment_id(ledger.file);
    struct shmid_ds segment;
    assert_int_equal(shmctl(id, IPC_STAT, &segment), 0);
    segment.shm_perm.mode = 0666;
    assert_int_equal(shmctl(id, IPC_SET, &segment), 0);
    assert_int_equal(vg_shared_quota_join(GPU, 1, &ledger), -EPROTO);
    assert_null(ledger.file);
    segment.shm_perm.mode = 0600;
    assert_int_equal(shmctl(id, IPC_SET, &segment), 0);
    memcpy(shmat(id, NULL, 0), "nonsense", 8);
    assert_int_equal(vg_shared_quota_join(GPU, 1, &ledger), -EPROTO);
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
}

#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, make_registry_folder, remove_scratch_and_segments)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(one_process_is_limited_to_the_byte),
        LEDGER_TEST(dead_processes_are_charged_nothing),
        LEDGER_TEST(groups_do_not_meet),
        LEDGER_TEST(exec_ends_the_charge),
        LEDGER_TEST(own_slot_is_taken_anew),
        LEDGER_TEST(slots_of_the_dead_are_taken_again),
        LEDGER_TEST(threads_take_exactly_the_limit),
        LEDGER_TEST(processes_take_exactly_the_limit),
        LEDGER_TEST(processes_never_hold_more_than_the_limit),
        LEDGER_TEST(without_the_lock_nobody_gets_too_much),
        LEDGER_TEST(killed_at_random),
        LEDGER_TEST(stopped_at_random),
        LEDGER_TEST(lock_of_the_dead_is_taken_over),
        LEDGER_TEST(lock_of_the_stopped_is_taken_over_in_the_end),
        LEDGER_TEST(bad_names_are_refused),
        LEDGER_TEST(folder_does_not_matter),
        LEDGER_TEST(removed_account_is_found_again),
        LEDGER_TEST(segment_of_another_program_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Forks beside work of ours, and what tells a child that it is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "core_fixture.h"
#include "os/fork_gate.h"
#include "os/fork_mark.h"
#include "os/loader.h"

static atomic_int step;

static void wait_for_step(int wanted)
{
    while (atomic_load(&step) < wanted)
        usleep(1000);
}

static int count_object(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)info, (void)size;
    ++*(int *)argument;
    return 0;
}

/* Comes out when it has stayed for a while; what nests in it is no end. */
static void *stay_inside(void *argument)
{
    vg_fork_gate_enter();
    vg_fork_gate_enter();
    vg_fork_gate_leave();
    atomic_store(&step, 1);
    usleep(300000);
    atomic_store((atomic_int *)argument, 1);
    vg_fork_gate_leave();
    return NULL;
}

static void inside_child(void *argument)
{
    (void)argument;
    static atomic_int done;
    pthread_t thread;
    int status;
    vg_fork_gate_open();
    CHECK(pthread_create(&thread, NULL, stay_inside, &done) == 0);
    wait_for_step(1);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(atomic_load(&done)); /* fork has waited until it was done */
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 1);
    pthread_join(thread, NULL);
}

static void a_fork_waits_for_who_is_inside(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(run_child(inside_child, NULL, text, sizeof text), 0);
}

static void *leave_for_good(void *argument)
{
    vg_fork_gate_enter(); /* as by a handler's siglongjmp */
    atomic_store(&step, 1);
    wait_for_step(2);
    if (argument) {
        vg_fork_gate_enter();
        vg_fork_gate_reset();
        vg_fork_gate_enter();
        vg_fork_gate_leave();
    }
    atomic_store(&step, 3);
    wait_for_step(4);
    return NULL;
}

/* Does a fork wait? Not told by the time, which a busy machine takes as well: one that waits in
 * vain sleeps some ten thousand times. */
static bool fork_waits(void)
{
    struct rusage before, after;
    int status;
    getrusage(RUSAGE_THREAD, &before);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    getrusage(RUSAGE_THREAD, &after);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    return after.ru_nvcsw - before.ru_nvcsw > 5000;
}

static void left_child(void *argument)
{
    pthread_t thread;
    vg_fork_gate_open();
    CHECK(pthread_create(&thread, NULL, leave_for_good, argument) == 0);
    wait_for_step(1);
    if (argument) {
        atomic_store(&step, 2);
        wait_for_step(3);
        CHECK(!fork_waits()); /* it has said that it is out */
    } else {
        CHECK(fork_waits());
        CHECK(!fork_waits()); /* who never comes out is waited for once */
        atomic_store(&step, 2);
        wait_for_step(3);
    }
    atomic_store(&step, 4);
    pthread_join(thread, NULL);
}

static void who_never_comes_out_is_waited_for_once(void **state)
{
    (void)state;
    char text[64], yes = 'y';
    assert_int_equal(run_child(left_child, NULL, text, sizeof text), 0);
    assert_int_equal(run_child(left_child, &yes, text, sizeof text), 0);
}

/* A thread that forks inside does not wait for itself, and its child is inside as it is. */
static void forks_inside_child(void *argument)
{
    (void)argument;
    int status;
    vg_fork_gate_open();
    vg_fork_gate_enter();
    CHECK(!fork_waits());
    const pid_t pid = fork();
    if (pid == 0) {
        CHECK(!fork_waits());
        vg_fork_gate_leave();
        CHECK(!fork_waits());
        vg_fork_gate_enter();
        vg_fork_gate_leave();
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    vg_fork_gate_leave();
    CHECK(!fork_waits());
}

static void who_forks_inside_does_not_wait_for_itself(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(run_child(forks_inside_child, NULL, text, sizeof text), 0);
}

static void *call_the_loader(void *argument)
{
    Dl_info info;
    int objects = 0;
    vg_loader_each_object(count_object, &objects);
    void *const library = vg_loader_open("libc.so.6", RTLD_NOW);
    atomic_store((atomic_int *)argument,
                 objects > 1 && vg_loader_map_of(library) &&
                     vg_loader_map_at((const void *)(uintptr_t)getpid, &info));
    vg_loader_close(library);
    atomic_store(&step, 1);
    wait_for_step(2);
    return NULL;
}

/* Whoever has called the dynamic loader through ours is no longer inside. */
static void loader_child(void *argument)
{
    static atomic_int done;
    pthread_t thread;
    (void)argument;
    vg_fork_gate_open();
    CHECK(pthread_create(&thread, NULL, call_the_loader, &done) == 0);
    wait_for_step(1);
    CHECK(!fork_waits());
    CHECK(atomic_load(&done) == 1);
    atomic_store(&step, 2);
    pthread_join(thread, NULL);
}

static void who_has_called_the_loader_is_out_again(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(run_child(loader_child, NULL, text, sizeof text), 0);
}

static atomic_bool is_stopping;
static atomic_int entered;

static void *come_and_go(void *argument)
{
    while (!atomic_load(&is_stopping)) {
        vg_fork_gate_enter();
        atomic_fetch_add(&entered, 1);
        usleep(20);
        atomic_fetch_sub(&entered, 1);
        vg_fork_gate_leave();
    }
    return argument;
}

/* Threads that come and go all the time do not keep a fork from its turn. */
static void crowd_child(void *argument)
{
    enum { THREADS = 4, FORKS = 40 };
    pthread_t threads[THREADS];
    int seen_inside = 0, waits = 0;
    (void)argument;
    vg_fork_gate_open();
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, come_and_go, NULL) == 0);
    for (int i = 0; i < FORKS; i++) {
        int status;
        const pid_t pid = fork();
        if (pid == 0)
            _exit(atomic_load(&entered)); /* nobody is between the two */
        CHECK(waitpid(pid, &status, 0) == pid);
        seen_inside += WEXITSTATUS(status) != 0;
        waits += fork_waits();
    }
    atomic_store(&is_stopping, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(seen_inside == 0);
    CHECK(waits == 0);
}

static void a_crowd_lets_a_fork_pass(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(run_child(crowd_child, NULL, text, sizeof text), 0);
}

static void mark_child(void *argument)
{
    (void)argument;
    int status;
    CHECK(!vg_fork_mark_intact());
    struct vg_lock *const lock = vg_fork_mark_lock();
    CHECK(lock == vg_fork_mark_lock());
    CHECK(lock->rank == VG_LOCK_START);
    CHECK(!vg_fork_mark_intact());
    vg_lock_take(lock);
    vg_fork_mark_set();
    CHECK(vg_fork_mark_intact());
    const pid_t pid = fork();
    if (pid == 0) {
        CHECK(!vg_fork_mark_intact());
        CHECK(vg_fork_mark_lock() == lock && lock->rank == VG_LOCK_START);
        vg_lock_take(lock); /* free, though its parent holds it */
        vg_fork_mark_set();
        CHECK(vg_fork_mark_intact());
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(vg_fork_mark_intact());
    vg_lock_release(lock);
    vg_fork_mark_break();
    CHECK(!vg_fork_mark_intact());
}

static void a_child_has_no_mark_and_a_free_lock(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(run_child(mark_child, NULL, text, sizeof text), 0);
}

static void is_child(void *argument)
{
    (void)argument;
    CHECK(vg_is_forked_child());
}

static void a_child_knows_that_it_is_one(void **state)
{
    (void)state;
    char text[64];
    assert_false(vg_is_forked_child());
    assert_int_equal(run_child(is_child, NULL, text, sizeof text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_knows_that_it_is_one),
        cmocka_unit_test(a_fork_waits_for_who_is_inside),
        cmocka_unit_test(who_never_comes_out_is_waited_for_once),
        cmocka_unit_test(who_forks_inside_does_not_wait_for_itself),
        cmocka_unit_test(a_crowd_lets_a_fork_pass),
        cmocka_unit_test(a_child_has_no_mark_and_a_free_lock),
        cmocka_unit_test(who_has_called_the_loader_is_out_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

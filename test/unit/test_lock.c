/* The small lock: it excludes, it waits without burning, it survives being contended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/lock.h"

enum { THREADS = 8, ROUNDS = 50000 };

static struct vg_lock lock = VG_LOCK_INIT(VG_LOCK_JOURNAL);
static uint64_t counter; /* plain: only the lock makes it right */

static void *count(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        vg_lock_take(&lock);
        counter++;
        vg_lock_release(&lock);
    }
    return argument;
}

static void excludes(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(counter, THREADS * ROUNDS);
}

static double cpu_seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static atomic_bool is_held; /* by the thread of the test itself */

struct waited {
    double cpu_seconds;
    int error;
    bool was_held; /* when it had the lock */
    long sleeps;
};

static void *take_once(void *argument)
{
    struct waited *const out = argument;
    struct rusage usage;
    errno = 4711;
    vg_lock_take(&lock);
    out->was_held = atomic_load(&is_held);
    out->error = errno;
    vg_lock_release(&lock);
    out->cpu_seconds = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    getrusage(RUSAGE_THREAD, &usage);
    out->sleeps = usage.ru_nvcsw;
    return NULL;
}

static void sleeps_while_it_waits(void **state)
{
    (void)state;
    pthread_t thread;
    struct waited waited;
    vg_lock_take(&lock);
    atomic_store(&is_held, true);
    assert_int_equal(pthread_create(&thread, NULL, take_once, &waited), 0);
    usleep(500000);
    atomic_store(&is_held, false);
    vg_lock_release(&lock);
    pthread_join(thread, NULL);
    assert_false(waited.was_held);
    assert_true(waited.cpu_seconds < 0.25);
    assert_true(waited.sleeps > 20); /* a busy machine leaves little to burn */
    assert_int_equal(waited.error, 4711);
}

/* A handler that leaves an errno of its own is what ThreadSanitizer would tell of. */
const char *__tsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void)
{
    return "signal:note_signal\n";
}

static void note_signal(int number)
{
    (void)number;
    errno = 815;
}

/* The program's handlers run while it waits; each ends a sleep of it. */
static void errno_survives_signals(void **state)
{
    (void)state;
    pthread_t thread;
    struct waited waited;
    const struct sigaction action = { .sa_handler = note_signal };
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    vg_lock_take(&lock);
    assert_int_equal(pthread_create(&thread, NULL, take_once, &waited), 0);
    for (int i = 0; i < 200; i++) {
        pthread_kill(thread, SIGUSR1);
        usleep(500);
    }
    vg_lock_release(&lock);
    pthread_join(thread, NULL);
    assert_int_equal(waited.error, 4711);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(excludes),
        cmocka_unit_test(sleeps_while_it_waits),
        cmocka_unit_test(errno_survives_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

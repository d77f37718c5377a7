/* The snapshot of who holds what, with a stand-in for NVML and a registry of this test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "machine/machine.h"
#include "machine/nvml_answer.h"
#include "os/process.h"
#include "unit/nvml_fake.h"
#include "unit/timing.h"

#define GPU_0 "GPU-aaaaaaaa-0000"
#define GPU_1 "GPU-bbbbbbbb-1111"

static char directory[] = "/tmp/vg-machine-XXXXXX";
static struct vg_region region;

static int setup(void **state)
{
    fake_reset(state);
    vg_machine_open_nvml = fake_open;
    region = vg_region_over(NULL, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vg_region_release(&region);
    return 0;
}

static void measure(const char *uuid, struct vg_registry_file *file, unsigned details,
                    struct vg_machine_gpu *out)
{
    const struct vg_machine_question question = {
        .uuid = uuid, .pci_bus_id = "", .file = file, .details = details, .has_context = true
    };
    vg_machine_measure_gpu(&question, &region, out);
}

static void all_processes_are_there_largest_first(void **state)
{
    (void)state;
    struct vg_machine_gpu gpu;
    fake_add(0, (unsigned)getpid(), 77 * VG_MIB);
    for (unsigned i = 0; i < 500; i++)
        fake_add(0, 100000 + i, (i * 7 % 500 + 1) * VG_MIB);
    fake_add(0, 200000, ~0ull);
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &gpu);
    assert_true(gpu.known && gpu.self_seen && !gpu.slow);
    assert_true(gpu.self_bytes == 77 * VG_MIB);
    assert_int_equal(gpu.process_count, 501);
    assert_true(gpu.others_bytes == 500 * 501 / 2 * VG_MIB);
    for (size_t i = 1; i < 500; i++)
        assert_true(gpu.processes[i - 1].bytes > gpu.processes[i].bytes);
    assert_int_equal(gpu.processes[500].pid, 200000); /* unknown last */
    assert_ptr_equal(vg_machine_largest(&gpu), &gpu.processes[0]);
    assert_int_equal(vg_machine_find(&gpu, 100003)->pid, 100003);
    assert_null(vg_machine_find(&gpu, 4));
    assert_true(gpu.free_bytes == VG_GIB && gpu.total_bytes == 8 * VG_GIB);
}

/* Each thread asks about one GPU, many times, while the other asks about the other. */
struct asker {
    const char *uuid;
    int first_pid;
    unsigned wrong;
};

static void *ask_often(void *argument)
{
    struct asker *const asker = argument;
    for (int i = 0; i < 20; i++) {
        struct vg_region own = vg_region_over(NULL, 0);
        struct vg_machine_gpu gpu;
        const struct vg_machine_question question = { .uuid = asker->uuid, .pci_bus_id = "" };
        vg_machine_measure_gpu(&question, &own, &gpu);
        asker->wrong += gpu.process_count != 10;
        for (size_t k = 0; k < gpu.process_count; k++)
            asker->wrong += gpu.processes[k].pid < asker->first_pid ||
                            gpu.processes[k].pid >= asker->first_pid + 10;
        vg_region_release(&own);
    }
    return NULL;
}

static void two_threads_get_their_own_gpus_processes(void **state)
{
    (void)state;
    struct asker askers[2] = { { GPU_0, 100000, 0 }, { GPU_1, 200000, 0 } };
    pthread_t threads[2];
    for (unsigned i = 0; i < 10; i++) {
        fake_add(0, 100000 + i, VG_MIB);
        fake_add(1, 200000 + i, VG_MIB);
    }
    fake_delay_ms = 2;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &askers[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(askers[i].wrong, 0);
    }
}

static void without_nvml_the_registry_is_all_there_is(void **state)
{
    (void)state;
    struct vg_machine_gpu gpu;
    struct vg_machine machine;
    const struct vg_machine_question question = { .uuid = GPU_0, .pci_bus_id = "" };
    fake_open_result = -ENOENT;
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &gpu);
    assert_false(gpu.known || gpu.slow || gpu.self_seen);
    assert_true(gpu.total_bytes == VG_BYTES_UNKNOWN && gpu.free_bytes == VG_BYTES_UNKNOWN);
    assert_int_equal(gpu.process_count, 0);
    vg_machine_measure(&question, &region, &machine);
    assert_false(machine.known);
    assert_string_equal(machine.why, "no NVML here");
    assert_int_equal(machine.gpu_count, 0);
    assert_non_null(machine.asked);
}

static void all_gpus_are_told_and_one_with_its_processes(void **state)
{
    (void)state;
    struct vg_machine machine;
    const struct vg_machine_question question = { .uuid = GPU_1, .pci_bus_id = "" };
    fake_add(0, 100000, VG_MIB);
    fake_add(1, 200000, VG_MIB);
    vg_machine_measure(&question, &region, &machine);
    assert_true(machine.known && !machine.is_instance);
    assert_string_equal(machine.driver_version, "580.00.00");
    assert_int_equal(machine.gpu_count, 2);
    assert_ptr_equal(machine.asked, &machine.gpus[1]);
    assert_int_equal(machine.asked->process_count, 1);
    assert_int_equal(machine.asked->processes[0].pid, 200000);
    assert_int_equal(machine.gpus[0].process_count, 0);
    assert_true(machine.gpus[0].free_bytes == VG_GIB);
}

static void nvml_can_be_asked_ahead(void **state)
{
    (void)state;
    struct vg_machine machine;
    const int opened = atomic_load(&fake_opened);
    fake_add(1, 200000, VG_MIB);
    errno = 4711;
    const struct vg_machine_question question = { .uuid = GPU_1,
                                                  .pci_bus_id = "",
                                                  .begun = vg_machine_begin(GPU_1, "") };
    assert_int_equal(errno, 4711);
    assert_non_null(question.begun);
    vg_machine_measure(&question, &region, &machine);
    assert_true(machine.known);
    assert_int_equal(machine.gpu_count, 2);
    assert_ptr_equal(machine.asked, &machine.gpus[1]);
    assert_int_equal(machine.asked->process_count, 1);
    assert_int_equal(atomic_load(&fake_opened), opened + 1);
}

static void pids_of_another_namespace_name_nobody(void **state)
{
    (void)state;
    struct vg_machine_gpu gpu;
    fake_add(0, (unsigned)getppid(), VG_MIB); /* a pid that exists here, and is somebody else */
    measure(GPU_0, NULL, VG_MACHINE_RELATIONS, &gpu);
    assert_false(gpu.self_seen);
    assert_int_equal(gpu.processes[0].flags, VG_PROCESS_INVISIBLE);
    fake_add(0, (unsigned)getpid(), VG_MIB);
    measure(GPU_0, NULL, VG_MACHINE_RELATIONS, &gpu);
    assert_int_equal(gpu.processes[0].flags & (VG_PROCESS_INVISIBLE | VG_PROCESS_PARENT),
                     VG_PROCESS_PARENT);
    assert_true(gpu.processes[0].start_ticks > 0);
}

static void a_standstill_has_one_fingerprint(void **state)
{
    (void)state;
    struct vg_machine_gpu gpu;
    fake_add(0, 100000, 3 * VG_MIB);
    fake_add(0, 100001, 4 * VG_MIB);
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &gpu);
    const uint64_t before = vg_machine_fingerprint(&gpu, NULL);
    fake_add(0, (unsigned)getpid(), VG_MIB); /* what this process does is no news */
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &gpu);
    assert_true(vg_machine_fingerprint(&gpu, NULL) == before);
    fake_gpus[0].compute[1].usedGpuMemory = 5 * VG_MIB;
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &gpu);
    assert_true(vg_machine_fingerprint(&gpu, NULL) != before);
    fake_gpus[0].compute[1].usedGpuMemory = 4 * VG_MIB;
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &gpu);
    assert_true(vg_machine_fingerprint(&gpu, NULL) == before);
    fake_add(0, 100002, VG_MIB);
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &gpu);
    assert_true(vg_machine_fingerprint(&gpu, NULL) != before);
}

/* A guarded neighbour: a child in the registry, until `end` is closed. */
static pid_t start_member(uint64_t held_bytes, int *end)
{
    int ready[2], ends[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(ends), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        struct vg_registration own;
        close(ends[1]);
        vg_registry_join(GPU_0, &own);
        atomic_store(own.held_bytes, held_bytes);
        vg_registry_reserve(&own, held_bytes + 10 * VG_MIB, UINT64_MAX);
        _exit(write(ready[1], "y", 1) != 1 || read(ends[0], &byte, 1) != 0);
    }
    close(ends[0]);
    *end = ends[1];
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void guarded_ones_are_known_and_counted_once(void **state)
{
    (void)state;
    struct vg_machine_gpu gpu;
    struct vg_registration own;
    int end, status;
    const pid_t child = start_member(20 * VG_MIB, &end);
    vg_registry_join(GPU_0, &own);
    assert_non_null(own.file);
    fake_add(0, (unsigned)getpid(), VG_MIB);
    fake_add(0, (unsigned)child, 25 * VG_MIB);
    measure(GPU_0, own.file, VG_MACHINE_RELATIONS, &gpu);
    assert_int_equal(gpu.process_count, 1);
    assert_int_equal(gpu.processes[0].flags, VG_PROCESS_GUARDED | VG_PROCESS_CHILD);
    assert_true(gpu.processes[0].bytes == 25 * VG_MIB);
    assert_true(gpu.processes[0].held_bytes == 20 * VG_MIB);
    assert_true(gpu.others_bytes == 25 * VG_MIB && gpu.promised_bytes == 5 * VG_MIB);
    fake_open_result = -ENOENT; /* what it tells itself is all that is known then */
    measure(GPU_0, own.file, VG_MACHINE_PLAIN, &gpu);
    assert_int_equal(gpu.process_count, 1);
    assert_true(gpu.processes[0].bytes == 20 * VG_MIB && gpu.others_bytes == 20 * VG_MIB);
    close(end);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    vg_registry_leave(&own);
}

static void it_is_remembered_since_when_nothing_changed(void **state)
{
    (void)state;
    struct vg_machine_gpu first, again;
    struct vg_registration own;
    vg_registry_join(GPU_0, &own);
    fake_add(0, (unsigned)getpid(), VG_MIB);
    fake_add(0, 100000, 3 * VG_MIB);
    measure(GPU_0, own.file, VG_MACHINE_PLAIN, &first);
    assert_true(first.processes[0].unchanged_ns == first.taken_ns);
    measure(GPU_0, own.file, VG_MACHINE_PLAIN, &again);
    assert_true(again.taken_ns > first.taken_ns);
    assert_true(again.processes[0].unchanged_ns == first.taken_ns);
    fake_gpus[0].compute[1].usedGpuMemory = 4 * VG_MIB;
    measure(GPU_0, own.file, VG_MACHINE_PLAIN, &again);
    assert_true(again.processes[0].unchanged_ns == again.taken_ns);
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &again);
    assert_true(again.processes[0].unchanged_ns == 0);
    vg_registry_leave(&own);
}

static void who_comes_to_wait_is_news(void **state)
{
    (void)state;
    struct vg_machine_gpu gpu;
    struct vg_registration own;
    int ready[2], ends[2], status;
    char byte;
    vg_registry_join(GPU_0, &own);
    measure(GPU_0, own.file, VG_MACHINE_PLAIN, &gpu);
    const uint64_t before = vg_machine_fingerprint(&gpu, own.file);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        struct vg_registration childs;
        struct vg_queue_slot place;
        close(ends[1]);
        vg_registry_join(GPU_0, &childs);
        const struct vg_wait_request request = { .owner = vg_process_owner_self(),
                                                 .thread = (uint32_t)getpid(),
                                                 .now_ns = vg_clock_monotonic_ns(),
                                                 .deadline_ns = UINT64_MAX / 2 };
        if (vg_queue_enter(childs.queue, &request, &place) != 0)
            _exit(1);
        _exit(write(ready[1], "y", 1) != 1 || read(ends[0], &byte, 1) != 0);
    }
    close(ends[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_true(vg_machine_fingerprint(&gpu, own.file) != before);
    assert_true(vg_machine_fingerprint(&gpu, NULL) == before);
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ready[0]);
    close(ready[1]);
    vg_registry_leave(&own);
}

static void an_unknown_amount_is_not_the_largest(void **state)
{
    (void)state;
    struct vg_machine_gpu gpu;
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &gpu);
    assert_null(vg_machine_largest(&gpu));
    fake_add(0, 100000, ~0ull);
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &gpu);
    assert_int_equal(gpu.process_count, 1);
    assert_null(vg_machine_largest(&gpu));
}

static sigset_t asking_mask;

static int open_and_look(struct vg_nvml *out, char *why, size_t why_cap)
{
    pthread_sigmask(SIG_SETMASK, NULL, &asking_mask);
    return fake_open(out, why, why_cap);
}

static void asking_leaves_no_trace(void **state)
{
    (void)state;
    struct vg_nvml_answer answer;
    const int opened = atomic_load(&fake_opened), closed = atomic_load(&fake_closed);
    vg_machine_open_nvml = open_and_look;
    errno = 4711;
    assert_int_equal(vg_nvml_ask(GPU_0, "", true, &region, &answer), 0);
    assert_int_equal(errno, 4711);
    assert_true(sigismember(&asking_mask, SIGTERM) && sigismember(&asking_mask, SIGUSR1));
    assert_false(sigismember(&asking_mask, SIGSEGV));
    assert_int_equal(atomic_load(&fake_opened), opened + 1);
    for (int i = 0; i < 10000 && atomic_load(&fake_closed) == closed; i++)
        usleep(1000); /* the thread closes it when the answer is there */
    assert_int_equal(atomic_load(&fake_closed), closed + 1);
}

static atomic_bool no_thread_can_be_made;

/* In the place of the C library's. */
int pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return atomic_load(&no_thread_can_be_made) ? EAGAIN : real(out, attributes, run, argument);
}

/* Who asked in the caller's own thread could hang there. */
static void without_a_thread_it_is_not_asked(void **state)
{
    (void)state;
    struct vg_machine_gpu gpu;
    struct vg_nvml_answer answer;
    const int opened = atomic_load(&fake_opened);
    fake_add(0, 100000, VG_MIB);
    atomic_store(&no_thread_can_be_made, true);
    assert_int_equal(vg_nvml_ask(GPU_0, "", true, &region, &answer), -EAGAIN);
    assert_string_equal(answer.why, "no thread can be made to ask it");
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &gpu);
    atomic_store(&no_thread_can_be_made, false);
    assert_int_equal(atomic_load(&fake_opened), opened);
    assert_false(gpu.known || gpu.slow);
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &gpu); /* it is asked again */
    assert_true(gpu.known);
}

/* The last of them: NVML is left alone for a minute. */
static void a_hanging_nvml_holds_nobody(void **state)
{
    (void)state;
    struct vg_machine_gpu gpu;
    fake_add(0, 100000, VG_MIB);
    fake_delay_ms = 20000;
    const uint64_t start_ns = vg_clock_monotonic_ns();
    struct vg_nvml_question *const ahead = vg_nvml_begin(GPU_0, "", true);
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &gpu);
    assert_true(gpu.slow && !gpu.known);
    struct vg_nvml_answer answer;
    assert_non_null(ahead);
    assert_int_equal(vg_nvml_end(ahead, &region, &answer), -ETIMEDOUT);
    assert_null(vg_nvml_begin(GPU_0, "", true)); /* not asked again */
    const int opened = atomic_load(&fake_opened);
    measure(GPU_0, NULL, VG_MACHINE_PLAIN, &gpu);
    assert_int_equal(atomic_load(&fake_opened), opened); /* not asked again */
    assert_true(gpu.slow && !gpu.known);
    const uint64_t took_ms = (vg_clock_monotonic_ns() - start_ns) / VG_MS_NS;
    assert_took_between(took_ms, VG_MACHINE_NVML_MS, 1000);
}

static int start(void **state)
{
    (void)state;
    vg_registry_directory = mkdtemp(directory);
    return vg_registry_directory ? 0 : -1;
}

static int end(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

int main(void)
{
#define MACHINE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        MACHINE_TEST(all_processes_are_there_largest_first),
        MACHINE_TEST(two_threads_get_their_own_gpus_processes),
        MACHINE_TEST(without_nvml_the_registry_is_all_there_is),
        MACHINE_TEST(all_gpus_are_told_and_one_with_its_processes),
        MACHINE_TEST(nvml_can_be_asked_ahead),
        MACHINE_TEST(pids_of_another_namespace_name_nobody),
        MACHINE_TEST(a_standstill_has_one_fingerprint),
        MACHINE_TEST(guarded_ones_are_known_and_counted_once),
        MACHINE_TEST(it_is_remembered_since_when_nothing_changed),
        MACHINE_TEST(who_comes_to_wait_is_news),
        MACHINE_TEST(an_unknown_amount_is_not_the_largest),
        MACHINE_TEST(asking_leaves_no_trace),
        MACHINE_TEST(without_a_thread_it_is_not_asked),
        MACHINE_TEST(a_hanging_nvml_holds_nobody),
    };
    return cmocka_run_group_tests(tests, start, end);
}

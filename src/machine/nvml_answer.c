#include "machine/nvml_answer.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/plain_text.h"
#include "machine/machine.h"
#include "os/thread.h"

enum { STACK_BYTES = 1 << 20 /* used only as far as needed */ };

int (*vg_machine_open_nvml)(struct vg_nvml *out, char *why, size_t why_cap) = vg_nvml_open;

/* CLOCK_MONOTONIC: NVML is not asked before, since it did not answer the last time. */
static _Atomic uint64_t slow_until_ns;

enum question_stage { QUESTION_ASKED, QUESTION_ANSWERED, QUESTION_ABANDONED };

/* In memory of its own, which whoever comes last gives back. */
struct vg_nvml_question {
    _Atomic uint32_t stage; /* enum question_stage; a futex */
    uint64_t asked_ns;      /* CLOCK_MONOTONIC */
    char uuid[96], pci_bus_id[32];
    bool all;
    _Atomic int thread; /* that asks; 0: it has not begun */
    int error;
    struct vg_region region; /* of the answer */
    struct vg_nvml_answer answer;
};

static void describe_all(const struct vg_nvml *nvml, struct vg_nvml_question *question)
{
    struct vg_nvml_answer *const answer = &question->answer;
    const unsigned count = vg_nvml_device_count(nvml);
    answer->devices = vg_region_array(&question->region, count, sizeof *answer->devices);
    for (unsigned i = 0; answer->devices && i < count; i++) {
        /* One that cannot be described keeps its place, without a name. */
        if (vg_nvml_describe_device(nvml, i, &answer->devices[i]) != 0)
            memset(&answer->devices[i], 0, sizeof answer->devices[i]);
        answer->device_count = i + 1;
    }
}

static void put_question(struct vg_nvml *nvml, struct vg_nvml_question *question)
{
    struct vg_nvml_answer *const answer = &question->answer;
    vg_nvml_driver_version(nvml, answer->driver_version, sizeof answer->driver_version);
    answer->own = vg_nvml_find(nvml, question->uuid, question->pci_bus_id);
    if (answer->own >= 0) {
        const unsigned index = (unsigned)answer->own;
        /* Processes first: what one holds that ends meanwhile is seen twice rather than never. */
        answer->processes_known =
            vg_nvml_processes(nvml, index, &question->region, &answer->processes,
                              &answer->process_count) == 0;
        answer->own_described = vg_nvml_describe_device(nvml, index, &answer->own_device) == 0;
    }
    if (question->all)
        describe_all(nvml, question);
}

static void free_question(struct vg_nvml_question *question)
{
    vg_region_release(&question->region);
    munmap(question, sizeof *question);
}

/* Lets the caller go on, or cleans up behind one that has given up. */
static void publish_answer(struct vg_nvml_question *question)
{
    uint32_t stage = QUESTION_ASKED;
    if (atomic_compare_exchange_strong(&question->stage, &stage, QUESTION_ANSWERED))
        syscall(SYS_futex, &question->stage, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    else
        free_question(question);
}

static void *ask_nvml(void *argument)
{
    struct vg_nvml_question *const question = argument;
    struct vg_nvml nvml;
    atomic_store(&question->thread, vg_thread_id());
    const int error =
        vg_machine_open_nvml(&nvml, question->answer.why, sizeof question->answer.why);
    question->error = error;
    if (!error)
        put_question(&nvml, question);
    publish_answer(question);
    if (!error)
        vg_nvml_close(&nvml);
    return NULL;
}

/* Returns whether there is an answer; if not, the question is the thread's. */
static bool await_answer(struct vg_nvml_question *question)
{
    const uint64_t until_ns = question->asked_ns + VG_MACHINE_NVML_MS * VG_MS_NS;
    while (atomic_load(&question->stage) == QUESTION_ASKED) {
        const uint64_t now_ns = vg_clock_monotonic_ns();
        if (now_ns >= until_ns)
            break;
        const struct timespec pause = { .tv_sec = (time_t)((until_ns - now_ns) / 1000000000),
                                        .tv_nsec = (long)((until_ns - now_ns) % 1000000000) };
        syscall(SYS_futex, &question->stage, FUTEX_WAIT_PRIVATE, QUESTION_ASKED, &pause, NULL, 0);
    }
    uint32_t stage = QUESTION_ASKED;
    return !atomic_compare_exchange_strong(&question->stage, &stage, QUESTION_ABANDONED);
}

/* The thread has told its answer and is about to end: a program that counts its threads, or forks,
 * is not to see it. It may still be closing NVML, so it is not waited for long. */
static void await_end(int thread)
{
    enum { LOOKS = 100 };
    const struct timespec pause = { .tv_nsec = 100000 };
    if (thread == 0)
        return;
    for (int i = 0; i < LOOKS && syscall(SYS_tgkill, getpid(), thread, 0) == 0; i++)
        syscall(SYS_nanosleep, &pause, NULL);
}

static int copy_answer(const struct vg_nvml_question *question, struct vg_region *region,
                       struct vg_nvml_answer *out)
{
    *out = question->answer;
    out->processes = vg_region_array(region, out->process_count, sizeof *out->processes);
    out->devices = vg_region_array(region, out->device_count, sizeof *out->devices);
    if ((out->process_count && !out->processes) || (out->device_count && !out->devices)) {
        *out = (struct vg_nvml_answer){ .own = -ENOENT };
        return -ENOMEM;
    }
    if (out->process_count)
        vg_plain_copy(out->processes, question->answer.processes,
                      out->process_count * sizeof *out->processes);
    if (out->device_count)
        vg_plain_copy(out->devices, question->answer.devices,
                      out->device_count * sizeof *out->devices);
    return question->error;
}

static struct vg_nvml_question *make_question(const char *uuid, const char *pci_bus_id, bool all)
{
    struct vg_nvml_question *const question =
        mmap(NULL, sizeof *question, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (question == MAP_FAILED)
        return NULL;
    question->asked_ns = vg_clock_monotonic_ns();
    question->all = all;
    question->answer.own = -ENOENT;
    question->region = vg_region_over(NULL, 0);
    snprintf(question->uuid, sizeof question->uuid, "%s", uuid);
    snprintf(question->pci_bus_id, sizeof question->pci_bus_id, "%s", pci_bus_id);
    return question;
}

struct vg_nvml_question *vg_nvml_begin(const char *uuid, const char *pci_bus_id, bool all)
{
    const int saved_errno = errno;
    struct vg_nvml_question *const question = vg_clock_monotonic_ns() < atomic_load(&slow_until_ns)
                                                  ? NULL
                                                  : make_question(uuid, pci_bus_id, all);
    const int error = question ? vg_thread_start(ask_nvml, question, STACK_BYTES) : 0;
    if (error) { /* the caller may not ask itself: nothing would end its wait */
        question->error = error;
        snprintf(question->answer.why, sizeof question->answer.why,
                 "no thread can be made to ask it");
        atomic_store(&question->stage, QUESTION_ANSWERED);
    }
    errno = saved_errno;
    return question;
}

int vg_nvml_end(struct vg_nvml_question *question, struct vg_region *region,
                struct vg_nvml_answer *out)
{
    const int saved_errno = errno;
    int error = -ETIMEDOUT;
    *out = (struct vg_nvml_answer){ .own = -ENOENT };
    if (await_answer(question)) {
        const int thread = atomic_load(&question->thread);
        error = copy_answer(question, region, out);
        free_question(question);
        await_end(thread);
    } else {
        atomic_store(&slow_until_ns, vg_clock_monotonic_ns() + VG_MACHINE_NVML_PAUSE_MS * VG_MS_NS);
    }
    errno = saved_errno;
    return error;
}

int vg_nvml_ask(const char *uuid, const char *pci_bus_id, bool all, struct vg_region *region,
                struct vg_nvml_answer *out)
{
    *out = (struct vg_nvml_answer){ .own = -ENOENT };
    if (vg_clock_monotonic_ns() < atomic_load(&slow_until_ns))
        return -ETIMEDOUT;
    struct vg_nvml_question *const question = vg_nvml_begin(uuid, pci_bus_id, all);
    return question ? vg_nvml_end(question, region, out) : -ENOMEM;
}

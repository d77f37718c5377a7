#include "oom/census_observer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/driver.h"
#include "oom/callback_thread.h"
#include "oom/census_python.h"
#include "oom/census_threads.h"
#include "os/thread.h"

static const struct vg_census_client *_Atomic client;

/* The attachment. A forked child inherits the observer with PyTorch, but not a thread that was
 * about to attach it: then the process is another one. */
static _Atomic uint32_t attachment;
static _Atomic pid_t attaching_process;

/* The result of the observer's: under the GIL. Too large for a thread's stack. */
static struct vg_census observed;
static bool is_observing;

/* ---- the observer ---- */

static uint64_t number_at(const struct vg_census_python *python, uintptr_t arguments, size_t index)
{
    if (index >= vg_python_word(arguments + VG_SIZE))
        return 0;
    const uintptr_t item = vg_python_tuple_item(python->layout, arguments, index);
    return vg_object_type(item) == (uintptr_t)python->number
               ? (uint64_t)python->integer((void *)item)
               : 0;
}

static void observe_failure(const struct vg_census_python *python, uintptr_t arguments)
{
    const struct vg_census_client *const told = atomic_load(&client);
    struct vg_census_source source;
    struct vg_census_failure failure = { .device = -1 };
    memset(&observed, 0, sizeof observed);
    observed.state = python ? VG_CENSUS_REFUSED : VG_CENSUS_UNREADABLE;
    if (python)
        failure = (struct vg_census_failure){
            .device = (int64_t)number_at(python, arguments, 0),
            .asked_bytes = number_at(python, arguments, 1),
            .total_bytes = number_at(python, arguments, 2),
            .free_bytes = number_at(python, arguments, 3),
        };
    if (python && told->prepare(failure.device, &source))
        vg_census_take(&source, VG_CENSUS_BUDGET_MS * VG_MS_NS, &observed);
    told->tell(&failure, &observed);
}

/* Called by PyTorch, in the manner of METH_VARARGS. */
static void *at_out_of_memory(void *self, void *arguments)
{
    const struct vg_census_python *const python = vg_census_python();
    const struct vg_python_api *const api = vg_python_api_find();
    (void)self;
    if (!is_observing) {
        is_observing = true;
        observe_failure(python, (uintptr_t)arguments);
        is_observing = false;
    }
    api->take(api->none);
    return api->none;
}

/* ---- attaching, in a thread of ours ---- */

enum { VARIABLE_ARGUMENTS = 1 /* METH_VARARGS */ };

/* "2.3.1+cu121" as 2003; 0 unknown. */
static int torch_version(const struct vg_python_api *api)
{
    int major = 0, minor = 0;
    void *const modules = api->modules();
    void *const module = modules ? api->item(modules, "torch.version") : NULL;
    void *const version = module ? api->attribute(module, "__version__") : NULL;
    const char *const text = version ? api->text(version) : NULL;
    if (!text || sscanf(text, "%d.%d", &major, &minor) != 2)
        major = minor = 0;
    api->clear_error();
    api->drop(version);
    return major * 1000 + minor;
}

/* From 2.1 to 2.3 PyTorch gives the observer away to the first GPU, and an empty one to all others:
 * what lacks memory there ends with "bad_function_call" (c10/cuda/CUDACachingAllocator.cpp,
 * attachOutOfMemoryObserver; seen with 2.3.1, and in the machine code of 2.1.2 and 2.2.2; 2.4.1
 * gives each a copy). 2.0 tells of one GPU alone. */
static bool tells_of_all_gpus(const struct vg_python_api *api)
{
    enum { EACH_HAS_ITS_OWN = 2004 };
    int count = 0;
    if (vg_driver.cuDeviceGetCount && vg_driver.cuDeviceGetCount(&count) == CUDA_SUCCESS &&
        count <= 1)
        return true;
    return torch_version(api) >= EACH_HAS_ITS_OWN;
}

static bool attach_observer(const struct vg_python_api *api)
{
    static struct vg_python_method method = { .name = "vramguard_out_of_memory",
                                              .function = at_out_of_memory,
                                              .flags = VARIABLE_ARGUMENTS };
    void *const modules = api->modules();
    void *const core = modules ? api->item(modules, "torch._C") : NULL;
    void *const add = core ? api->attribute(core, "_cuda_attach_out_of_memory_observer") : NULL;
    void *const observer = add ? api->function(&method, NULL, NULL) : NULL;
    void *const result = observer ? api->call(add, observer, NULL) : NULL;
    api->clear_error();
    api->drop(result);
    api->drop(observer);
    api->drop(add);
    return result != NULL;
}

static void attach_task(void *unused)
{
    const struct vg_python_api *const api = vg_python_api_find();
    (void)unused;
    if (!api || !api->is_initialized() || api->is_finalizing())
        return;
    /* The GIL is kept until it is released for good, so that Python, which ends threads that want
     * it back when it ends itself, cannot do so in the midst of PyTorch's code. */
    const int state = api->ensure();
    if (!api->is_finalizing())
        atomic_store(&attachment, tells_of_all_gpus(api) && attach_observer(api)
                                      ? VG_CENSUS_ATTACHED
                                      : VG_CENSUS_NOT_POSSIBLE);
    api->release(state);
}

static void do_nothing(void *unused)
{
    (void)unused;
}

/* It did not come to it, or was ended before: another request may try again. */
static void finish_attaching(void *unused)
{
    uint32_t before = VG_CENSUS_ATTACHING;
    (void)unused;
    atomic_compare_exchange_strong(&attachment, &before, VG_CENSUS_DETACHED);
}

static bool begin_attaching(void)
{
    uint32_t before = atomic_load(&attachment);
    if (before == VG_CENSUS_ATTACHED || before == VG_CENSUS_NOT_POSSIBLE)
        return false;
    if (before == VG_CENSUS_ATTACHING && atomic_load(&attaching_process) == getpid())
        return false;
    if (!atomic_compare_exchange_strong(&attachment, &before, VG_CENSUS_ATTACHING))
        return false;
    atomic_store(&attaching_process, getpid());
    return true;
}

void vg_census_request_attach(const struct vg_census_client *new_client)
{
    static const struct vg_callback_thread_task task = { .run = attach_task,
                                                         .done = finish_attaching };
    if (!begin_attaching())
        return;
    atomic_store(&client, new_client);
    if (!vg_python_api_find() || vg_callback_thread_claim(0) != 0) {
        finish_attaching(NULL);
        return;
    }
    /* Time is over at once: the thread goes on by itself, and `done` runs there. */
    if (vg_callback_thread_run(&task, 0, do_nothing, NULL) != VG_CALLBACK_TIMED_OUT)
        vg_callback_thread_release();
}

enum vg_census_attachment vg_census_attachment(void)
{
    return atomic_load(&attachment);
}

void vg_census_await_attachment(void)
{
    const struct timespec pause = { .tv_nsec = 1000000 };
    const struct vg_python_api *const api = vg_python_api_find();
    const uint64_t until_ns = vg_clock_monotonic_ns() + VG_CENSUS_GIL_MS * VG_MS_NS;
    if (atomic_load(&attachment) != VG_CENSUS_ATTACHING || !api || api->holds_gil())
        return;
    while (atomic_load(&attachment) == VG_CENSUS_ATTACHING && vg_clock_monotonic_ns() < until_ns)
        nanosleep(&pause, NULL);
}

/* ---- on request ---- */

enum request_stage { WAITING, TAKING, TAKEN, GIVEN_UP };

/* One at a time: who has claimed the callback thread writes it. */
static struct {
    struct vg_census_source source;
    _Atomic uint32_t stage; /* enum request_stage */
    struct vg_census census;
    struct vg_program_line main_line;
} request;

/* Who waits for one: process << 32 | thread. A forked child begins anew. */
static _Atomic uint64_t requester;

static uint64_t this_requester(void)
{
    return (uint64_t)getpid() << 32 | (uint32_t)vg_thread_id();
}

static bool move_request(enum request_stage from, enum request_stage to)
{
    uint32_t before = from;
    return atomic_compare_exchange_strong(&request.stage, &before, to);
}

static void request_task(void *unused)
{
    const struct vg_python_api *const api = vg_python_api_find();
    (void)unused;
    if (!api || !api->is_initialized() || api->is_finalizing())
        return;
    const int state = api->ensure();
    if (!api->is_finalizing() && move_request(WAITING, TAKING)) {
        vg_census_main_line(&request.main_line);
        vg_census_take(&request.source, VG_CENSUS_BUDGET_MS * VG_MS_NS, &request.census);
        move_request(TAKING, TAKEN);
    }
    api->release(state);
}

/* Where nothing was taken: nobody comes to it any more. */
static void finish_request(void *unused)
{
    (void)unused;
    move_request(WAITING, GIVEN_UP);
}

/* For the GIL only so long; a census under way ends by itself, or late, when the machine is busy.
 */
static bool await_request(uint64_t gil_until_ns)
{
    const struct timespec pause = { .tv_nsec = 500000 };
    const uint64_t until_ns = gil_until_ns + 2 * VG_CENSUS_BUDGET_MS * VG_MS_NS;
    for (;;) {
        const enum request_stage stage = atomic_load(&request.stage);
        const uint64_t now_ns = vg_clock_monotonic_ns();
        if (stage == TAKEN || stage == GIVEN_UP || now_ns >= until_ns)
            return stage == TAKEN;
        if (now_ns >= gil_until_ns && move_request(WAITING, GIVEN_UP))
            return false;
        nanosleep(&pause, NULL);
    }
}

/* With the callback thread claimed. */
static bool run_request(const struct vg_census_source *source, uint64_t gil_until_ns,
                        struct vg_census *out, struct vg_program_line *main_line)
{
    static const struct vg_callback_thread_task task = { .run = request_task,
                                                         .done = finish_request };
    request.source = *source;
    request.source.failing_thread = vg_python_api_find()->this_thread();
    atomic_store(&request.stage, WAITING);
    /* Time is over at once: the thread goes on by itself, and gives itself back. */
    const bool is_alone =
        vg_callback_thread_run(&task, 0, do_nothing, NULL) == VG_CALLBACK_TIMED_OUT;
    const bool is_taken = await_request(gil_until_ns);
    if (is_taken) {
        *out = request.census;
        *main_line = request.main_line;
    }
    if (!is_alone)
        vg_callback_thread_release();
    else if (is_taken) /* another failure may follow at once */
        vg_callback_thread_await_end(vg_clock_monotonic_ns() + VG_CENSUS_GIL_MS * VG_MS_NS);
    return is_taken;
}

static bool begin_request(void)
{
    uint64_t before = atomic_load(&requester);
    return before >> 32 != (uint64_t)getpid() &&
           atomic_compare_exchange_strong(&requester, &before, this_requester());
}

void vg_census_request_abandon(void)
{
    uint64_t before = this_requester();
    if (atomic_compare_exchange_strong(&requester, &before, 0))
        move_request(WAITING, GIVEN_UP);
}

int vg_census_request(const struct vg_census_source *source, struct vg_census *out,
                      struct vg_program_line *main_line)
{
    const struct vg_python_api *const api = vg_python_api_find();
    const uint64_t gil_until_ns = vg_clock_monotonic_ns() + VG_CENSUS_GIL_MS * VG_MS_NS;
    main_line->line = 0;
    if (!api || !api->is_initialized() || api->is_finalizing())
        return -ENOENT;
    if (api->holds_gil()) {
        vg_census_main_line(main_line);
        vg_census_take(source, VG_CENSUS_BUDGET_MS * VG_MS_NS, out);
        return 0;
    }
    if (!begin_request())
        return -EBUSY;
    int result = -EBUSY;
    if (vg_callback_thread_claim(gil_until_ns) == 0)
        result = run_request(source, gil_until_ns, out, main_line) ? 0 : -ETIMEDOUT;
    atomic_store(&requester, 0);
    return result;
}

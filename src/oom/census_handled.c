/* The exceptions that threads are handling: an `except` block keeps its exception, and with it the
 * frames that it went through, whether or not a variable has it. sys.exc_info() tells the calling
 * thread's, and runs nothing; the others' are read from their states (unwind/python_handled.h)
 * where what is read of the calling thread is what Python says of it. */
#include "oom/census_work.h"
#include "unwind/python_handled.h"

enum {
    CONTEXTS_MAX = 16,    /* of an exception */
    TRACEBACK_FRAME = 24, /* PyTracebackObject.tb_frame, the same in all versions */
};

struct handled {
    uintptr_t error;   /* its references are kept by the thread */
    uintptr_t catcher; /* the frame that has caught it, the first of its traceback; 0: unknown */
    const struct vg_census_running *running; /* that frame; NULL: it does not run in that thread */
};

/* Where something is handled. */
struct thread {
    uint32_t number;
    enum vg_census_place place;
};

/* The exception may have been through other threads since, or before: a future's. */
static const struct vg_census_running *find_running(const struct vg_census_work *work,
                                                    const struct thread *thread, uintptr_t frame)
{
    for (size_t i = 0; frame && i < work->running.count; i++) {
        const struct vg_census_running *const running =
            (const struct vg_census_running *)work->running.items + i;
        if (vg_census_thread_of(work, running) == thread->number &&
            vg_census_frame_object(work->python->layout, running->python.frame) == frame)
            return running;
    }
    return NULL;
}

static struct handled describe(const struct vg_census_work *work, const struct thread *thread,
                               uintptr_t error)
{
    const struct vg_census_python *const python = work->python;
    void *const traceback = python->traceback_of((void *)error);
    struct handled handled = { .error = error };
    if (traceback && vg_object_type((uintptr_t)traceback) == (uintptr_t)python->traceback)
        handled.catcher = vg_python_word((uintptr_t)traceback + TRACEBACK_FRAME);
    python->api->drop(traceback);
    handled.running = find_running(work, thread, handled.catcher);
    return handled;
}

static bool is_error(uintptr_t object)
{
    return vg_type_flags(vg_object_type(object)) & VG_TYPE_IS_ERROR;
}

/* The one that the calling thread is handling; 0: it is handling none. */
static uintptr_t innermost(const struct vg_census_python *python)
{
    void *parts[3] = { NULL, NULL, NULL }; /* type, value, traceback */
    python->handled(&parts[0], &parts[1], &parts[2]);
    const uintptr_t error = (uintptr_t)parts[1];
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        python->api->drop(parts[i]); /* the thread keeps them */
    return error && is_error(error) ? error : 0;
}

/* A function that begins to handle an exception puts aside, on its stack, what its thread was
 * handling. Where that was is told by the other functions that run: its catcher had it there, too,
 * if only for a moment. */
static bool is_put_aside(const struct vg_census_work *work, const struct thread *thread,
                         const struct handled *handled)
{
    for (size_t i = 0; i < work->running.count; i++) {
        const struct vg_census_running *const running =
            (const struct vg_census_running *)work->running.items + i;
        if (running != handled->running && vg_census_thread_of(work, running) == thread->number &&
            vg_census_stack_has(work, running, handled->error))
            return true;
    }
    return false;
}

/* An exception's context was being handled when it was raised. Where another function has caught
 * that, which still runs, and one has put it aside, it still is; else only the exception keeps it.
 */
static bool is_handled(const struct vg_census_work *work, const struct thread *thread,
                       const struct handled *chain, size_t i)
{
    return i == 0 || (chain[i].running && chain[i].catcher != chain[i - 1].catcher &&
                      is_put_aside(work, thread, &chain[i]));
}

/* A frame that says nothing, but the thread. */
static uint32_t add_unknown_frame(struct vg_census_work *work, const struct thread *thread)
{
    struct vg_census_frame *const frame = vg_census_list_add(&work->frames);
    if (!frame)
        return 0;
    frame->thread = thread->number;
    return (uint32_t)work->frames.count - 1;
}

static void walk(struct vg_census_work *work, const struct thread *thread,
                 const struct handled *handled)
{
    const uint32_t frame =
        handled->running ? handled->running->frame : add_unknown_frame(work, thread);
    vg_census_walk_unnamed(work, handled->error, frame, thread->place);
}

/* With its contexts. */
static void walk_error(struct vg_census_work *work, const struct thread *thread, uintptr_t error)
{
    const struct vg_census_python *const python = work->python;
    struct handled chain[CONTEXTS_MAX];
    size_t count = 0;
    while (error && count < CONTEXTS_MAX) {
        chain[count++] = describe(work, thread, error);
        error = (uintptr_t)python->context_of((void *)error);
        python->api->drop((void *)error); /* the exception keeps it */
    }
    while (count-- > 0) /* the outermost first: the others lead to it */
        if (is_handled(work, thread, chain, count))
            walk(work, thread, &chain[count]);
}

/* ---- threads ---- */

static void walk_thread(struct vg_census_work *work, const struct thread *thread, uintptr_t state)
{
    struct vg_python_handled handled;
    if (!vg_python_handled_read(work->python->layout, state, &handled))
        return;
    while (handled.count-- > 0 && !vg_census_is_done(work))
        if (is_error(handled.values[handled.count]))
            walk_error(work, thread, handled.values[handled.count]);
}

/* Is what is read of the calling thread what Python itself says of it? */
static bool is_readable(const struct vg_census_work *work, uintptr_t calling, uintptr_t told)
{
    struct vg_python_handled handled;
    uint32_t i = 0;
    if (!calling || !vg_python_handled_read(work->python->layout, calling, &handled))
        return false;
    while (i < handled.count && !is_error(handled.values[i]))
        i++;
    return (i < handled.count ? handled.values[i] : 0) == told;
}

static uint32_t number_of(const struct vg_census_work *work, uintptr_t state)
{
    uint32_t number = 0;
    while (number < work->threads.count && vg_census_list_at(&work->threads, number) != state)
        number++;
    return number;
}

static bool is_bootstrap(const struct vg_census_work *work, uintptr_t function)
{
    return function && (vg_census_str_is(work->python, function, "Thread._bootstrap") ||
                        vg_census_str_is(work->python, function, "_bootstrap"));
}

/* Python's own threads begin in threading.py. Others, as those of a backward pass, have no Python
 * code or begin with what they were given, and work for one that waits. */
static bool works_for_another(const struct vg_census_work *work, uint32_t number)
{
    const struct vg_census_frame *const frames = work->frames.items;
    for (size_t i = 0; number > 0 && i < work->running.count; i++) {
        const struct vg_census_running *const outermost =
            (const struct vg_census_running *)work->running.items + i;
        if (vg_census_thread_of(work, outermost) == number)
            return !is_bootstrap(work, frames[outermost->frame].function);
    }
    return number > 0;
}

/* Those that work for another do so for the main thread, mostly. */
static enum vg_census_place place_of(const struct vg_census_work *work, uint32_t failing,
                                     uint32_t number)
{
    const bool is_meant = number == failing || (number == 0 && works_for_another(work, failing));
    return is_meant ? VG_CENSUS_HANDLED : VG_CENSUS_HANDLED_ELSEWHERE;
}

/* The failing thread's first. */
static void walk_threads(struct vg_census_work *work, uint32_t failing)
{
    const uint32_t count = (uint32_t)work->threads.count;
    for (uint32_t i = 0; i <= count && !vg_census_is_done(work); i++) {
        const uint32_t number = i == 0 ? failing : i - 1;
        const struct thread thread = { number, place_of(work, failing, number) };
        if (number < count)
            walk_thread(work, &thread, vg_census_list_at(&work->threads, number));
    }
}

void vg_census_walk_handled(struct vg_census_work *work)
{
    const uintptr_t calling = (uintptr_t)work->python->api->this_thread();
    const void *const failing = work->source->failing_thread;
    const uint32_t own = number_of(work, calling);
    const uint32_t failed = failing ? number_of(work, (uintptr_t)failing) : own;
    const struct thread thread = { own, place_of(work, failed, own) };
    const uintptr_t told = vg_census_is_done(work) ? 0 : innermost(work->python);
    if (told)
        walk_error(work, &thread, told);
    if (is_readable(work, calling, told))
        walk_threads(work, failed);
}

/* The exceptions that the calling thread is handling: an `except` block keeps its exception, and
 * with it the frames that it went through, whether or not a variable has it. As sys.exc_info()
 * tells, which runs nothing; of other threads it is not known. */
#include "oom/census_work.h"

enum {
    HANDLED_MAX = 16,
    TRACEBACK_FRAME = 24, /* PyTracebackObject.tb_frame, the same in all versions */
};

struct handled {
    uintptr_t error;   /* its references are kept by the thread */
    uintptr_t catcher; /* the frame that has caught it, the first of its traceback; 0: unknown */
    const struct vg_census_running *running; /* that frame; NULL: it does not run any more */
};

static const struct vg_census_running *find_running(const struct vg_census_work *work,
                                                    uintptr_t frame)
{
    for (size_t i = 0; frame && i < work->running.count; i++) {
        const struct vg_census_running *const running =
            (const struct vg_census_running *)work->running.items + i;
        if (vg_census_frame_object(work->python->layout, running->python.frame) == frame)
            return running;
    }
    return NULL;
}

static struct handled describe(const struct vg_census_work *work, uintptr_t error)
{
    const struct vg_census_python *const python = work->python;
    void *const traceback = python->traceback_of((void *)error);
    struct handled handled = { .error = error };
    if (traceback && vg_object_type((uintptr_t)traceback) == (uintptr_t)python->traceback)
        handled.catcher = vg_python_word((uintptr_t)traceback + TRACEBACK_FRAME);
    python->api->drop(traceback);
    handled.running = find_running(work, handled.catcher);
    return handled;
}

/* The one that is handled; 0: none is. */
static uintptr_t innermost(const struct vg_census_python *python)
{
    void *parts[3] = { NULL, NULL, NULL }; /* type, value, traceback */
    python->handled(&parts[0], &parts[1], &parts[2]);
    const uintptr_t error = (uintptr_t)parts[1];
    const bool is_error = error && (vg_type_flags(vg_object_type(error)) & VG_TYPE_IS_ERROR);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        python->api->drop(parts[i]); /* the thread keeps them */
    return is_error ? error : 0;
}

/* An exception's context was being handled when it was raised. Where another function has caught
 * that, which still runs, it still is; else only the exception keeps it. */
static bool is_handled(const struct handled *chain, size_t i)
{
    return i == 0 || (chain[i].running && chain[i].catcher != chain[i - 1].catcher);
}

static void walk(struct vg_census_work *work, const struct handled *handled)
{
    uint32_t frame = 0;
    if (handled->running)
        frame = handled->running->frame;
    else if (vg_census_list_add(&work->frames)) /* one that says nothing */
        frame = (uint32_t)work->frames.count - 1;
    vg_census_walk_unnamed(work, handled->error, frame, VG_CENSUS_HANDLED);
}

void vg_census_walk_handled(struct vg_census_work *work)
{
    const struct vg_census_python *const python = work->python;
    struct handled chain[HANDLED_MAX];
    size_t count = 0;
    uintptr_t error = vg_census_is_done(work) ? 0 : innermost(python);
    while (error && count < HANDLED_MAX) {
        chain[count++] = describe(work, error);
        error = (uintptr_t)python->context_of((void *)error);
        python->api->drop((void *)error); /* the exception keeps it */
    }
    while (count-- > 0) /* the outermost first: the others lead to it */
        if (is_handled(chain, count))
            walk(work, &chain[count]);
}

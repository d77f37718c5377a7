#include "oom/python_trim.h"

#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "oom/python_api.h"
#include "os/loader.h"

enum { STUCK_MS = 1000, PYTHON_EXIT_MS = 10000, EXIT_MS = 2000 };

/* Processes, and not flags: a forked child inherits them, but not the thread. */
static _Atomic uint64_t working_in; /* in which one is inside Python's functions; 0: none */
static _Atomic uint64_t closed_in;  /* in which no trim begins any more */
static _Atomic uint64_t working_since_ns;

static bool is_working(void)
{
    return atomic_load(&working_in) == (uint64_t)getpid();
}

static bool is_closed(void)
{
    return atomic_load(&closed_in) == (uint64_t)getpid();
}

bool vg_python_trim_is_stuck(void)
{
    return is_working() &&
           vg_clock_monotonic_ns() - atomic_load(&working_since_ns) >= STUCK_MS * VG_MS_NS;
}

static void close_for_good(unsigned wait_ms)
{
    const struct timespec pause = { .tv_nsec = 1000000 };
    const uint64_t until_ns = vg_clock_monotonic_ns() + wait_ms * VG_MS_NS;
    atomic_store(&closed_in, (uint64_t)getpid());
    while (is_working() && vg_clock_monotonic_ns() < until_ns)
        nanosleep(&pause, NULL);
}

void vg_python_trim_close(void)
{
    close_for_good(EXIT_MS);
}

/* ---- whether ---- */

/* PyTorch's allocator is in libc10_cuda.so; CuPy's extension modules lie in a folder of its name.
 */
static int is_framework(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    return info->dlpi_name &&
           (strstr(info->dlpi_name, "/libc10_cuda") || strstr(info->dlpi_name, "/cupy/"));
}

bool vg_python_trim_is_possible(void)
{
    if (!vg_loader_each_object(is_framework, NULL))
        return false;
    const struct vg_python_api *const python = vg_python_api_find();
    return python && python->is_initialized() && !python->is_finalizing() && !is_closed();
}

bool vg_python_trim_holds_gil(void)
{
    const struct vg_python_api *const python = vg_python_api_find();
    return python && python->is_initialized() && python->holds_gil();
}

/* ---- with the GIL ---- */

/* A module that the program has imported, borrowed; NULL when it has not. */
static void *imported_module(const struct vg_python_api *python, const char *name)
{
    void *const modules = python->modules();
    return modules ? python->item(modules, name) : NULL;
}

/* Keeps the first exception's name and clears the error indicator. */
static void note_exception(const struct vg_python_api *python, struct vg_python_trim *task,
                           const char *function)
{
    void *const type = python->error();
    if (!type)
        return;
    python->take(type);
    python->clear_error();
    void *const name = python->attribute(type, "__name__");
    const char *const text = name ? python->text(name) : NULL;
    if (!task->why[0]) {
        snprintf(task->why, sizeof task->why, "%s raised %s", function,
                 text ? text : "an exception");
        vg_text_sanitize(task->why, sizeof task->why, task->why, strlen(task->why));
    }
    python->clear_error();
    python->drop(name);
    python->drop(type);
}

/* Calls `object.name()`. Returns a new reference, NULL after an exception, which is noted. */
static void *call_method(const struct vg_python_api *python, struct vg_python_trim *task,
                         void *object, const char *name)
{
    void *const callable = python->attribute(object, name);
    void *const result = callable ? python->call(callable, NULL) : NULL;
    python->drop(callable);
    if (!result)
        note_exception(python, task, name);
    return result;
}

static void empty_torch(const struct vg_python_api *python, struct vg_python_trim *task)
{
    void *const torch_cuda = imported_module(python, "torch.cuda");
    if (!torch_cuda)
        return;
    python->take(torch_cuda);
    void *const initialized = call_method(python, task, torch_cuda, "is_initialized");
    if (initialized && python->is_true(initialized) == 1)
        python->drop(call_method(python, task, torch_cuda, "empty_cache"));
    python->drop(initialized);
    python->drop(torch_cuda);
}

static void empty_cupy(const struct vg_python_api *python, struct vg_python_trim *task)
{
    static const char *const pools[] = { "get_default_memory_pool",
                                         "get_default_pinned_memory_pool" };
    void *const cupy = imported_module(python, "cupy");
    if (!cupy)
        return;
    python->take(cupy);
    for (size_t i = 0; i < sizeof pools / sizeof pools[0]; i++) {
        void *const pool = call_method(python, task, cupy, pools[i]);
        if (pool)
            python->drop(call_method(python, task, pool, "free_all_blocks"));
        python->drop(pool);
    }
    python->drop(cupy);
}

/* The interpreter's end begins with threading._shutdown, which declares the main thread dead; then
 * come the exit handlers. */
static bool is_ending(const struct vg_python_api *python)
{
    void *const threading = imported_module(python, "threading");
    void *const thread = threading ? python->attribute(threading, "_main_thread") : NULL;
    void *const is_alive = thread ? python->attribute(thread, "is_alive") : NULL;
    void *const alive = is_alive ? python->call(is_alive, NULL) : NULL;
    const bool ending = alive && python->is_true(alive) == 0;
    python->drop(alive);
    python->drop(is_alive);
    python->drop(thread);
    python->clear_error();
    return ending || python->is_finalizing() || is_closed();
}

/* Runs among Python's exit handlers, with the GIL, which whoever is waited for may need. */
static void *at_python_exit(void *self, void *unused)
{
    const struct vg_python_api *const python = vg_python_api_find();
    (void)self, (void)unused;
    void *const thread = python->save();
    close_for_good(PYTHON_EXIT_MS);
    python->restore(thread);
    python->take(python->none);
    return python->none;
}

/* Once; a forked child inherits the registration. Handlers run in reverse order: ours before those
 * that were there when the first trim was made. */
static bool register_exit(const struct vg_python_api *python)
{
    static struct vg_python_method method = { .name = "vramguard_exit",
                                              .function = at_python_exit,
                                              .flags = VG_PYTHON_NO_ARGUMENTS };
    static bool registered;
    if (registered)
        return true;
    void *const atexit = python->import("atexit");
    void *const add = atexit ? python->attribute(atexit, "register") : NULL;
    void *const handler = add ? python->function(&method, NULL, NULL) : NULL;
    void *const result = handler ? python->call(add, handler, NULL) : NULL;
    registered = result != NULL;
    python->drop(result);
    python->drop(handler);
    python->drop(add);
    python->drop(atexit);
    python->clear_error();
    return registered;
}

static void empty_caches(const struct vg_python_api *python, struct vg_python_trim *task)
{
    if (task->collect)
        python->collect();
    empty_torch(python, task);
    empty_cupy(python, task);
    task->end = VG_PYTHON_TRIM_DONE;
}

static void trim_python(const struct vg_python_api *python, struct vg_python_trim *task)
{
    if (vg_clock_monotonic_ns() >= task->until_ns)
        return;
    task->end = VG_PYTHON_TRIM_REFUSED;
    if (is_ending(python) || !register_exit(python))
        return;
    atomic_store(&working_since_ns, vg_clock_monotonic_ns());
    /* Before the question: whoever begins to lack memory after it sees this. */
    atomic_store(&working_in, (uint64_t)getpid());
    if (!is_closed() && task->may_begin(task->argument))
        empty_caches(python, task);
}

/* ---- in the helper ---- */

/* Runs also when Python ends the thread, as it does with those that want the GIL at its end. */
static void leave_python(void *unused)
{
    (void)unused;
    atomic_store(&working_in, 0);
}

void vg_python_trim_run(void *argument)
{
    struct vg_python_trim *const task = argument;
    const struct vg_python_api *const python = vg_python_api_find();
    task->end = VG_PYTHON_TRIM_LATE;
    task->why[0] = '\0';
    if (!python || !python->is_initialized() || python->is_finalizing() || is_closed()) {
        task->end = VG_PYTHON_TRIM_REFUSED;
        return;
    }
    pthread_cleanup_push(leave_python, NULL);
    const int state = python->ensure();
    trim_python(python, task);
    /* Still with the GIL, so that Python's end cannot come in between. */
    leave_python(NULL);
    python->release(state);
    pthread_cleanup_pop(0);
}

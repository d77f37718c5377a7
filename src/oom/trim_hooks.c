#include "oom/trim_hooks.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "oom/callback_thread.h"

/* A slot in the making or being emptied belongs to the one thread that moved it there. Was that
 * thread left behind by fork, the child has a slot less. */
enum stage { EMPTY, CHANGING, LIVE, REMOVED };

static struct slot {
    _Atomic uint32_t stage;
    /* Process that calls the hook or looks at the slot; 0 none. Who reads a slot marks it first and
     * then looks at its stage; who empties it changes the stage first and then looks for a mark. */
    _Atomic pid_t user;
    _Atomic uint64_t user_until_ns;
    _Atomic vg_trim_function function;
    _Atomic(void *) argument;
    uint64_t sequence;
    int priority;
    char name[VG_TRIM_NAME_CAP];
} slots[VG_TRIM_HOOKS_MAX];

static bool move_stage(struct slot *slot, enum stage from, enum stage to)
{
    uint32_t before = from;
    return atomic_compare_exchange_strong(&slot->stage, &before, to);
}

static struct slot *find_hook(vg_trim_function function, const void *argument)
{
    for (unsigned i = 0; i < VG_TRIM_HOOKS_MAX; i++) {
        struct slot *const slot = &slots[i];
        const uint32_t stage = atomic_load(&slot->stage);
        if ((stage == LIVE || stage == REMOVED) && atomic_load(&slot->function) == function &&
            atomic_load(&slot->argument) == argument)
            return slot;
    }
    return NULL;
}

static struct slot *take_empty(void)
{
    for (unsigned i = 0; i < VG_TRIM_HOOKS_MAX; i++)
        if (move_stage(&slots[i], EMPTY, CHANGING))
            return &slots[i];
    return NULL;
}

int vg_trim_hooks_add(const char *name, int priority, vg_trim_function function, void *argument)
{
    static _Atomic uint64_t count;
    if (!name || !*name || !function)
        return -EINVAL;
    const struct slot *const same = find_hook(function, argument);
    if (same)
        return atomic_load(&same->stage) == REMOVED ? -EBUSY : -EEXIST;
    struct slot *const slot = take_empty();
    if (!slot)
        return -ENOSPC;
    vg_text_sanitize(slot->name, sizeof slot->name, name, strlen(name));
    slot->priority = priority;
    slot->sequence = atomic_fetch_add(&count, 1) + 1;
    atomic_store(&slot->function, function);
    atomic_store(&slot->argument, argument);
    atomic_store(&slot->stage, LIVE);
    return 0;
}

static bool is_in_use(struct slot *slot)
{
    return atomic_load(&slot->user) == getpid();
}

/* Returns whether the slot is unused before the time of its call is over. */
static bool await_unused(struct slot *slot)
{
    const struct timespec pause = { .tv_nsec = 1000000 };
    const int saved_errno = errno;
    bool unused = !is_in_use(slot);
    while (!unused && vg_clock_monotonic_ns() < atomic_load(&slot->user_until_ns)) {
        nanosleep(&pause, NULL);
        unused = !is_in_use(slot);
    }
    errno = saved_errno;
    return unused; /* it may be looked at again by now, but not be called */
}

int vg_trim_hooks_remove(vg_trim_function function, void *argument)
{
    struct slot *const slot = find_hook(function, argument);
    if (!slot)
        return -ENOENT;
    move_stage(slot, LIVE, REMOVED);
    /* Inside a hook the running call is this one, or it is over in a moment. */
    if (!vg_callback_thread_is_current() && !await_unused(slot))
        return -EBUSY;
    return move_stage(slot, REMOVED, EMPTY) ? 0 : -ENOENT; /* another thread was faster */
}

bool vg_trim_hooks_exist(void)
{
    for (unsigned i = 0; i < VG_TRIM_HOOKS_MAX; i++)
        if (atomic_load(&slots[i].stage) == LIVE)
            return true;
    return false;
}

/* Marks the slot; returns false when there is no live hook in it. */
static bool hold_slot(struct slot *slot, uint64_t until_ns)
{
    atomic_store(&slot->user_until_ns, until_ns);
    atomic_store(&slot->user, getpid());
    if (atomic_load(&slot->stage) == LIVE)
        return true;
    atomic_store(&slot->user, 0);
    return false;
}

static void let_go(struct slot *slot)
{
    atomic_store(&slot->user, 0);
}

/* Does the call of `a` come before that of `b`? */
static bool precedes_call(const struct vg_trim_cursor *a, const struct vg_trim_cursor *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->sequence < b->sequence;
}

bool vg_trim_hooks_enter(struct vg_trim_cursor *cursor, uint64_t until_ns, struct vg_trim_hook *out)
{
    struct slot *best = NULL;
    struct vg_trim_cursor best_place = { .sequence = 0 };
    for (unsigned i = 0; i < VG_TRIM_HOOKS_MAX; i++) {
        struct slot *const slot = &slots[i];
        if (atomic_load(&slot->stage) != LIVE || !hold_slot(slot, until_ns))
            continue;
        const struct vg_trim_cursor place = { .sequence = slot->sequence,
                                              .priority = slot->priority };
        if ((cursor->sequence && !precedes_call(cursor, &place)) ||
            (best && !precedes_call(&place, &best_place))) {
            let_go(slot);
            continue;
        }
        if (best)
            let_go(best);
        best = slot;
        best_place = place;
    }
    if (!best)
        return false;
    *cursor = best_place;
    *out = (struct vg_trim_hook){ .function = atomic_load(&best->function),
                                  .argument = atomic_load(&best->argument),
                                  .slot = (unsigned)(best - slots) };
    memcpy(out->name, best->name, sizeof out->name);
    return true;
}

void vg_trim_hooks_leave(const struct vg_trim_hook *hook)
{
    let_go(&slots[hook->slot]);
}

/* The functions that the program has registered to free memory (include/vramguard.h). A table
 * without locks: it may be used at any time, and a child that was forked in the middle of it can
 * use it. */
#ifndef VRAMGUARD_OOM_TRIM_HOOKS_H
#define VRAMGUARD_OOM_TRIM_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

enum { VG_TRIM_HOOKS_MAX = 64, VG_TRIM_NAME_CAP = 32 };

/* As vramguard_trim_fn of include/vramguard.h. */
typedef uint64_t (*vg_trim_function)(int device, uint64_t wanted_bytes, uint64_t freed_bytes,
                                     void *argument);

/* Registers a hook; `name` is copied, cut to VG_TRIM_NAME_CAP - 1 bytes and made safe to print.
 * Returns 0, -EINVAL (no name or no function), -EEXIST (this function is registered with this
 * argument), -EBUSY (it is, and being removed) or -ENOSPC. Any thread, any time. */
int vg_trim_hooks_add(const char *name, int priority, vg_trim_function function, void *argument);

/* Removes it: no call of it begins after that. Waits for one that is running, until the time that
 * the call was given is over. Returns 0, -ENOENT, or -EBUSY: the call has not returned; may be
 * repeated. From inside a hook nothing is waited for. */
int vg_trim_hooks_remove(vg_trim_function function, void *argument);

/* Is any hook registered? */
bool vg_trim_hooks_exist(void);

/* Where a caller is in the order of calls: zeroed at first. */
struct vg_trim_cursor {
    uint64_t sequence; /* of the hook called last; 0: none has been */
    int64_t priority;
};

/* A hook that is to be called. */
struct vg_trim_hook {
    vg_trim_function function;
    void *argument;
    char name[VG_TRIM_NAME_CAP];
    unsigned slot;
};

/* Finds the next hook, higher priorities first and earlier ones of the same, moves `cursor` to it
 * and marks it as running until `until_ns` (CLOCK_MONOTONIC). Returns false when there is none.
 * Only for who has claimed the helper; each true is paired with vg_trim_hooks_leave. */
bool vg_trim_hooks_enter(struct vg_trim_cursor *cursor, uint64_t until_ns,
                         struct vg_trim_hook *out);

/* The hook has returned, in whatever way. */
void vg_trim_hooks_leave(const struct vg_trim_hook *hook);

#endif

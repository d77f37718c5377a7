/* Standing in for dlsym and dlvsym. */
#ifndef VRAMGUARD_HOOK_DLSYM_H
#define VRAMGUARD_HOOK_DLSYM_H

/* What the exported entry points (dlsym_entry.c) are to do. Returned in two registers. */
struct vg_dlsym_answer {
    void *value;       /* the result, when `continue_at` is NULL */
    void *continue_at; /* the C library's function or the next interposer's, to be entered as if
                          the caller had called it */
};

/* Decides about dlsym(handle, name) called from `caller`. Names that are not wrapped cost a prefix
 * test and a table look-up. */
struct vg_dlsym_answer vg_dlsym_filter(void *handle, const char *name, const void *caller);

/* Likewise dlvsym(handle, name, version). */
struct vg_dlsym_answer vg_dlvsym_filter(void *handle, const char *name, const char *version,
                                        const void *caller);

#endif

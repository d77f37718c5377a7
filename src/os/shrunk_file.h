/* Files that we have mapped and that somebody cuts short (truncate(2), `: > FILE`), or that fail (a
 * disk's error, a stale NFS handle, a copy-on-write file system that is full): an access to such a
 * page is a SIGBUS, which would end the program.
 *
 * Nothing but a signal handler sees that in time: the mappings are there because they cost no
 * system call, and no access can ask first. So this is the one state of the process that is
 * changed: the disposition of SIGBUS, in processes that have such a mapping. For a page of ours the
 * handler puts private memory, all zero, in the file's place, notes it, and lets the access go on.
 * All else goes to the handler that was there before, or ends the program as it would have. A
 * program that sets a handler of its own later, without calling the one it found, has no such
 * protection; nor has a thread that blocks SIGBUS, outside of vg_shrunk_file_admit. */
#ifndef VRAMGUARD_OS_SHRUNK_FILE_H
#define VRAMGUARD_OS_SHRUNK_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Watches `bytes` from `base`, a mapping that stays where it is for good. `on_loss` runs in the
 * signal handler, each time a page has been replaced: it may do what signal-safety(7) allows.
 * Returns 0, -ENOSPC when too many are watched, or another -errno: what happens at a loss is then
 * what would happen without this. Any thread. */
int vg_shrunk_file_watch(void *base, size_t bytes, void (*on_loss)(void));

/* Does the calling thread block SIGBUS? A page that is lost then ends the program, whatever the
 * handler. A system call. */
bool vg_shrunk_file_is_blocked(void);

/* Lets SIGBUS come to the calling thread, which blocks it, until vg_shrunk_file_block. Returns
 * false and does nothing when it does not block it, or when one that somebody sent is pending,
 * which the program does not want yet. errno is preserved. */
bool vg_shrunk_file_admit(void);
void vg_shrunk_file_block(void);

/* How many pages of this process's have been replaced. A forked child goes on counting. */
unsigned vg_shrunk_file_losses(void);

#endif

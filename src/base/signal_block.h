/* Keeps a system call of ours from killing the program by a signal. */
#ifndef VRAMGUARD_BASE_SIGNAL_BLOCK_H
#define VRAMGUARD_BASE_SIGNAL_BLOCK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* While a shield is up, SIGPIPE (a write to a closed pipe) and SIGXFSZ (a file grown beyond
 * RLIMIT_FSIZE) are blocked in this thread; what our own calls made pending is taken back when it
 * goes down, so the program never sees a signal of our making. Also holds cancellation off and
 * preserves errno. */
struct vg_signal_block {
    sigset_t before;
    bool raised, pipe_was_pending, size_was_pending;
    int saved_errno;
};

/* Returns whether the signals are blocked; only then may the risky call be made. Always paired with
 * vg_signal_block_end in the same thread. */
bool vg_signal_block_begin(struct vg_signal_block *shield);
void vg_signal_block_end(struct vg_signal_block *shield);

/* posix_fallocate, to be called under a shield; made again when a handler of the program interrupts
 * it, as file systems that take their time allow. Returns 0 or -errno. */
int vg_signal_block_fallocate(int fd, uint64_t offset_bytes, uint64_t size_bytes);

#endif

#include "base/signal_block.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#include "base/cancellation.h"

bool vg_signal_block_begin(struct vg_signal_block *shield)
{
    sigset_t ours, pending;
    vg_cancellation_hold();
    shield->saved_errno = errno;
    sigemptyset(&ours);
    sigaddset(&ours, SIGPIPE);
    sigaddset(&ours, SIGXFSZ);
    sigpending(&pending);
    shield->pipe_was_pending = sigismember(&pending, SIGPIPE) == 1;
    shield->size_was_pending = sigismember(&pending, SIGXFSZ) == 1;
    shield->raised = pthread_sigmask(SIG_BLOCK, &ours, &shield->before) == 0;
    return shield->raised;
}

static void take_back(int signal_number)
{
    sigset_t one;
    const struct timespec no_wait = { 0 };
    sigemptyset(&one);
    sigaddset(&one, signal_number);
    while (sigtimedwait(&one, NULL, &no_wait) < 0 && errno == EINTR)
        ;
}

void vg_signal_block_end(struct vg_signal_block *shield)
{
    if (shield->raised) {
        if (!shield->pipe_was_pending)
            take_back(SIGPIPE);
        if (!shield->size_was_pending)
            take_back(SIGXFSZ);
        pthread_sigmask(SIG_SETMASK, &shield->before, NULL);
    }
    vg_cancellation_release();
    errno = shield->saved_errno;
}

int vg_signal_block_fallocate(int fd, uint64_t offset_bytes, uint64_t size_bytes)
{
    int error = EINTR;
    for (int attempt = 0; error == EINTR && attempt < 1000; attempt++)
        error = posix_fallocate(fd, (off_t)offset_bytes, (off_t)size_bytes);
    return -error;
}

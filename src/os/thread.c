#include "os/thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

static sigset_t all_but_faults(void)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
    sigset_t signals;
    sigfillset(&signals);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&signals, faults[i]);
    return signals;
}

int vg_thread_start(void *(*run)(void *argument), void *argument, size_t stack_bytes)
{
    const sigset_t blocked = all_but_faults();
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t before;
    int error = pthread_attr_init(&attributes);
    if (error)
        return -error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    /* It inherits the mask. (pthread_attr_setsigmask_np came with glibc 2.32.) */
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    error = pthread_create(&thread, &attributes, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}

pid_t vg_thread_id(void)
{
    return (pid_t)syscall(SYS_gettid); /* gettid came with glibc 2.30 */
}

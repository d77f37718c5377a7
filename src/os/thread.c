#include "os/thread.h"

#include <pthread.h>

int vg_thread_start(void *(*run)(void *argument), void *argument, size_t stack_bytes,
                    const sigset_t *blocked)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int error = pthread_attr_init(&attributes);
    if (error)
        return -error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    error = pthread_attr_setsigmask_np(&attributes, blocked);
    if (!error)
        error = pthread_create(&thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    return -error;
}

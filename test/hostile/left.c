/* left HOW: a call that waits for memory is left otherwise than by its end, and the thread goes on.
 *   siglongjmp   a handler jumps out of it, three times
 *   longjmp      likewise, and the signal mask stays as the handler left it
 *   pool         once; afterwards the device's pool keeps 100 MiB that nothing uses
 *   small        as siglongjmp, in a thread of the smallest stack
 *   within       a handler allocates and returns, in such a thread; the wait comes to its end
 *   thread       the thread that waits ends in the handler; another one goes on
 *   exec         another thread executes `sleep 60`
 *   pending      the thread is cancelled, and makes 20,000 calls before it comes to a point of
 *                cancellation
 *   cancel N [ASK ALL]   N threads are cancelled at random moments, most of them in a call; some
 *                ask for ASK MiB now and then, and in the end there are ALL MiB
 *
 * Says what is not as it was, and "went on" where another program would. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "cuda_calls.h"

enum { SMALL_BYTES = 4096, CALLS = 20000 };

static sigjmp_buf back;
static const char *how;

static void nap(long ms)
{
    struct timespec left = { ms / 1000, ms % 1000 * 1000000 };
    while (nanosleep(&left, &left) != 0)
        ;
}

static void on_signal(int number)
{
    (void)number;
    if (strcmp(how, "thread") == 0)
        pthread_exit(NULL);
    if (strcmp(how, "within") == 0)
        take(SMALL_BYTES);
    else
        siglongjmp(back, 1);
}

static void say_state(const sigset_t *before)
{
    sigset_t now;
    int cancellable;
    sigprocmask(SIG_SETMASK, NULL, &now);
    for (int i = 1; i < 32; i++)
        if (i != SIGUSR1 && sigismember(&now, i) != sigismember(before, i))
            printf("signal %d is blocked\n", i);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &cancellable);
    if (cancellable != PTHREAD_CANCEL_ENABLE)
        printf("cannot be cancelled\n");
}

static void *signal_main(void *thread)
{
    nap(700); /* it waits by then */
    pthread_kill(*(pthread_t *)thread, SIGUSR1);
    return NULL;
}

/* Calls from far below the one that was left. */
static __attribute__((noinline)) void take_below(int depth)
{
    volatile char room[512];
    memset((char *)(uintptr_t)room, depth, sizeof room);
    if (depth > 0)
        take_below(depth - 1);
    else
        take(SMALL_BYTES);
    room[0] = room[1];
}

static void jump_out(int save_mask, int times)
{
    pthread_t self = pthread_self(), other;
    sigset_t before;
    CUdeviceptr address;
    sigprocmask(SIG_SETMASK, NULL, &before);
    for (volatile int i = 0; i < times; i++) {
        MUST(pthread_create(&other, NULL, signal_main, &self) == 0);
        if (sigsetjmp(back, save_mask) == 0) {
            cuMemAlloc_v2(&address, (size_t)400 << 20);
            printf("it was not left\n");
        }
        pthread_join(other, NULL);
        take(SMALL_BYTES);
        take_below(i);
        say_state(&before);
    }
    for (int i = 0; i < 10; i++)
        take(SMALL_BYTES);
}

static void *jump_out_of_wait(void *unused)
{
    use_gpu();
    jump_out(1, 3);
    fail_once();
    return unused;
}

static void *interrupt_wait(void *unused)
{
    pthread_t self = pthread_self(), other;
    CUdeviceptr address;
    use_gpu();
    MUST(pthread_create(&other, NULL, signal_main, &self) == 0);
    MUST(cuMemAlloc_v2(&address, (size_t)400 << 20) == CUDA_ERROR_OUT_OF_MEMORY);
    pthread_join(other, NULL);
    return unused;
}

/* In a thread of the smallest stack there is, below all else that is mapped. */
static void run_on_small_stack(void *(*work)(void *unused))
{
    enum { FENCE_BYTES = 64 << 10 };
    const size_t size_bytes = (size_t)sysconf(_SC_THREAD_STACK_MIN);
    pthread_attr_t attributes;
    pthread_t thread;
    char *const low = mmap((void *)(uintptr_t)(1 << 28), FENCE_BYTES + size_bytes, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    MUST(low != MAP_FAILED && mprotect(low + FENCE_BYTES, size_bytes, PROT_READ | PROT_WRITE) == 0);
    pthread_attr_init(&attributes);
    MUST(pthread_attr_setstack(&attributes, low + FENCE_BYTES, size_bytes) == 0);
    MUST(pthread_create(&thread, &attributes, work, NULL) == 0);
    MUST(pthread_join(thread, NULL) == 0);
}

/* The pool keeps all that it has ever had. */
static void keep_in_pool(size_t bytes)
{
    enum { RELEASE_THRESHOLD = 4 };
    CUmemoryPool pool;
    CUdeviceptr address;
    cuuint64_t all = UINT64_MAX;
    MUST(cuDeviceGetDefaultMemPool(&pool, 0) == CUDA_SUCCESS);
    MUST(cuMemPoolSetAttribute(pool, RELEASE_THRESHOLD, &all) == CUDA_SUCCESS);
    MUST(cuMemAllocAsync(&address, bytes, NULL) == CUDA_SUCCESS);
    MUST(cuMemFreeAsync(address, NULL) == CUDA_SUCCESS);
    MUST(cuStreamSynchronize(NULL) == CUDA_SUCCESS);
}

static void *wait_for_memory(void *unused)
{
    CUdeviceptr address;
    use_gpu();
    cuMemAlloc_v2(&address, (size_t)400 << 20);
    return unused;
}

static pthread_t start_waiter(void)
{
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, wait_for_memory, NULL) == 0);
    nap(700);
    return thread;
}

/* ---- cancellation ---- */

static void *call_while_cancelled(void *made)
{
    CUdeviceptr address;
    use_gpu();
    pthread_cancel(pthread_self());
    for (*(long *)made = 0; *(long *)made < CALLS; ++*(long *)made)
        MUST(cuMemAlloc_v2(&address, SMALL_BYTES) == CUDA_SUCCESS);
    fail_once();
    pthread_testcancel();
    return NULL;
}

static CUdeviceptr held[64];
static size_t much_bytes = (size_t)1 << 40;

static void free_held(void *count)
{
    while (*(int *)count > 0)
        MUST(cuMemFree_v2(held[--*(int *)count]) == CUDA_SUCCESS);
}

static void ask_for_much(void)
{
    CUdeviceptr address;
    if (cuMemAlloc_v2(&address, much_bytes) == CUDA_SUCCESS)
        MUST(cuMemFree_v2(address) == CUDA_SUCCESS);
}

static void *call_until_cancelled(void *seed)
{
    int count = 0;
    use_gpu();
    pthread_cleanup_push(free_held, &count);
    for (unsigned i = 0;; i++) {
        pthread_testcancel();
        if ((i + *(unsigned *)seed) % 50 == 49)
            ask_for_much();
        else if (count < 64 && i % 3 != 0)
            held[count++] = take(SMALL_BYTES << (i % 8));
        else if (count > 0)
            MUST(cuMemFree_v2(held[--count]) == CUDA_SUCCESS);
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void cancel_at_random(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        pthread_t thread;
        void *result;
        MUST(pthread_create(&thread, NULL, call_until_cancelled, &i) == 0);
        const struct timespec pause = { .tv_nsec = rand() % 300000 };
        nanosleep(&pause, NULL);
        MUST(pthread_cancel(thread) == 0);
        MUST(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    }
}

int main(int argc, char **argv)
{
    long made = 0;
    pthread_t thread;
    MUST(argc >= 2);
    how = argv[1];
    setlinebuf(stdout);
    struct sigaction action = { .sa_handler = on_signal };
    MUST(sigaction(SIGUSR1, &action, NULL) == 0);
    if (strcmp(how, "pending") == 0) { /* the very first call of the process */
        MUST(pthread_create(&thread, NULL, call_while_cancelled, &made) == 0);
        pthread_join(thread, NULL);
        printf("the cancelled thread made %ld calls\n", made);
    }
    use_gpu();
    if (strcmp(how, "siglongjmp") == 0)
        jump_out(1, 3);
    else if (strcmp(how, "longjmp") == 0)
        jump_out(0, 1);
    else if (strcmp(how, "small") == 0)
        run_on_small_stack(jump_out_of_wait);
    else if (strcmp(how, "within") == 0)
        run_on_small_stack(interrupt_wait);
    else if (strcmp(how, "pool") == 0) {
        jump_out(1, 1);
        keep_in_pool((size_t)100 << 20);
    } else if (strcmp(how, "thread") == 0) {
        thread = start_waiter();
        pthread_kill(thread, SIGUSR1);
        pthread_join(thread, NULL);
    } else if (strcmp(how, "exec") == 0) {
        start_waiter();
        printf("went on\n");
        execlp("sleep", "sleep", "60", (char *)NULL);
    } else if (strcmp(how, "cancel") == 0) {
        MUST(argc == 3 || argc == 5);
        if (argc == 5)
            much_bytes = (size_t)atoi(argv[3]) << 20;
        cancel_at_random((unsigned)atoi(argv[2]));
        if (argc == 5)
            take((size_t)atoi(argv[4]) << 20);
    }
    take(SMALL_BYTES);
    printf("went on\n");
    if (strcmp(how, "siglongjmp") == 0 || strcmp(how, "pool") == 0 || strcmp(how, "thread") == 0)
        getchar(); /* makes no call of CUDA's any more */
    return 0;
}

#include "os/shrunk_file.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WATCHED_MAX = 256 };

/* `start` is written last; 0: not yet. A forked child inherits them, as it does the mappings. */
static struct watched {
    _Atomic uintptr_t start;
    uintptr_t end;
    void (*on_loss)(void);
} watched[WATCHED_MAX];
static _Atomic unsigned watched_count;

static _Atomic unsigned losses;
static struct sigaction before;   /* what SIGBUS did before */
static _Atomic int handler_stage; /* 0 none, 1 being set, 2 set */

static const struct watched *watched_at(uintptr_t address)
{
    const unsigned count = atomic_load(&watched_count);
    for (unsigned i = 0; i < count && i < WATCHED_MAX; i++) {
        const uintptr_t start = atomic_load_explicit(&watched[i].start, memory_order_acquire);
        if (start != 0 && address >= start && address < watched[i].end)
            return &watched[i];
    }
    return NULL;
}

/* Returns whether the access can be made now. */
static bool replace_page(uintptr_t address)
{
    const uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *const page = (void *)(address & ~(page_bytes - 1));
    return mmap(page, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                -1, 0) == page;
}

/* As it would be without us. With the default disposition the access is made again when this
 * returns, so that a core dump shows it; a signal that somebody sent is sent again. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler == SIG_IGN && info->si_code <= 0) {
        ;
    } else if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN) {
        const struct sigaction by_default = { .sa_handler = SIG_DFL };
        sigaction(SIGBUS, &by_default, NULL);
        if (info->si_code <= 0)
            syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), SIGBUS);
    } else {
        before.sa_handler(number);
    }
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    const int saved_errno = errno;
    const struct watched *const found =
        info->si_code > 0 ? watched_at((uintptr_t)info->si_addr) : NULL;
    if (found && replace_page((uintptr_t)info->si_addr)) {
        atomic_fetch_add(&losses, 1);
        found->on_loss();
    } else {
        pass_on(number, info, context);
    }
    errno = saved_errno;
}

/* Once per process image; the flags are those of the handler that it goes before. */
static int set_handler(void)
{
    int none = 0;
    struct sigaction action = { .sa_sigaction = on_bus_error };
    if (!atomic_compare_exchange_strong(&handler_stage, &none, 1))
        return 0; /* set, or another thread is at it */
    if (sigaction(SIGBUS, NULL, &before) != 0) {
        atomic_store(&handler_stage, 0);
        return -errno;
    }
    action.sa_mask = before.sa_mask;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | (before.sa_flags & SA_RESTART);
    const int error = sigaction(SIGBUS, &action, NULL) == 0 ? 0 : -errno;
    atomic_store(&handler_stage, error ? 0 : 2);
    return error;
}

int vg_shrunk_file_watch(void *base, size_t bytes, void (*on_loss)(void))
{
    const unsigned index = atomic_fetch_add(&watched_count, 1);
    if (index >= WATCHED_MAX)
        return -ENOSPC;
    watched[index].end = (uintptr_t)base + bytes;
    watched[index].on_loss = on_loss;
    atomic_store_explicit(&watched[index].start, (uintptr_t)base, memory_order_release);
    return set_handler();
}

static int change_mask(int how)
{
    sigset_t bus_error;
    sigemptyset(&bus_error);
    sigaddset(&bus_error, SIGBUS);
    return pthread_sigmask(how, &bus_error, NULL);
}

bool vg_shrunk_file_is_blocked(void)
{
    sigset_t blocked;
    return pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0 && sigismember(&blocked, SIGBUS) == 1;
}

bool vg_shrunk_file_admit(void)
{
    sigset_t pending;
    return vg_shrunk_file_is_blocked() && sigpending(&pending) == 0 &&
           sigismember(&pending, SIGBUS) == 0 && change_mask(SIG_UNBLOCK) == 0;
}

void vg_shrunk_file_block(void)
{
    change_mask(SIG_BLOCK);
}

unsigned vg_shrunk_file_losses(void)
{
    return atomic_load(&losses);
}

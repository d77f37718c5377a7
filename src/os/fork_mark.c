#include "os/fork_mark.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

/* Until there is one, so that each call has one thing less to ask. Never intact. */
static struct vg_fork_page no_page;
struct vg_fork_page *_Atomic vg_fork_page = &no_page;

/* Stands in when there is not even a page of memory. */
static struct vg_fork_page static_page;

static void wipe_mark(void)
{
    struct vg_fork_page *const page = atomic_load(&vg_fork_page);
    atomic_store(&page->intact, 0);
    atomic_store(&page->start_lock.word, 0);
}

void vg_fork_mark_set(void)
{
    atomic_store_explicit(&atomic_load(&vg_fork_page)->intact, 1, memory_order_release);
}

void vg_fork_mark_break(void)
{
    atomic_store(&atomic_load(&vg_fork_page)->intact, 0);
}

struct vg_lock *vg_fork_mark_lock(void)
{
    struct vg_fork_page *page = atomic_load(&vg_fork_page);
    if (page == &no_page) {
        const size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
        struct vg_fork_page *fresh =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if ((void *)fresh == MAP_FAILED)
            fresh = &static_page;
        const bool wiped = fresh != &static_page && madvise(fresh, bytes, MADV_WIPEONFORK) == 0;
        if (atomic_compare_exchange_strong(&vg_fork_page, &page, fresh)) {
            page = fresh;
            if (!wiped)
                pthread_atfork(NULL, NULL, wipe_mark);
        } else if (fresh != &static_page) {
            munmap(fresh, bytes); /* another thread was faster */
        }
    }
    /* A wiped page has lost the rank. */
    __atomic_store_n(&page->start_lock.rank, VG_LOCK_START, __ATOMIC_RELAXED);
    return &page->start_lock;
}

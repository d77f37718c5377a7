#include "shared/registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/hashing.h"
#include "base/log.h"
#include "base/signal_block.h"
#include "base/size.h"
#include "os/fork_mark.h"
#include "os/shrunk_file.h"
#include "shared/alive.h"
#include "shared/reclaim_slot.h"

#define MAGIC "VRAMREG\n"

enum { VERSION = 6, SLOT_COUNT = VG_REGISTRY_SLOTS, SIGHTING_WINDOW = 8 };

/* `owner` is 0 for a free slot, else vg_process_owner: one word, so that a slot is claimed and
 * identified by a single compare-and-swap. */
struct slot {
    _Atomic uint64_t owner;
    _Atomic uint64_t held_bytes;
    _Atomic uint64_t reserved_bytes;    /* promised to it, what it holds included */
    _Atomic uint64_t reserved_until_ns; /* CLOCK_MONOTONIC */
    struct vg_reclaim_slot ask;
};

/* Who was seen to hold how much. Two who look at the same time may write into one entry: then it
 * tells of a change that was none, never of a longer standstill than there was. */
struct sighting {
    _Atomic uint64_t owner;
    _Atomic uint64_t bytes;
    _Atomic uint64_t since_ns, seen_ns; /* CLOCK_MONOTONIC */
};

struct vg_registry_file {
    struct vg_shared_head head;
    struct slot slots[SLOT_COUNT];
    struct vg_queue queue;
    struct sighting sightings[VG_REGISTRY_SIGHTINGS];
};

_Static_assert(sizeof(struct slot) == 64, "one cache line");

static const struct vg_shared_layout layout = { .magic = MAGIC,
                                                .version = VERSION,
                                                .slot_bytes = sizeof(struct slot),
                                                .size_bytes = sizeof(struct vg_registry_file) };

/* For a process that is not registered: nobody reads the one; the other orders its own threads. */
static _Atomic uint64_t nobody_reads_this;
static struct vg_queue own_queue;

/* What was asked of the slot's last owner. */
static void forget_questions(struct vg_reclaim_slot *ask)
{
    atomic_store(&ask->listens, 0);
    atomic_store(&ask->asker, 0);
    atomic_store(&ask->gave_mib, 0);
    atomic_store(&ask->idle_mib, 0);
    atomic_store(&ask->answered, atomic_load(&ask->asked));
}

/* Takes the first slot that `may_take` allows. */
static struct slot *claim_first(struct vg_registry_file *file, uint64_t own,
                                bool (*may_take)(uint64_t owner, uint64_t own))
{
    for (int i = 0; i < SLOT_COUNT; i++) {
        struct slot *const slot = &file->slots[i];
        uint64_t owner = atomic_load(&slot->owner);
        if (may_take(owner, own) && atomic_compare_exchange_strong(&slot->owner, &owner, own)) {
            atomic_store(&slot->held_bytes, 0);
            forget_questions(&slot->ask);
            if (owner != own) /* `vramguard run` reserves for the program that it becomes */
                atomic_store(&slot->reserved_bytes, 0);
            return slot;
        }
    }
    return NULL;
}

static bool is_free(uint64_t owner, uint64_t own)
{
    return owner == 0 || owner == own;
}

static bool is_own(uint64_t owner, uint64_t own)
{
    return owner == own;
}

static bool is_abandoned(uint64_t owner, uint64_t own)
{
    return is_free(owner, own) || !vg_alive(owner);
}

/* Whether an owner lives costs a look into /proc, which many processes that start together would
 * all take for all of them: only when no slot is free. */
static struct slot *claim_slot(struct vg_registry_file *file)
{
    static bool (*const ways[])(uint64_t, uint64_t) = { is_own, is_free, is_abandoned };
    const uint64_t own = vg_process_owner_self();
    struct slot *slot = NULL;
    for (size_t i = 0; own != 0 && !slot && i < sizeof ways / sizeof ways[0]; i++)
        slot = claim_first(file, own, ways[i]);
    return slot;
}

void vg_registry_join(const char *uuid, struct vg_registration *out)
{
    struct vg_signal_block shield;
    *out = (struct vg_registration){ .held_bytes = &nobody_reads_this, .queue = &own_queue };
    if (!uuid[0] && atomic_load(&own_queue.last_ticket) != 0)
        memset(&own_queue, 0, sizeof own_queue); /* a forked child's: its parent's threads */
    if (!uuid[0] || strchr(uuid, '/'))
        return;
    void *mapped;
    /* First: who is found in a slot must be known to live. */
    int error = vg_signal_block_begin(&shield) ? vg_alive_tell() : -EAGAIN;
    error = error ? error : vg_shared_map(uuid, &layout, &mapped);
    if (!error) {
        struct vg_registry_file *const file = mapped;
        struct slot *const slot = claim_slot(file);
        if (slot) {
            vg_shrunk_file_watch(file, sizeof *file, vg_fork_mark_break);
            out->file = file;
            out->held_bytes = &slot->held_bytes;
            out->queue = &file->queue;
            vg_shared_identify(uuid, &layout, &out->device_number, &out->inode);
        } else {
            error = -ENOSPC;
            munmap(file, sizeof *file);
        }
    }
    if (error)
        vg_warn_once(VG_FAULT_REGISTRY,
                     "cannot use /dev/shm/vramguard-%u (%s): no waiting in turns with others, and "
                     "reports will not tell which other processes are guarded",
                     (unsigned)geteuid(), vg_shared_reason(error));
    vg_signal_block_end(&shield);
}

bool vg_registry_is_lost(const struct vg_registration *registration, const char *uuid)
{
    uint64_t device_number = 0, inode = 0;
    if (!registration->file || registration->inode == 0)
        return false;
    vg_cancellation_hold();
    const int error = vg_shared_identify(uuid, &layout, &device_number, &inode);
    vg_cancellation_release();
    return vg_alive_is_lost() || error == -ENOENT ||
           (!error &&
            (device_number != registration->device_number || inode != registration->inode));
}

static struct slot *slot_of(const struct vg_registration *registration)
{
    return (struct slot *)((uintptr_t)registration->held_bytes - offsetof(struct slot, held_bytes));
}

void vg_registry_leave(struct vg_registration *registration)
{
    if (!registration->file)
        return;
    struct slot *const slot = slot_of(registration);
    /* Another exit handler may still free memory; by then the slot may be another process's. */
    registration->file = NULL;
    atomic_store(&slot->ask.listens, 0);
    atomic_store(&slot->ask.idle_mib, 0);
    __atomic_store_n(&registration->held_bytes, &nobody_reads_this, __ATOMIC_RELEASE);
    atomic_store(&slot->held_bytes, 0);
    atomic_store(&slot->reserved_bytes, 0);
    atomic_store(&slot->owner, 0);
    if (vg_queue_is_waited_for(registration->queue))
        vg_queue_tell_freed(registration->queue);
}

void vg_registry_reserve(const struct vg_registration *registration, uint64_t bytes,
                         uint64_t until_ns)
{
    if (!registration->file)
        return;
    struct slot *const slot = slot_of(registration);
    atomic_store(&slot->reserved_until_ns, until_ns);
    atomic_store(&slot->reserved_bytes, bytes);
    if (bytes > 0)
        vg_queue_note_promise(registration->queue);
}

static uint64_t open_promise(const struct slot *slot, uint64_t now_ns)
{
    return now_ns < atomic_load(&slot->reserved_until_ns) ? atomic_load(&slot->reserved_bytes) : 0;
}

bool vg_registry_has_reserved(const struct vg_registration *registration)
{
    return registration->file && open_promise(slot_of(registration), vg_clock_monotonic_ns()) > 0;
}

static bool is_in_line(const struct vg_registry_file *file, uint64_t owner)
{
    const uint64_t now_ns = vg_clock_monotonic_ns();
    for (int i = 0; i < VG_QUEUE_WAITERS; i++)
        if (atomic_load(&file->queue.waiters[i].owner) == owner &&
            vg_queue_is_waiting(&file->queue.waiters[i], now_ns))
            return true;
    return false;
}

static struct vg_registry_entry read_slot(const struct vg_registry_file *file, int index,
                                          uint64_t owner, uint64_t now_ns)
{
    const struct slot *const slot = &file->slots[index];
    return (struct vg_registry_entry){
        .owner = owner,
        .held_bytes = atomic_load(&slot->held_bytes),
        .reserved_bytes = open_promise(slot, now_ns),
        .idle_bytes = atomic_load(&slot->ask.idle_mib) * VG_MIB,
        .gives_back = atomic_load(&slot->ask.listens) != 0,
        .waits = vg_queue_is_waited_for(&file->queue) && is_in_line(file, owner),
    };
}

bool vg_registry_member(const struct vg_registry_file *file, int32_t pid,
                        struct vg_registry_entry *out)
{
    for (int i = 0; file && i < SLOT_COUNT; i++) {
        const uint64_t owner = atomic_load(&file->slots[i].owner);
        if (owner == 0 || vg_process_owner_pid(owner) != pid || !vg_alive(owner))
            continue;
        *out = read_slot(file, i, owner, vg_clock_monotonic_ns());
        return true;
    }
    return false;
}

size_t vg_registry_members(const struct vg_registry_file *file, bool with_self,
                           struct vg_registry_entry *out, size_t cap)
{
    const uint64_t self = vg_process_owner_self(), now_ns = vg_clock_monotonic_ns();
    size_t count = 0;
    for (int i = 0; file && i < SLOT_COUNT && count < cap; i++) {
        const uint64_t owner = atomic_load(&file->slots[i].owner);
        if (owner == 0 || (owner == self && !with_self) || !vg_alive(owner))
            continue;
        out[count++] = read_slot(file, i, owner, now_ns);
    }
    return count;
}

uint64_t vg_registry_waiting_hash(const struct vg_registry_file *file)
{
    const uint64_t self = vg_process_owner_self(), now_ns = vg_clock_monotonic_ns();
    uint64_t hash = 0;
    for (int i = 0; vg_queue_is_waited_for(&file->queue) && i < VG_QUEUE_WAITERS; i++) {
        const struct vg_waiter *const waiter = &file->queue.waiters[i];
        const uint64_t owner = atomic_load(&waiter->owner);
        if (owner != 0 && owner != self && vg_queue_in_line(waiter, now_ns))
            hash += vg_hash_u64(owner ^ vg_hash_u64(atomic_load(&waiter->ticket)));
    }
    return hash;
}

/* ---- who was seen to hold what ---- */

/* The process's entry, or the one to be given up for it, in which case `*out_new` is true. */
static struct sighting *find_sighting(struct vg_registry_file *file, uint64_t owner, bool *out_new)
{
    const uint64_t start = vg_hash_u64(owner);
    struct sighting *oldest = NULL;
    *out_new = false;
    for (unsigned i = 0; i < SIGHTING_WINDOW; i++) {
        struct sighting *const one = &file->sightings[(start + i) % VG_REGISTRY_SIGHTINGS];
        if (atomic_load(&one->owner) == owner)
            return one;
        if (!oldest || atomic_load(&one->seen_ns) < atomic_load(&oldest->seen_ns))
            oldest = one;
    }
    *out_new = true;
    return oldest;
}

uint64_t vg_registry_note_sighting(struct vg_registry_file *file, int32_t pid, uint64_t start_ticks,
                                   uint64_t bytes, uint64_t now_ns)
{
    const struct vg_process_id id = { .pid = pid, .start_ticks = start_ticks };
    const uint64_t owner = vg_process_owner(&id);
    bool is_new;
    if (!file)
        return 0;
    struct sighting *const one = find_sighting(file, owner, &is_new);
    if (is_new || atomic_load(&one->bytes) != bytes) {
        /* In this order: whoever reads meanwhile finds another process, or too late a time. */
        if (is_new)
            atomic_store(&one->owner, 0);
        atomic_store(&one->since_ns, now_ns);
        atomic_store(&one->bytes, bytes);
        atomic_store(&one->owner, owner);
    }
    atomic_store(&one->seen_ns, now_ns);
    const uint64_t since_ns = atomic_load(&one->since_ns);
    return since_ns < now_ns ? since_ns : now_ns;
}

/* ---- asking others to give back ---- */

struct vg_reclaim_slot *vg_registry_reclaim_slot(const struct vg_registration *registration)
{
    return registration->file ? &slot_of(registration)->ask : NULL;
}

static void put_question(struct vg_reclaim_slot *ask, uint64_t wanted_bytes)
{
    atomic_store(&ask->asker, vg_process_owner_self());
    const uint64_t wanted_mib = wanted_bytes / VG_MIB + (wanted_bytes % VG_MIB != 0);
    atomic_store(&ask->wanted_mib, wanted_mib < UINT32_MAX ? (uint32_t)wanted_mib : UINT32_MAX);
    if (atomic_load(&ask->answered) != atomic_load(&ask->asked))
        return; /* it is at it */
    atomic_store(&ask->gave_mib, 0);
    vg_queue_wake(&ask->asked);
}

unsigned vg_registry_request_reclaim(struct vg_registry_file *file, uint64_t wanted_bytes)
{
    const uint64_t self = vg_process_owner_self();
    unsigned count = 0;
    for (int i = 0; file && i < SLOT_COUNT; i++) {
        struct slot *const slot = &file->slots[i];
        const uint64_t owner = atomic_load(&slot->owner);
        if (owner == 0 || owner == self || !atomic_load(&slot->ask.listens) || !vg_alive(owner))
            continue;
        put_question(&slot->ask, wanted_bytes);
        count++;
    }
    return count;
}

/* Is the slot that of another living process which listens and has nothing to answer? */
static bool is_idle_listener(struct slot *slot, uint64_t self)
{
    const uint64_t owner = atomic_load(&slot->owner);
    return owner != 0 && owner != self && atomic_load(&slot->ask.listens) &&
           atomic_load(&slot->ask.answered) == atomic_load(&slot->ask.asked) && vg_alive(owner);
}

static bool has_answered(const struct slot *slot)
{
    return !atomic_load(&slot->ask.listens) ||
           atomic_load(&slot->ask.answered) == atomic_load(&slot->ask.asked);
}

void vg_registry_request_idle(struct vg_registry_file *file, unsigned patience_ms)
{
    const struct timespec pause = { .tv_nsec = 1000000 };
    const uint64_t self = vg_process_owner_self();
    const uint64_t until_ns = vg_clock_monotonic_ns() + patience_ms * VG_MS_NS;
    bool was_asked[SLOT_COUNT] = { false };
    for (int i = 0; file && i < SLOT_COUNT; i++) {
        was_asked[i] = is_idle_listener(&file->slots[i], self);
        if (!was_asked[i])
            continue;
        atomic_store(&file->slots[i].ask.wanted_mib, 0);
        vg_queue_wake(&file->slots[i].ask.asked);
    }
    for (int i = 0; file && i < SLOT_COUNT; i++)
        while (was_asked[i] && !has_answered(&file->slots[i]) && vg_clock_monotonic_ns() < until_ns)
            nanosleep(&pause, NULL);
}

void vg_registry_measure_reclaimed(const struct vg_registry_file *file,
                                   struct vg_registry_reclaimed *out)
{
    const uint64_t self = vg_process_owner_self();
    *out = (struct vg_registry_reclaimed){ .bytes = 0 };
    for (int i = 0; file && i < SLOT_COUNT; i++) {
        const struct slot *const slot = &file->slots[i];
        const uint64_t owner = atomic_load(&slot->owner);
        if (owner == 0 || owner == self || atomic_load(&slot->ask.asker) != self)
            continue;
        const uint64_t bytes = atomic_load(&slot->ask.gave_mib) * VG_MIB;
        out->pending += atomic_load(&slot->ask.listens) &&
                        atomic_load(&slot->ask.answered) != atomic_load(&slot->ask.asked);
        out->bytes += bytes;
        if (bytes > out->largest_bytes) {
            out->largest_bytes = bytes;
            out->largest_pid = (int32_t)vg_process_owner_pid(owner);
        }
    }
}

struct vg_queue *vg_registry_queue(struct vg_registry_file *file)
{
    return &file->queue;
}

/* Does the file say that somebody may be in line? Asked without mapping it. */
static bool is_waited_for(int directory, const char *name)
{
    struct stat status;
    uint64_t waiting = 0;
    const int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    const off_t at = offsetof(struct vg_registry_file, queue.waiting);
    const bool is_so = fstat(fd, &status) == 0 && status.st_size == (off_t)layout.size_bytes &&
                       pread(fd, &waiting, sizeof waiting, at) == (ssize_t)sizeof waiting &&
                       (waiting & 1);
    close(fd);
    return is_so;
}

/* Copies the UUID out of the name of a GPU's file of this version. Returns whether it is one. */
static bool is_gpu_file(const char *name, char *out_uuid, size_t cap)
{
    char expected[128];
    if (strncmp(name, "GPU-", 4) != 0)
        return false;
    snprintf(out_uuid, cap, "%.*s", (int)strcspn(name, "."), name);
    vg_shared_file_name(out_uuid, &layout, expected, sizeof expected);
    return strcmp(name, expected) == 0;
}

static int visit_files(vg_registry_visit *visit, void *argument, bool only_waited_for)
{
    const int fd = vg_shared_directory();
    if (fd < 0)
        return fd;
    DIR *const directory = fdopendir(fd);
    if (!directory) {
        close(fd);
        return -ENOMEM;
    }
    for (const struct dirent *entry; (entry = readdir(directory));) {
        char uuid[64];
        void *mapped;
        if (!is_gpu_file(entry->d_name, uuid, sizeof uuid) ||
            (only_waited_for && !is_waited_for(fd, entry->d_name)) ||
            vg_shared_map(uuid, &layout, &mapped) != 0)
            continue;
        visit(uuid, mapped, argument);
        munmap(mapped, sizeof(struct vg_registry_file));
    }
    closedir(directory);
    return 0;
}

int vg_registry_each(vg_registry_visit *visit, void *argument)
{
    return visit_files(visit, argument, false);
}

int vg_registry_each_waited_for(vg_registry_visit *visit, void *argument)
{
    return visit_files(visit, argument, true);
}

int vg_registry_lock_decision(void)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    const int directory = vg_shared_directory();
    if (directory < 0)
        return directory;
    const int fd = openat(directory, "deciding", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    const int error = errno;
    close(directory);
    if (fd < 0)
        return -error;
    if (fcntl(fd, F_SETLK, &whole) == 0)
        return fd;
    close(fd);
    return -EAGAIN;
}

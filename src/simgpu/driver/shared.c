#include "shared.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"

#define SHARED_MAGIC   0x5550474d4953ull /* "SIMGPU", little endian */
#define SHARED_VERSION 2
#define MAX_HOLDERS    8192
#define MAX_PATH       128

enum { FIRST_UNSEEN_PID = 1 << 22 }; /* Linux has no pids from here on */

struct slot {
    struct process_identity owner; /* pid 0: free */
    uint64_t pid_namespace;        /* of the owner */
    uint64_t used_bytes[MAX_DEVICES];
    int32_t contexts[MAX_DEVICES];
};

struct shared_state {
    uint64_t magic;
    uint32_t version;
    uint32_t size;
    pthread_mutex_t lock; /* robust; guards everything below */
    int32_t device_count;
    int32_t slots_in_use; /* slots at and above this index are free */
    uint64_t total_bytes[MAX_DEVICES];
    uint64_t used_bytes[MAX_DEVICES]; /* always the sum over the slots */
    struct slot slots[MAX_HOLDERS];
};

static struct shared_state *state;
static struct slot *own_slot;
static char state_path[MAX_PATH];
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;

static void recompute_used(void)
{
    for (int device = 0; device < MAX_DEVICES; device++) {
        uint64_t sum = 0;
        for (int i = 0; i < state->slots_in_use; i++)
            sum += state->slots[i].used_bytes[device];
        state->used_bytes[device] = sum;
    }
}

static void lock_state(void)
{
    if (pthread_mutex_lock(&state->lock) == EOWNERDEAD) {
        recompute_used();
        pthread_mutex_consistent(&state->lock);
    }
}

static void unlock_state(void)
{
    pthread_mutex_unlock(&state->lock);
}

static void clear_slot(struct slot *slot)
{
    for (int device = 0; device < MAX_DEVICES; device++)
        state->used_bytes[device] -= slot->used_bytes[device];
    memset(slot, 0, sizeof(*slot));
}

static uint64_t own_pid_namespace(void)
{
    struct stat status;
    return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

/* A holder of another pid namespace is not seen by its pid, but by its lock on the byte of the file
 * that has the number of its slot. The mapping of the file, which the kernel removes when the
 * process ends, keeps the lock. */
static struct flock byte_of(int index)
{
    return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = index, .l_len = 1 };
}

static int hold_byte(int index)
{
    struct flock byte = byte_of(index);
    int fd = open(state_path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    void *mapped = MAP_FAILED;
    if (fcntl(fd, F_OFD_SETLK, &byte) == 0)
        mapped = mmap(NULL, 1, PROT_NONE, MAP_SHARED, fd, 0);
    int result = mapped == MAP_FAILED || madvise(mapped, 1, MADV_DONTFORK) != 0 ? -errno : 0;
    close(fd);
    return result;
}

static bool has_byte(int index)
{
    struct flock byte = byte_of(index);
    int fd = open(state_path, O_RDONLY | O_CLOEXEC);
    bool held = fd < 0 || fcntl(fd, F_OFD_GETLK, &byte) != 0 || byte.l_type != F_UNLCK;
    if (fd >= 0)
        close(fd);
    return held;
}

static _Atomic uint64_t remembered_namespace; /* a process stays in its own, a child may not */

static bool is_seen(const struct slot *slot)
{
    if (remembered_namespace == 0)
        remembered_namespace = own_pid_namespace();
    return slot->pid_namespace == 0 || remembered_namespace == 0 ||
           slot->pid_namespace == remembered_namespace;
}

static bool holder_is_alive(const struct slot *slot)
{
    return is_seen(slot) ? process_is_alive(&slot->owner) : has_byte((int)(slot - state->slots));
}

/* Drops the holders that no longer run. Returns the number of those that do. */
static int reap_holders(void)
{
    int live = 0;
    for (int i = 0; i < state->slots_in_use; i++) {
        struct slot *slot = &state->slots[i];
        if (slot->owner.pid == 0)
            continue;
        if (slot == own_slot || holder_is_alive(slot))
            live++;
        else
            clear_slot(slot);
    }
    while (state->slots_in_use > 0 && state->slots[state->slots_in_use - 1].owner.pid == 0)
        state->slots_in_use--;
    return live;
}

static int init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    int error = pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return -error;
}

/* A simulation with a name of its own is open to all users; the default one to its user alone. */
static int open_file(const char *id, bool create)
{
    mode_t mode = id[0] != '\0' ? 0666 : 0600;
    if (id[0] != '\0')
        snprintf(state_path, sizeof(state_path), "/dev/shm/simgpu-%s", id);
    else
        snprintf(state_path, sizeof(state_path), "/dev/shm/simgpu-uid-%u", geteuid());

    int fd = open(state_path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 || errno != ENOENT || !create)
        return fd >= 0 ? fd : -errno;
    fd = open(state_path, O_RDWR | O_CLOEXEC | O_CREAT | O_EXCL, mode);
    if (fd < 0 && errno == EEXIST)
        fd = open(state_path, O_RDWR | O_CLOEXEC);
    else if (fd >= 0 && fchmod(fd, mode) != 0) /* whatever the umask is */
        sim_complain("cannot set the mode of %s: %s", state_path, strerror(errno));
    return fd >= 0 ? fd : -errno;
}

/* Maps the file and makes it a shared state if it is not one yet. Called with the file locked. */
static int map_file(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return -errno;
    bool fresh = status.st_size == 0;
    if (!fresh && (size_t)status.st_size != sizeof(struct shared_state))
        return -EPROTO;
    if (fresh && ftruncate(fd, sizeof(struct shared_state)) != 0)
        return -errno;
    struct shared_state *mapped =
        mmap(NULL, sizeof(*mapped), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return -errno;

    int result = 0;
    if (mapped->magic == 0) { /* fresh, or its creator died before it was done */
        result = init_lock(&mapped->lock);
        mapped->version = SHARED_VERSION;
        mapped->size = sizeof(*mapped);
        atomic_thread_fence(memory_order_release);
        mapped->magic = SHARED_MAGIC;
    } else if (mapped->magic != SHARED_MAGIC || mapped->version != SHARED_VERSION ||
               mapped->size != sizeof(*mapped)) {
        result = -EPROTO;
    }
    if (result != 0)
        munmap(mapped, sizeof(*mapped));
    else
        state = mapped;
    return result;
}

static bool same_devices(const struct device_list *wanted)
{
    if (wanted->count != state->device_count)
        return false;
    for (int i = 0; i < wanted->count; i++)
        if (wanted->total_bytes[i] != state->total_bytes[i])
            return false;
    return true;
}

/* Makes `self` a holder. Called locked and reaped. */
static int join_holders(const struct process_identity *self)
{
    int index = 0;
    while (index < MAX_HOLDERS && state->slots[index].owner.pid != 0)
        index++;
    if (index == MAX_HOLDERS)
        return -ENOSPC;
    own_slot = &state->slots[index];
    own_slot->pid_namespace = own_pid_namespace();
    own_slot->owner = *self;
    hold_byte(index); /* where it cannot, other namespaces take it for gone */
    if (index >= state->slots_in_use)
        state->slots_in_use = index + 1;
    return 0;
}

static int configure_devices(const struct device_list *wanted, bool join)
{
    struct process_identity self;
    int result = join ? process_identify(getpid(), &self) : 0;
    if (result != 0)
        return result;
    lock_state();
    if (reap_holders() == 0) {
        state->device_count = wanted->count;
        for (int i = 0; i < wanted->count; i++)
            state->total_bytes[i] = wanted->total_bytes[i];
    } else if (!wanted->is_default && !same_devices(wanted)) {
        result = -EBUSY;
    }
    if (result == 0 && join && own_slot == NULL)
        result = join_holders(&self);
    unlock_state();
    return result;
}

int shared_open(const char *id, const struct device_list *wanted, bool join)
{
    pthread_mutex_lock(&open_lock);
    int result = 0;
    if (state == NULL) {
        int fd = open_file(id, wanted != NULL);
        result = fd < 0 ? fd : 0;
        if (fd >= 0) {
            result = flock(fd, LOCK_EX) == 0 ? map_file(fd) : -errno;
            flock(fd, LOCK_UN); /* closing is not enough: the mapping keeps the open file alive */
            close(fd);
        }
    }
    if (result == 0 && wanted != NULL)
        result = configure_devices(wanted, join);
    pthread_mutex_unlock(&open_lock);

    if (result == -EBUSY)
        sim_complain(
            "running programs simulate other GPUs than SIMGPU_DEVICES (--simulate) asks for; "
            "ask for theirs, end them, or set SIMGPU_ID to a word of your own; no device is "
            "simulated");
    else if (result == -EPROTO)
        sim_complain(
            "%s is of another version; remove it when no simulation runs; no device is "
            "simulated",
            state_path);
    else if (result != 0 && result != -ENOENT)
        sim_complain("cannot use %s: %s; no device is simulated", state_path, strerror(-result));
    return result;
}

void shared_after_fork(void)
{
    own_slot = NULL;
    remembered_namespace = 0;
}

int shared_device_count(void)
{
    return state->device_count;
}

uint64_t shared_total_bytes(int device)
{
    return state->total_bytes[device];
}

/* FNV-1a over the name of the shared state, which is unique on the machine, and the index. */
void shared_device_uuid(int device, unsigned char uuid[UUID_BYTES])
{
    uint64_t hash = 0xcbf29ce484222325ull;
    for (int i = 0; i < UUID_BYTES; i++) {
        for (const char *c = state_path; *c != '\0'; c++)
            hash = (hash ^ (unsigned char)*c) * 0x100000001b3ull;
        hash = (hash ^ (unsigned)device) * 0x100000001b3ull;
        uuid[i] = (unsigned char)(hash >> 32);
    }
}

int shared_take(int device, uint64_t bytes)
{
    int result = 0;
    lock_state();
    uint64_t total = state->total_bytes[device];
    if (bytes > total || state->used_bytes[device] > total - bytes)
        reap_holders();
    if (bytes > total || state->used_bytes[device] > total - bytes) {
        result = -ENOMEM;
    } else {
        own_slot->used_bytes[device] += bytes;
        state->used_bytes[device] += bytes;
    }
    unlock_state();
    return result;
}

void shared_give(int device, uint64_t bytes)
{
    lock_state();
    own_slot->used_bytes[device] -= bytes;
    state->used_bytes[device] -= bytes;
    unlock_state();
}

void shared_count_context(int device, int change)
{
    lock_state();
    own_slot->contexts[device] += change;
    unlock_state();
}

uint64_t shared_used_bytes(int device)
{
    lock_state();
    reap_holders();
    uint64_t used = state->used_bytes[device];
    unlock_state();
    return used;
}

int shared_holders(int device, struct shared_holder *holders, int capacity)
{
    int count = 0;
    lock_state();
    reap_holders();
    for (int i = 0; i < state->slots_in_use; i++) {
        const struct slot *slot = &state->slots[i];
        if (slot->owner.pid == 0 || (slot->used_bytes[device] == 0 && slot->contexts[device] == 0))
            continue;
        if (count < capacity) {
            holders[count].pid = is_seen(slot) ? slot->owner.pid : FIRST_UNSEEN_PID + i;
            holders[count].used_bytes = slot->used_bytes[device];
        }
        count++;
    }
    unlock_state();
    return count;
}

#include "shared/shared_segment.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#include "base/hashing.h"
#include "os/process.h"

enum { TRIES = 8 };

/* How a segment begins. `magic` is written last; whoever finds it zero writes the same. */
struct head {
    _Atomic uint64_t magic;
    uint32_t version, slot_bytes;
    uint32_t key; /* which the kernel forgets when the segment is removed */
    char reserved[44];
};

_Static_assert(sizeof(struct head) == sizeof(struct vg_shared_head),
               "in the place of a file's head");

static uint64_t magic_of(const struct vg_shared_layout *layout)
{
    uint64_t magic;
    memcpy(&magic, layout->magic, sizeof magic);
    return magic;
}

static key_t key_of(const char *name, const struct vg_shared_layout *layout)
{
    char file_name[128];
    vg_shared_file_name(name, layout, file_name, sizeof file_name);
    const char *const folder = vg_registry_directory ? vg_registry_directory : "";
    const uint64_t words[] = { geteuid(), vg_hash_fnv1a(file_name, strlen(file_name)),
                               vg_hash_fnv1a(folder, strlen(folder)), vg_process_pid_namespace() };
    return (key_t)((uint32_t)vg_hash_words(words, 4) | 1); /* 0 is IPC_PRIVATE */
}

static bool is_ours(const struct shmid_ds *segment, const struct vg_shared_layout *layout)
{
    return segment->shm_perm.uid == geteuid() && segment->shm_perm.cuid == geteuid() &&
           (segment->shm_perm.mode & 0777) == 0600 && segment->shm_segsz == layout->size_bytes;
}

/* Attaches a segment if it is what it should be. Returns 0 or -errno. */
static int attach_segment(int id, key_t key, const struct vg_shared_layout *layout, void **out)
{
    struct shmid_ds segment;
    if (shmctl(id, IPC_STAT, &segment) != 0)
        return -errno;
    if (!is_ours(&segment, layout))
        return -EPROTO;
    struct head *const head = shmat(id, NULL, 0);
    if (head == (void *)-1)
        return -errno;
    if (atomic_load(&head->magic) == 0 && !(segment.shm_perm.mode & SHM_DEST)) {
        head->version = layout->version;
        head->slot_bytes = layout->slot_bytes;
        head->key = (uint32_t)key;
        atomic_store(&head->magic, magic_of(layout));
    }
    if (atomic_load(&head->magic) != magic_of(layout) || head->version != layout->version ||
        head->slot_bytes != layout->slot_bytes || head->key != (uint32_t)key) {
        shmdt(head);
        return -EPROTO;
    }
    *out = head;
    return 0;
}

/* A segment of this key that was removed and that others still have. Returns 0 or -ENOENT. */
static int attach_removed(key_t key, const struct vg_shared_layout *layout, void **out)
{
    struct shmid_ds segment;
    const int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&(struct shm_info){ 0 });
    for (int i = 0; i <= last; i++) {
        const int id = shmctl(i, SHM_STAT, &segment);
        if (id >= 0 && (segment.shm_perm.mode & SHM_DEST) && segment.shm_nattch > 0 &&
            is_ours(&segment, layout) && attach_segment(id, key, layout, out) == 0)
            return 0;
    }
    return -ENOENT;
}

/* One try; -EAGAIN when what was there has just been made or removed by somebody else. */
static int try_map(key_t key, const struct vg_shared_layout *layout, void **out)
{
    int id = shmget(key, layout->size_bytes, 0600);
    if (id < 0 && errno == ENOENT) {
        if (attach_removed(key, layout, out) == 0)
            return 0;
        id = shmget(key, layout->size_bytes, 0600 | IPC_CREAT | IPC_EXCL);
        if (id < 0 && errno == EEXIST)
            return -EAGAIN;
    }
    if (id < 0)
        return errno == EINVAL ? -EPROTO : -errno; /* of another size: another program's */
    const int error = attach_segment(id, key, layout, out);
    return error == -EIDRM || error == -EINVAL ? -EAGAIN : error;
}

int vg_shared_segment_map(const char *name, const struct vg_shared_layout *layout, void **out)
{
    const key_t key = key_of(name, layout);
    int error = -EAGAIN;
    for (int i = 0; error == -EAGAIN && i < TRIES; i++)
        error = try_map(key, layout, out);
    return error;
}

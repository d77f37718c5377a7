/* The files that a user's processes share, written over by one of them that has gone mad: each step
 * of the input overwrites a piece of the GPU's file or of the shared account, or uses them. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/size.h"
#include "fuzz.h"
#include "os/process.h"
#include "shared/reclaim_slot.h"
#include "shared/registry.h"
#include "shared/shared_quota.h"

enum { STEPS_MAX = 64, GROUP = 7, LIMIT_BYTES = 1000 };

static char folder[64];

static void remove_folder(void)
{
    rmdir(folder);
}

/* Empties the folder; the first time, makes it. */
static void clean_folder(void)
{
    if (folder[0] == '\0') {
        snprintf(folder, sizeof folder, "/dev/shm/vg-fuzz-%d", getpid());
        mkdir(folder, 0700);
        vg_registry_directory = folder;
        atexit(remove_folder);
        stderr = fopen("/dev/null", "w"); /* what it complains about is not looked at */
    }
    DIR *const files = opendir(folder);
    MUST_HOLD(files);
    for (struct dirent *file; (file = readdir(files));)
        unlinkat(dirfd(files), file->d_name, 0);
    closedir(files);
}

/* Writes over a place of every file there is; of the head (magic, version) too. */
static void overwrite(struct fuzz_input *input)
{
    const uint64_t place = fuzz_take(input, 3), count = 1 + fuzz_take(input, 1) % 16;
    unsigned char bytes[16];
    for (size_t i = 0; i < count; i++)
        bytes[i] = (unsigned char)fuzz_take(input, 1);
    DIR *const files = opendir(folder);
    MUST_HOLD(files);
    for (struct dirent *file; (file = readdir(files));) {
        struct stat status;
        const int fd = openat(dirfd(files), file->d_name, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
            (uint64_t)status.st_size > count) {
            const off_t at = (off_t)(place % ((uint64_t)status.st_size - count));
            MUST_HOLD(pwrite(fd, bytes, count, at) == (ssize_t)count);
        }
        if (fd >= 0)
            close(fd);
    }
    closedir(files);
}

static void look_at_members(const struct vg_registration *own)
{
    static struct vg_registry_entry entries[VG_REGISTRY_SLOTS];
    const size_t count = vg_registry_members(own->file, true, entries, VG_REGISTRY_SLOTS);
    MUST_HOLD(count <= VG_REGISTRY_SLOTS);
    for (size_t i = 0; i < count; i++)
        MUST_HOLD(entries[i].owner != 0);
    struct vg_registry_entry entry;
    vg_registry_member(own->file, getpid(), &entry);
    vg_registry_waiting_hash(own->file);
}

static void stand_in_line(const struct vg_registration *own, struct fuzz_input *input)
{
    const uint64_t now_ns = vg_clock_monotonic_ns();
    struct vg_queue_slot place;
    const struct vg_wait_request request = {
        .owner = vg_process_owner_self(),
        .wanted_bytes = fuzz_take(input, 4),
        .now_ns = now_ns,
        .deadline_ns = now_ns + 1000000000,
        .priority = (uint16_t)(fuzz_take(input, 1) % 101),
    };
    if (vg_queue_enter(own->queue, &request, &place) != 0)
        return;
    MUST_HOLD(place.index < VG_QUEUE_WAITERS);
    overwrite(input);
    const enum vg_turn turn = vg_queue_turn(own->queue, &place, fuzz_take(input, 4), now_ns);
    MUST_HOLD(turn == VG_TURN_NONE || turn == VG_TURN_HEAD || turn == VG_TURN_PASS);
    vg_queue_is_victim(own->queue, &place);
    vg_queue_leave(own->queue, &place);
    vg_queue_sweep(own->queue);
}

static void charge(struct vg_shared_quota *quota, struct fuzz_input *input)
{
    const uint64_t bytes = fuzz_take(input, 2) % 500;
    if (vg_shared_quota_reserve(quota, bytes, LIMIT_BYTES))
        vg_shared_quota_give_back(quota, bytes);
    vg_shared_quota_charged(quota);
}

static void ask_for_memory(const struct vg_registration *own)
{
    struct vg_registry_reclaimed reclaimed;
    vg_registry_request_reclaim(own->file, 1 << 20);
    vg_registry_measure_reclaimed(own->file, &reclaimed);
}

static void visit(const char *uuid, struct vg_registry_file *file, void *argument)
{
    (void)argument;
    MUST_HOLD(strlen(uuid) < 128 && file);
}

static void take_step(const struct vg_registration *own, struct vg_shared_quota *quota,
                      struct fuzz_input *input)
{
    switch (fuzz_take(input, 1) % 8) {
    case 0:
    case 1: overwrite(input); break;
    case 2: look_at_members(own); break;
    case 3: stand_in_line(own, input); break;
    case 4:
        if (quota->file)
            charge(quota, input);
        break;
    case 5: ask_for_memory(own); break;
    case 6: vg_registry_each(visit, NULL); break;
    case 7:
        vg_registry_note_sighting(own->file, (int32_t)fuzz_take(input, 3), fuzz_take(input, 4),
                                  fuzz_take(input, 4), vg_clock_monotonic_ns());
        break;
    default: break;
    }
}

/* The mappings of the files, which a process otherwise keeps to its end. */
static void unmap_files(void)
{
    char line[512];
    FILE *const maps = fopen("/proc/self/maps", "re");
    MUST_HOLD(maps);
    while (fgets(line, sizeof line, maps)) {
        uintptr_t from, to;
        if (strstr(line, folder) && sscanf(line, "%zx-%zx", &from, &to) == 2)
            munmap((void *)from, to - from);
    }
    fclose(maps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { .at = data, .left = size };
    struct vg_registration own;
    struct vg_shared_quota quota = { .file = NULL };
    clean_folder();
    vg_registry_join("GPU-fuzz", &own);
    MUST_HOLD(own.file);
    vg_shared_quota_join("GPU-fuzz", GROUP, &quota);
    for (int step = 0; step < STEPS_MAX && input.left > 0; step++)
        take_step(&own, &quota, &input);
    vg_registry_leave(&own);
    unmap_files();
    clean_folder();
    return 0;
}

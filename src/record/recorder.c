#include "record/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hashing.h"
#include "base/log.h"
#include "base/signal_block.h"
#include "base/version.h"
#include "os/process.h"
#include "record/run_file.h"

static const uint64_t largest_live_bytes = UINT64_C(4) << 30;    /* 64 Mi allocations */
static const uint64_t largest_journal_bytes = UINT64_C(1) << 30; /* some millions of stacks */
static const uint64_t largest_block_bytes = UINT64_C(4) << 30;   /* 64 Mi blocks */
static const uint64_t largest_site_bytes = UINT64_C(64) << 20;   /* 1 Mi sites */

static const uint64_t kept_for_failures_bytes = UINT64_C(8) << 20; /* of the journal, at most */

enum { FIRST_AREAS = 3 }; /* those that every program needs */

/* Maps header and first extents of the empty file `fd`. */
static int map_file(struct vg_recorder *recorder, int fd)
{
    struct vg_area_file *const file = &recorder->file;
    struct stat status;
    int error =
        vg_signal_block_fallocate(fd, 0, VG_FILE_HEADER_BYTES + FIRST_AREAS * VG_AREA_FIRST_BYTES);
    if (error)
        return error;
    if (fstat(fd, &status) != 0)
        return -errno;
    void *const header =
        mmap(NULL, VG_FILE_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED)
        return -errno;
    file->device = status.st_dev;
    file->inode = status.st_ino;
    file->size_bytes = VG_FILE_HEADER_BYTES;
    file->header = header;
    struct vg_area *const first[FIRST_AREAS] = { &recorder->live, &recorder->journal,
                                                 &recorder->site_area };
    for (int i = 0; i < FIRST_AREAS && !error; i++)
        error = vg_area_map_first(first[i], fd);
    return error;
}

/* Creates the file with room for what a small program needs. Returns 0 or -errno; then no file is
 * left behind. */
static int create_file(struct vg_recorder *recorder, const struct vg_recorder_config *config,
                       uint64_t start_realtime_ns)
{
    struct vg_area_file *const file = &recorder->file;
    const int fd =
        vg_run_file_create(config->path_template, start_realtime_ns, file->path, sizeof file->path);
    if (fd < 0)
        return fd;
    const int error = map_file(recorder, fd);
    close(fd);
    if (error)
        unlink(file->path);
    return error;
}

static void tell_no_file(const char *path, int error)
{
    static char directory[4096]; /* one thread makes the file */
    if (path[0])
        strcpy(directory, path);
    else if (vg_run_file_directory(directory, sizeof directory) != 0) {
        vg_warn_once(VG_FAULT_STATE_DIR,
                     "neither XDG_STATE_HOME nor HOME is set: no recorder file "
                     "for this run; reports still go to stderr");
        return;
    }
    vg_warn_once(VG_FAULT_STATE_DIR,
                 "cannot write %s (%s): no recorder file for this run; reports still go to stderr",
                 directory, strerror(-error));
}

/* Returns whether there is a file; what is not to be had in it is left to private memory. */
static bool open_file(struct vg_recorder *recorder, const struct vg_recorder_config *config,
                      uint64_t start_realtime_ns)
{
    struct vg_signal_block shield;
    int error = -EAGAIN;
    if (vg_signal_block_begin(&shield))
        error = create_file(recorder, config, start_realtime_ns);
    vg_signal_block_end(&shield);
    if (!error)
        return true;
    tell_no_file(recorder->file.path, error);
    recorder->file.path[0] = '\0';
    return false;
}

/* Without a file the header lives in private memory, and so do the areas when they grow. */
static int use_private_memory(struct vg_recorder *recorder)
{
    void *const header = mmap(NULL, VG_FILE_HEADER_BYTES, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (header == MAP_FAILED)
        return -ENOMEM;
    recorder->file.header = header;
    atomic_store(&recorder->live.usable_bytes, 0);
    atomic_store(&recorder->journal.usable_bytes, 0);
    atomic_store(&recorder->site_area.usable_bytes, 0);
    return 0;
}

static void fill_header(struct vg_file_header *header, uint64_t start_realtime_ns)
{
    struct vg_process_id id = { .pid = getpid() };
    vg_process_identify(0, &id);
    header->version = VG_FILE_VERSION;
    header->byte_order = VG_FILE_BYTE_ORDER;
    header->header_bytes = VG_FILE_HEADER_BYTES;
    header->slot_bytes = sizeof(struct vg_live_slot);
    header->pid = id.pid;
    header->pid_namespace = vg_process_pid_namespace();
    header->start_ticks = id.start_ticks;
    header->uid = (uint32_t)getuid();
    header->writer_version = VG_VERSION_NUMBER;
    header->start_realtime_ns = start_realtime_ns;
    header->start_monotonic_ns = vg_clock_ns(CLOCK_MONOTONIC);
    gethostname(header->host, sizeof header->host - 1);
    vg_process_exe_name(header->exe, sizeof header->exe);
    vg_process_command(0, header->command, sizeof header->command);
    if (!getcwd(header->folder, sizeof header->folder) || header->folder[0] != '/')
        header->folder[0] = '\0';
    const ssize_t length = vg_process_read_file("/proc/sys/kernel/random/boot_id", header->boot_id,
                                                sizeof header->boot_id);
    if (length > 0)
        header->boot_id[strcspn(header->boot_id, "\n")] = '\0';
    /* Last, so that a reader never takes a half-written header for a whole one. */
    atomic_thread_fence(memory_order_release);
    memcpy(header->magic, VG_FILE_MAGIC, sizeof header->magic);
}

/* How much address space the areas may take: under a limit (`ulimit -v`, RLIMIT_AS) an eighth of
 * what is left, as the program needs it for itself. */
static uint64_t reservable_bytes(void)
{
    struct rlimit limit;
    char text[64];
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    if (vg_process_read_file("/proc/self/statm", text, sizeof text) <= 0) /* proc(5): pages */
        return limit.rlim_cur / 64;
    const uint64_t used_bytes = strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
    return limit.rlim_cur > used_bytes ? (limit.rlim_cur - used_bytes) / 8 : 0;
}

/* What an area of `largest_bytes` gets when all together want `sum_bytes`. */
static uint64_t share_of(uint64_t largest_bytes, uint64_t sum_bytes, uint64_t reservable)
{
    if (reservable >= sum_bytes)
        return largest_bytes;
    const uint64_t share =
        (uint64_t)((double)largest_bytes / (double)sum_bytes * (double)reservable);
    uint64_t end = VG_AREA_FIRST_BYTES; /* of an extent: behind the last one nothing fits */
    while (vg_area_extent_end(end) <= share)
        end = vg_area_extent_end(end);
    return end;
}

static int reserve_areas(struct vg_recorder *recorder)
{
    const struct {
        struct vg_area *area;
        enum vg_file_area kind;
        uint64_t largest_bytes;
    } areas[] = {
        { &recorder->live, VG_AREA_LIVE, largest_live_bytes },
        { &recorder->journal, VG_AREA_JOURNAL, largest_journal_bytes },
        { &recorder->block_area, VG_AREA_BLOCKS, largest_block_bytes },
        { &recorder->site_area, VG_AREA_SITES, largest_site_bytes },
    };
    enum { AREAS = sizeof areas / sizeof areas[0] };
    const uint64_t reservable = reservable_bytes();
    uint64_t sum_bytes = 0;
    for (size_t i = 0; i < AREAS; i++)
        sum_bytes += areas[i].largest_bytes;
    for (size_t i = 0; i < AREAS; i++)
        if (vg_area_init(areas[i].area, areas[i].kind, &recorder->file,
                         share_of(areas[i].largest_bytes, sum_bytes, reservable)) != 0)
            return -ENOMEM;
    return 0;
}

void vg_recorder_release(struct vg_recorder *recorder)
{
    struct vg_area *const areas[] = { &recorder->live, &recorder->journal, &recorder->block_area,
                                      &recorder->site_area };
    for (size_t i = 0; i < sizeof areas / sizeof areas[0]; i++)
        vg_area_release(areas[i]);
    if (recorder->file.header)
        munmap(recorder->file.header, VG_FILE_HEADER_BYTES);
    recorder->file.header = NULL;
}

int vg_recorder_open(struct vg_recorder *recorder, const struct vg_recorder_config *config)
{
    const uint64_t start_realtime_ns = vg_clock_ns(CLOCK_REALTIME);
    recorder->file.lock.rank = VG_LOCK_AREA;
    recorder->journal_lock.rank = VG_LOCK_JOURNAL;
    recorder->stacks.lock.rank = VG_LOCK_STACKS;
    recorder->codes.lock.rank = VG_LOCK_STACKS;
    recorder->modules.lock.rank = VG_LOCK_MODULES;
    if (reserve_areas(recorder) != 0)
        return -ENOMEM;
    if (!open_file(recorder, config, start_realtime_ns) && use_private_memory(recorder) != 0)
        return -ENOMEM;
    recorder->header = recorder->file.header;
    recorder->slots = (void *)recorder->live.base;
    recorder->blocks = (void *)recorder->block_area.base;
    recorder->sites = (void *)recorder->site_area.base;
    strcpy(recorder->path, recorder->file.path);
    fill_header(recorder->header, start_realtime_ns);
    if (recorder->path[0] && !config->path_template[0])
        vg_run_file_prune(config->keep_runs, config->keep_bytes);
    return 0;
}

/* `count` more slots of an area, of whose slots `used` were taken before. Slots are of one size. */
static int take_slots(struct vg_area *area, _Atomic uint64_t *used, uint32_t count,
                      uint64_t *out_first)
{
    const uint64_t first = atomic_fetch_add(used, count);
    const uint64_t needed_bytes = (first + count) * sizeof(struct vg_live_slot);
    if (atomic_load_explicit(&area->usable_bytes, memory_order_acquire) < needed_bytes &&
        vg_area_grow(area, needed_bytes) != 0)
        return -ENOMEM;
    *out_first = first;
    return 0;
}

int vg_recorder_take_slots(struct vg_recorder *recorder, uint32_t count, uint64_t *out_first)
{
    return take_slots(&recorder->live, &recorder->header->live_slots, count, out_first);
}

int vg_recorder_take_blocks(struct vg_recorder *recorder, uint32_t count, uint64_t *out_first)
{
    return take_slots(&recorder->block_area, &recorder->header->block_slots, count, out_first);
}

int vg_recorder_take_sites(struct vg_recorder *recorder, uint32_t count, uint64_t *out_first)
{
    return take_slots(&recorder->site_area, &recorder->header->site_slots, count, out_first);
}

/* Writes a record at `offset`; its type goes last: a reader that sees the type sees all of it. */
static void write_record(char *at, enum vg_journal_type type, const void *payload,
                         uint32_t size_bytes)
{
    struct vg_journal_record *const record = (void *)at;
    record->size_bytes = size_bytes;
    if (payload) {
        memcpy(record + 1, payload, size_bytes);
        record->checksum = vg_hash_fnv1a(payload, size_bytes);
    }
    atomic_store_explicit(&record->type, type, memory_order_release);
}

/* Where records of this type end: failures are given up last. */
static uint64_t room_for(const struct vg_recorder *recorder, enum vg_journal_type type)
{
    const uint64_t all_bytes = recorder->journal.reserved_bytes, eighth_bytes = all_bytes / 8;
    if (type == VG_JOURNAL_FAILURE_PARTS)
        return all_bytes;
    return all_bytes -
           (eighth_bytes < kept_for_failures_bytes ? eighth_bytes : kept_for_failures_bytes);
}

static int append_locked(struct vg_recorder *recorder, enum vg_journal_type type,
                         const void *payload, uint32_t size_bytes, uint64_t *out_offset)
{
    const uint64_t record_bytes =
        sizeof(struct vg_journal_record) + (((uint64_t)size_bytes + 7) & ~UINT64_C(7));
    uint64_t at = atomic_load_explicit(&recorder->header->journal_bytes, memory_order_relaxed);
    const uint64_t extent_end = vg_area_extent_end(at);
    const uint64_t rest_bytes = extent_end - at;
    const bool crosses = record_bytes > rest_bytes;
    const uint64_t start = crosses ? extent_end : at;
    if (start + record_bytes > room_for(recorder, type))
        return -ENOMEM;
    if (start + record_bytes > recorder->journal.usable_bytes) {
        const int error = vg_area_grow(&recorder->journal, start + record_bytes);
        if (error)
            return error;
    }
    if (crosses && rest_bytes >= sizeof(struct vg_journal_record))
        write_record(recorder->journal.base + at, VG_JOURNAL_PADDING, NULL,
                     (uint32_t)(rest_bytes - sizeof(struct vg_journal_record)));
    write_record(recorder->journal.base + start, type, payload, size_bytes);
    atomic_store_explicit(&recorder->header->journal_bytes, start + record_bytes,
                          memory_order_release);
    *out_offset = start + sizeof(struct vg_journal_record);
    return 0;
}

int vg_recorder_append(struct vg_recorder *recorder, enum vg_journal_type type, const void *payload,
                       uint32_t size_bytes, uint64_t *out_offset)
{
    uint64_t offset;
    vg_lock_take(&recorder->journal_lock);
    const int error = append_locked(recorder, type, payload, size_bytes, &offset);
    if (error)
        atomic_fetch_add(&recorder->header->dropped_count, 1);
    vg_lock_release(&recorder->journal_lock);
    if (!error && out_offset)
        *out_offset = offset;
    return error;
}

void vg_recorder_finish(struct vg_recorder *recorder, int exit_status)
{
    recorder->header->exit_status = exit_status;
    recorder->header->end_realtime_ns = vg_clock_ns(CLOCK_REALTIME);
    atomic_store_explicit(&recorder->header->end, VG_END_EXIT, memory_order_release);
}

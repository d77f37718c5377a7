/* Keeping the state directory within bounds: by the number of run files and by their size. Looked
 * at once a process, in its first CUDA call, so the work is bounded whatever lies there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/process.h"
#include "record/format.h"
#include "record/run_file.h"

enum {
    LOOKED_INTO_MAX = 256, /* files that one process opens */
    SIZED_MAX = 4096,      /* files whose size is asked for */
    ALWAYS_SIZED_MAX = 16,
    SIZED_BY_ONE_IN = 8, /* runs */
};

/* ---- one file ---- */

/* What decides whether a file may be removed. Read field by field: a whole header is more than a
 * small thread's stack holds. */
struct writer {
    char magic[8];
    struct vg_process_id id;
    uint32_t end;
    uint64_t start_realtime_ns, pid_namespace;
    char host[sizeof((struct vg_file_header *)0)->host];
};

static bool read_writer(int fd, struct writer *out)
{
#define READ(field, from)                                                                          \
    (pread(fd, &out->field, sizeof out->field, offsetof(struct vg_file_header, from)) ==           \
     (ssize_t)sizeof out->field)
    const bool complete = READ(magic, magic) && READ(id.pid, pid) &&
                          READ(id.start_ticks, start_ticks) && READ(end, end) &&
                          READ(start_realtime_ns, start_realtime_ns) && READ(host, host);
    if (!READ(pid_namespace, pid_namespace))
        out->pid_namespace = 0; /* a shorter file is a test's, or an old one's */
#undef READ
    return complete && memcmp(out->magic, VG_FILE_MAGIC, sizeof out->magic) == 0;
}

int vg_run_file_has_writer(int fd)
{
    /* Granted only where nobody has the file open for writing, and a mapping counts as open. Nobody
     * opens it for writing in the instant that it is held: that would be a signal, SIGURG for
     * SIGIO, which programs ignore unless they want it. */
    if (fcntl(fd, F_SETSIG, SIGURG) != 0)
        return -errno;
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
        fcntl(fd, F_SETLEASE, F_UNLCK);
        return 0;
    }
    return errno == EAGAIN ? 1 : -errno;
}

/* A home may be shared by machines and containers: whether a process of another host or pid
 * namespace lives cannot be seen by its pid. */
static bool is_from_elsewhere(const struct writer *writer)
{
    char host[sizeof writer->host] = "";
    gethostname(host, sizeof host - 1);
    const uint64_t own = vg_process_pid_namespace();
    return strncmp(host, writer->host, sizeof host) != 0 ||
           (own != 0 && writer->pid_namespace != 0 && own != writer->pid_namespace);
}

/* Is the process that writes the file still alive? Files that are not ours count as alive, so that
 * they are never removed; so does, for a month, a run from elsewhere that has no end, where the
 * file system does not tell either whether it is open. */
static bool in_use(int directory, const char *name)
{
    const uint64_t month_ns = UINT64_C(30) * 24 * 3600 * 1000000000;
    struct writer writer = { .end = VG_END_NONE };
    const int fd =
        openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return true;
    const bool is_ours = read_writer(fd, &writer);
    const int has_writer = is_ours && writer.end == VG_END_NONE ? vg_run_file_has_writer(fd) : 0;
    close(fd);
    if (!is_ours || has_writer == 1)
        return true;
    if (writer.end != VG_END_NONE)
        return false;
    if (!is_from_elsewhere(&writer))
        return vg_process_alive(&writer.id);
    /* A lease says nothing of other machines that have the file open. */
    return writer.start_realtime_ns + month_ns > vg_clock_ns(CLOCK_REALTIME) &&
           (has_writer < 0 || writer.pid_namespace == 0 ||
            writer.pid_namespace == vg_process_pid_namespace());
}

/* ---- all of them ---- */

/* The names of the run files, in memory of its own: the program's malloc may be what called us. */
struct listing {
    char *text; /* names, each with its NUL; then `offsets` */
    uint32_t *offsets;
    size_t count, count_max, text_bytes, text_max, mapped_bytes;
};

static void measure_names(DIR *directory, struct listing *out)
{
    *out = (struct listing){ .count = 0 };
    rewinddir(directory);
    for (const struct dirent *entry; (entry = readdir(directory));)
        if (vg_run_file_is_name(entry->d_name)) {
            out->count_max++;
            out->text_max += strlen(entry->d_name) + 1;
        }
}

/* Returns 0 or -errno. What has come since the names were measured is left out. */
static int list_names(DIR *directory, struct listing *out)
{
    const size_t offsets_at = (out->text_max + 7) & ~(size_t)7;
    out->mapped_bytes = offsets_at + (out->count_max + 1) * sizeof *out->offsets;
    void *const memory =
        mmap(NULL, out->mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    out->text = memory;
    out->offsets = (uint32_t *)(void *)(out->text + offsets_at);
    rewinddir(directory);
    for (const struct dirent *entry; (entry = readdir(directory));) {
        const size_t bytes = strlen(entry->d_name) + 1;
        if (!vg_run_file_is_name(entry->d_name) || out->count == out->count_max ||
            out->text_bytes + bytes > out->text_max)
            continue;
        memcpy(out->text + out->text_bytes, entry->d_name, bytes);
        out->offsets[out->count++] = (uint32_t)out->text_bytes;
        out->text_bytes += bytes;
    }
    return 0;
}

static const char *name_at(const struct listing *listing, size_t index)
{
    return listing->text + listing->offsets[index];
}

static void sift_down(struct listing *listing, size_t root, size_t count)
{
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && strcmp(name_at(listing, child), name_at(listing, child + 1)) < 0)
            child++;
        if (strcmp(name_at(listing, root), name_at(listing, child)) >= 0)
            return;
        const uint32_t kept = listing->offsets[root];
        listing->offsets[root] = listing->offsets[child];
        listing->offsets[child] = kept;
    }
}

/* Oldest first: names begin with their time. A heap sort, since libc's may call malloc. */
static void sort_names(struct listing *listing)
{
    for (size_t i = listing->count / 2; i > 0; i--)
        sift_down(listing, i - 1, listing->count);
    for (size_t end = listing->count; end > 1; end--) {
        const uint32_t last = listing->offsets[0];
        listing->offsets[0] = listing->offsets[end - 1];
        listing->offsets[end - 1] = last;
        sift_down(listing, 0, end - 1);
    }
}

static uint64_t bytes_of(int directory, const char *name)
{
    struct stat status;
    return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0
               ? (uint64_t)status.st_blocks * 512
               : 0;
}

/* Asking for the size of each file is what takes time, so where there are more than a few, one run
 * in so many does. */
static bool is_to_be_sized(const struct listing *listing)
{
    return listing->count <= ALWAYS_SIZED_MAX ||
           vg_clock_monotonic_ns() / 1000 % SIZED_BY_ONE_IN == 0;
}

/* Of the newest ones, when there are very many. */
static uint64_t sum_bytes(int directory, const struct listing *listing)
{
    uint64_t sum = 0;
    size_t i = listing->count > SIZED_MAX ? listing->count - SIZED_MAX : 0;
    for (; i < listing->count; i++)
        sum += bytes_of(directory, name_at(listing, i));
    return sum;
}

/* Removes the oldest. Where more are in the way than one process looks into, those of another host
 * say, each begins somewhere else. */
static void remove_oldest(int directory, const struct listing *listing, uint64_t bytes,
                          unsigned keep, uint64_t keep_bytes)
{
    size_t left = listing->count;
    const size_t excess = left > keep ? left - keep : 0;
    size_t first = 0;
    if (excess > LOOKED_INTO_MAX)
        first = vg_clock_monotonic_ns() / 1000 % (excess - LOOKED_INTO_MAX + 1);
    for (size_t i = first; i < listing->count && i < first + LOOKED_INTO_MAX; i++) {
        if (left <= keep && (keep_bytes == 0 || bytes <= keep_bytes))
            return;
        const char *const name = name_at(listing, i);
        const uint64_t own_bytes = keep_bytes ? bytes_of(directory, name) : 0;
        if (in_use(directory, name) || unlinkat(directory, name, 0) != 0)
            continue;
        left--;
        bytes -= own_bytes < bytes ? own_bytes : bytes;
    }
}

void vg_run_file_prune(unsigned keep, uint64_t keep_bytes)
{
    static char path[4096];
    struct listing listing;
    if (keep == 0 || vg_run_file_directory(path, sizeof path) != 0)
        return;
    DIR *const directory = opendir(path); /* the one place that uses malloc: once per process */
    if (!directory)
        return;
    measure_names(directory, &listing);
    if (listing.count_max > 0 && list_names(directory, &listing) == 0) {
        const int fd = dirfd(directory);
        /* A few files too many are left for a while, so that most runs only count them; and one
         * process at a time prunes, so that together they do not remove more than each means to. */
        const bool many = listing.count > keep + keep / 8;
        if (many)
            sort_names(&listing);
        const uint64_t bytes = keep_bytes && is_to_be_sized(&listing) ? sum_bytes(fd, &listing) : 0;
        if ((many || bytes > keep_bytes) && flock(fd, LOCK_EX | LOCK_NB) == 0) {
            if (!many)
                sort_names(&listing);
            remove_oldest(fd, &listing, bytes, many ? keep : (unsigned)listing.count, keep_bytes);
        }
        munmap(listing.text, listing.mapped_bytes);
    }
    closedir(directory);
}

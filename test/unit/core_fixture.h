/* For the unit tests of the core: a folder of the test's own, code run in a child process whose
 * standard error is caught, and an independent look into recorder files. */
#ifndef VRAMGUARD_TEST_CORE_FIXTURE_H
#define VRAMGUARD_TEST_CORE_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "record/format.h"

#define UNUSED __attribute__((unused))

/* The same numbers of 24 bits each time, for what starts with the same `*seed`. */
static UNUSED uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* The test's own folder; the state directory and the home lie in it. */
static char scratch[64];

/* A cmocka setup: makes the folder and points the environment at it. */
static UNUSED int make_scratch(void **state)
{
    (void)state;
    strcpy(scratch, "/tmp/vg-unit-XXXXXX");
    if (!mkdtemp(scratch))
        return -1;
    setenv("HOME", scratch, 1);
    setenv("XDG_STATE_HOME", scratch, 1);
    return 0;
}

static UNUSED int remove_scratch(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    return system(command) == 0 ? 0 : -1;
}

/* Path of `name` in the folder. Valid until the fourth call after this one. */
static UNUSED const char *in_scratch(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *const path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

/* Checks in a child process, where cmocka's asserts must not be used: they would go on with the
 * parent's tests. */
static int child_report_fd = STDOUT_FILENO;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            dprintf(child_report_fd, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);     \
            _exit(99);                                                                             \
        }                                                                                          \
    } while (0)

enum { CHILD_TIMEOUT_S = 120 };

/* Runs `run(argument)` in a child, which ends by exit(0) when it returns. What it writes to
 * standard error goes to `error_text` (NUL terminated). Returns the wait status. */
static UNUSED int run_child(void (*run)(void *argument), void *argument, char *error_text,
                            size_t cap)
{
    FILE *const caught = tmpfile();
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        alarm(CHILD_TIMEOUT_S); /* a child that hangs fails */
        child_report_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 100);
        dup2(fileno(caught), STDERR_FILENO);
        run(argument);
        exit(0);
    }
    int status = -1;
    if (pid > 0)
        waitpid(pid, &status, 0);
    rewind(caught);
    const size_t length = fread(error_text, 1, cap - 1, caught);
    error_text[length] = '\0';
    fclose(caught);
    return status;
}

/* Number of lines in `text`. */
static UNUSED int line_count(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

/* A recorder file, read with plain read calls and checked as format.h describes it: nothing of
 * src/record is used. */
struct record {
    char *bytes;
    uint64_t size_bytes;
    const struct vg_file_header *header;
    char *areas[VG_AREA_COUNT]; /* the extents of each area, joined */
    uint64_t area_bytes[VG_AREA_COUNT];
};

static UNUSED bool read_record(const char *path, struct record *out)
{
    struct stat status;
    memset(out, 0, sizeof *out);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0)
        return false;
    out->size_bytes = (uint64_t)status.st_size;
    out->bytes = malloc(out->size_bytes + 1);
    for (uint64_t at = 0; at < out->size_bytes;) {
        const ssize_t got = read(fd, out->bytes + at, out->size_bytes - at);
        if (got <= 0)
            return false;
        at += (uint64_t)got;
    }
    close(fd);
    out->header = (const void *)out->bytes;
    if (out->size_bytes < VG_FILE_HEADER_BYTES || memcmp(out->bytes, VG_FILE_MAGIC, 8) != 0)
        return false;
    uint64_t end = VG_FILE_HEADER_BYTES;
    for (int i = 0; i < VG_FILE_EXTENTS && out->header->extents[i].area; i++) {
        const struct vg_file_extent *const extent = &out->header->extents[i];
        if (extent->area >= VG_AREA_COUNT || extent->offset_bytes != end ||
            extent->size_bytes > out->size_bytes - end)
            return false;
        uint64_t *const bytes = &out->area_bytes[extent->area];
        out->areas[extent->area] = realloc(out->areas[extent->area], *bytes + extent->size_bytes);
        memcpy(out->areas[extent->area] + *bytes, out->bytes + end, extent->size_bytes);
        *bytes += extent->size_bytes;
        end += extent->size_bytes;
    }
    return true;
}

static UNUSED void free_record(struct record *record)
{
    free(record->bytes);
    for (int i = 0; i < VG_AREA_COUNT; i++)
        free(record->areas[i]);
}

/* Live slots in the record and the sum of their bytes. */
static UNUSED uint64_t count_live(const struct record *record, uint64_t *out_bytes)
{
    uint64_t count = 0;
    *out_bytes = 0;
    const struct vg_live_slot *const slots = (const void *)record->areas[VG_AREA_LIVE];
    for (uint64_t i = 0; i < record->area_bytes[VG_AREA_LIVE] / sizeof *slots; i++) {
        count += slots[i].address != 0;
        *out_bytes += slots[i].address != 0 ? slots[i].bytes : 0;
    }
    return count;
}

/* Calls `visit` for each committed journal record. Returns their number, or -1 when the journal is
 * not what format.h describes: a bad checksum, or a length that leads astray. */
static UNUSED long walk_journal(const struct record *record,
                                void (*visit)(uint32_t type, const void *payload,
                                              uint32_t size_bytes, void *argument),
                                void *argument)
{
    long count = 0;
    const char *const journal = record->areas[VG_AREA_JOURNAL];
    const uint64_t committed = record->header->journal_bytes;
    for (uint64_t at = 0; at < committed;) {
        const uint64_t in_extent = at;
        uint64_t extent_end = 65536;
        while (extent_end <= in_extent)
            extent_end += extent_end < (16u << 20) ? extent_end : 16u << 20;
        if (extent_end - at < sizeof(struct vg_journal_record)) {
            at = extent_end;
            continue;
        }
        const struct vg_journal_record *const one = (const void *)(journal + at);
        const uint64_t whole = sizeof *one + (((uint64_t)one->size_bytes + 7) & ~UINT64_C(7));
        if (one->type == VG_JOURNAL_NONE || at + whole > extent_end)
            return -1;
        if (one->type != VG_JOURNAL_PADDING) {
            uint32_t hash = 2166136261u;
            for (uint32_t i = 0; i < one->size_bytes; i++)
                hash = (hash ^ ((const unsigned char *)(one + 1))[i]) * 16777619u;
            if (hash != one->checksum || at + whole > committed)
                return -1;
            if (visit)
                visit(one->type, one + 1, one->size_bytes, argument);
            count++;
        }
        at += whole;
    }
    return count;
}

#endif

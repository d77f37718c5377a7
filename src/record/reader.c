#include "record/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "record/reader_journal.h"

/* The writer's areas and extents are no larger (recorder.c, area.c); larger ones are made up. */
static const uint64_t largest_area_bytes[VG_AREA_COUNT] = {
    [VG_AREA_LIVE] = UINT64_C(4) << 30,
    [VG_AREA_JOURNAL] = UINT64_C(1) << 30,
};
static const uint64_t largest_extent_bytes = UINT64_C(64) << 20;

enum { SLOTS_A_READ = 1024 };

/* Reads up to `length` bytes. Returns how many there were before the end of the file, or -errno. */
static ssize_t read_at(int fd, void *out, size_t length, uint64_t offset)
{
    size_t done = 0;
    while (done < length) {
        const ssize_t got = pread(fd, (char *)out + done, length - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* ---- header ---- */

static bool clean_text(char *text, size_t cap)
{
    if (!memchr(text, '\0', cap))
        return false;
    vg_text_sanitize(text, cap, text, strlen(text));
    return true;
}

static int refuse_file(int error, char *why, size_t why_cap, const char *reason)
{
    snprintf(why, why_cap, "%s", reason);
    return error;
}

static int check_header(struct vg_file_header *h, size_t length, char *why, size_t why_cap)
{
    static const char zeros[sizeof h->magic];
    if (length >= sizeof h->magic && memcmp(h->magic, zeros, sizeof zeros) == 0 &&
        length >= sizeof *h)
        return refuse_file(-EAGAIN, why, why_cap,
                           "it is just being created, or was never finished");
    if (length < sizeof h->magic || memcmp(h->magic, VG_FILE_MAGIC, sizeof h->magic) != 0)
        return refuse_file(-EBADMSG, why, why_cap, "not a vramguard recorder file");
    if (length < sizeof *h)
        return refuse_file(-EBADMSG, why, why_cap, "cut off inside its header");
    if (h->byte_order != VG_FILE_BYTE_ORDER)
        return refuse_file(-EPROTO, why, why_cap, "written on a machine with another byte order");
    if (h->version != VG_FILE_VERSION) {
        snprintf(why, why_cap, "format version %u, this program reads version %d", h->version,
                 VG_FILE_VERSION);
        return -EPROTO;
    }
    if (h->header_bytes != VG_FILE_HEADER_BYTES || h->slot_bytes != sizeof(struct vg_live_slot) ||
        h->pid <= 0 || !clean_text(h->host, sizeof h->host) || !clean_text(h->exe, sizeof h->exe) ||
        !clean_text(h->command, sizeof h->command) || !clean_text(h->boot_id, sizeof h->boot_id))
        return refuse_file(-EBADMSG, why, why_cap, "its header is damaged");
    for (int i = 0; i < VG_FILE_DEVICES; i++)
        if (!clean_text(h->devices[i].uuid, sizeof h->devices[i].uuid) ||
            !clean_text(h->devices[i].name, sizeof h->devices[i].name))
            return refuse_file(-EBADMSG, why, why_cap, "its header is damaged");
    return 0;
}

/* Clears the entries that cannot be used and shortens those that end behind the file. The writer
 * appends extents, so they lie one behind the other. */
static void check_extents(struct vg_reader *reader, uint64_t file_bytes)
{
    uint64_t end = VG_FILE_HEADER_BYTES, area_bytes[VG_AREA_COUNT] = { 0 };
    for (int i = 0; i < VG_FILE_EXTENTS; i++) {
        struct vg_file_extent *const e = &reader->header->extents[i];
        if (e->area == VG_AREA_NONE)
            continue;
        if (e->area >= VG_AREA_COUNT || e->offset_bytes < end || e->offset_bytes % 8 != 0 ||
            e->size_bytes == 0 || e->size_bytes % sizeof(struct vg_live_slot) != 0 ||
            e->size_bytes > largest_extent_bytes || e->offset_bytes > UINT64_MAX / 4 ||
            area_bytes[e->area] + e->size_bytes > largest_area_bytes[e->area]) {
            reader->damage.extents++;
            e->area = VG_AREA_NONE;
            continue;
        }
        area_bytes[e->area] += e->size_bytes;
        end = e->offset_bytes + e->size_bytes;
        if (end > file_bytes) {
            const uint64_t left = e->offset_bytes < file_bytes ? file_bytes - e->offset_bytes : 0;
            reader->damage.missing_bytes += e->size_bytes - left;
            e->size_bytes = left - left % sizeof(struct vg_live_slot);
        }
    }
}

static int open_regular(const char *path, int *out_fd, char *why, size_t why_cap)
{
    struct stat status;
    /* Not blocking: `path` may be a named pipe. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        const int error = -errno;
        return refuse_file(error, why, why_cap, strerror(-error));
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return refuse_file(-EBADMSG, why, why_cap, "not a regular file");
    }
    *out_fd = fd;
    return 0;
}

int vg_reader_open(struct vg_reader *reader, const char *path, char *why, size_t why_cap)
{
    struct stat status;
    memset(reader, 0, sizeof *reader);
    int error = open_regular(path, &reader->fd, why, why_cap);
    if (error)
        return error;
    reader->header = calloc(1, sizeof *reader->header);
    if (!reader->header) {
        close(reader->fd);
        return refuse_file(-ENOMEM, why, why_cap, strerror(ENOMEM));
    }
    const ssize_t got = read_at(reader->fd, reader->header, sizeof *reader->header, 0);
    if (got < 0)
        error = refuse_file((int)got, why, why_cap, strerror((int)-got));
    else
        error = check_header(reader->header, (size_t)got, why, why_cap);
    /* After the header: the file may have grown meanwhile, but never shrunk. */
    if (!error && fstat(reader->fd, &status) != 0)
        error = refuse_file(-errno, why, why_cap, strerror(errno));
    if (error)
        vg_reader_close(reader);
    else
        check_extents(reader, (uint64_t)status.st_size);
    return error;
}

/* ---- journal ---- */

int vg_reader_load(struct vg_reader *reader)
{
    uint64_t area_offset = 0;
    if (reader->loaded)
        return 0;
    reader->loaded = true;
    for (int i = 0; i < VG_FILE_EXTENTS; i++)
        if (reader->header->extents[i].area == VG_AREA_JOURNAL)
            reader->stack_limit +=
                reader->header->extents[i].size_bytes /
                (sizeof(struct vg_journal_record) + sizeof(struct vg_journal_stack));
    bool more = true;
    for (int i = 0; i < VG_FILE_EXTENTS && more; i++) {
        const struct vg_file_extent *const e = &reader->header->extents[i];
        if (e->area != VG_AREA_JOURNAL || e->size_bytes == 0)
            continue;
        char *const chunk = malloc(e->size_bytes);
        if (!chunk)
            return -ENOMEM;
        reader->chunks[reader->chunk_count++] = chunk;
        const ssize_t got = read_at(reader->fd, chunk, e->size_bytes, e->offset_bytes);
        if (got < 0)
            return -EIO;
        const int error =
            vg_reader_parse_chunk(reader, chunk, (size_t)got & ~(size_t)7, area_offset, &more);
        if (error)
            return error;
        area_offset += e->size_bytes;
    }
    return 0;
}

const struct vg_journal_stack *vg_reader_stack(const struct vg_reader *reader, uint32_t id)
{
    return id < reader->stack_cap ? reader->stacks[id] : NULL;
}

const struct vg_journal_code *vg_reader_code(const struct vg_reader *reader, uint32_t id)
{
    return id < reader->code_cap ? reader->codes[id] : NULL;
}

size_t vg_reader_module_index(const struct vg_reader *reader, uint64_t address)
{
    for (size_t i = reader->module_count; i-- > 0;)
        if (address >= reader->modules[i]->start && address < reader->modules[i]->end)
            return i;
    return reader->module_count;
}

/* ---- live allocations ---- */

static bool is_possible(const struct vg_live_slot *slot)
{
    return slot->bytes < UINT64_C(1) << 56 && slot->device < VG_FILE_DEVICES &&
           slot->kind != VG_KIND_NONE && slot->kind < 256; /* of a later version, perhaps */
}

static int visit_slots(struct vg_reader *reader, const struct vg_live_slot *slots, size_t count,
                       int (*visit)(const struct vg_live_slot *slot, void *argument),
                       void *argument)
{
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        if (slots[i].address == 0)
            continue;
        if (is_possible(&slots[i]))
            result = visit(&slots[i], argument);
        else
            reader->damage.slots++;
    }
    return result;
}

int vg_reader_each_live(struct vg_reader *reader,
                        int (*visit)(const struct vg_live_slot *slot, void *argument),
                        void *argument)
{
    struct vg_live_slot *const slots = malloc(SLOTS_A_READ * sizeof *slots);
    if (!slots)
        return -ENOMEM;
    reader->damage.slots = 0;
    uint64_t left = reader->header->live_slots;
    int result = 0;
    for (int i = 0; i < VG_FILE_EXTENTS && left > 0 && result == 0; i++) {
        const struct vg_file_extent *const e = &reader->header->extents[i];
        uint64_t here = e->area == VG_AREA_LIVE ? e->size_bytes / sizeof *slots : 0;
        uint64_t offset = e->offset_bytes;
        if (here > left)
            here = left;
        left -= here;
        while (here > 0 && result == 0) {
            const size_t wanted = here < SLOTS_A_READ ? (size_t)here : SLOTS_A_READ;
            const ssize_t got = read_at(reader->fd, slots, wanted * sizeof *slots, offset);
            if (got <= 0)
                break;
            result = visit_slots(reader, slots, (size_t)got / sizeof *slots, visit, argument);
            offset += wanted * sizeof *slots;
            here -= wanted;
        }
    }
    free(slots);
    return result;
}

/* ---- damage, end ---- */

bool vg_reader_describe_damage(const struct vg_reader *reader, char *out, size_t cap)
{
    const struct vg_reader_damage *const d = &reader->damage;
    struct vg_text text = vg_text_over(out, cap);
    if (reader->header->memory_only)
        vg_text_add(&text, "the disk was full while it was written; ");
    if (d->missing_bytes)
        vg_text_addf(&text, "%llu bytes missing at its end; ",
                     (unsigned long long)d->missing_bytes);
    if (d->extents)
        vg_text_addf(&text, "%u damaged extents; ", d->extents);
    if (d->records)
        vg_text_addf(&text, "%u damaged records; ", d->records);
    if (d->unknown)
        vg_text_addf(&text, "%u records of unknown types; ", d->unknown);
    if (d->slots)
        vg_text_addf(&text, "%llu damaged allocations; ", (unsigned long long)d->slots);
    if (d->uncommitted)
        vg_text_add(&text, "an unfinished record; ");
    if (text.length == 0)
        return false;
    text.data[text.length - 2] = '\0';
    return true;
}

void vg_reader_close(struct vg_reader *reader)
{
    for (size_t i = 0; i < reader->chunk_count; i++)
        free(reader->chunks[i]);
    free(reader->modules);
    free(reader->stacks);
    free(reader->codes);
    free(reader->failures);
    free(reader->rescues);
    free(reader->marks);
    free(reader->header);
    close(reader->fd);
}

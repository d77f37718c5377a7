#include "record/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/read_fully.h"
#include "base/text.h"
#include "record/reader_journal.h"

/* The writer's areas and extents are no larger (recorder.c, area.c); larger ones are made up. */
static const uint64_t largest_area_bytes[VG_AREA_COUNT] = {
    [VG_AREA_LIVE] = UINT64_C(4) << 30,
    [VG_AREA_JOURNAL] = UINT64_C(1) << 30,
    [VG_AREA_BLOCKS] = UINT64_C(4) << 30,
    [VG_AREA_SITES] = UINT64_C(64) << 20,
};
static const uint64_t largest_extent_bytes = UINT64_C(64) << 20;

enum { SLOTS_A_READ = 1024 };

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
    if (h->version < VG_FILE_OLDEST_VERSION || h->version > VG_FILE_VERSION) {
        snprintf(why, why_cap, "format version %u, this program reads versions %d to %d",
                 h->version, VG_FILE_OLDEST_VERSION, VG_FILE_VERSION);
        return -EPROTO;
    }
    if (h->header_bytes != VG_FILE_HEADER_BYTES || h->slot_bytes != sizeof(struct vg_live_slot) ||
        h->pid <= 0 || !clean_text(h->host, sizeof h->host) || !clean_text(h->exe, sizeof h->exe) ||
        !clean_text(h->command, sizeof h->command) || !clean_text(h->boot_id, sizeof h->boot_id) ||
        !clean_text(h->folder, sizeof h->folder))
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
    const ssize_t got = vg_read_fully_at(reader->fd, reader->header, sizeof *reader->header, 0);
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
        const ssize_t got = vg_read_fully_at(reader->fd, chunk, e->size_bytes, e->offset_bytes);
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

/* ---- live allocations, blocks, sites ---- */

/* All slots are of one size and begin with what tells whether they are in use, or end with it. */
union slot {
    struct vg_live_slot live;
    struct vg_block_slot block;
    struct vg_site_slot site;
};

_Static_assert(sizeof(union slot) == sizeof(struct vg_live_slot), "areas are arrays of one size");

/* One of the areas that are arrays of slots, and what is done with those in use. */
struct slot_area {
    enum vg_file_area area;
    bool (*is_used)(const union slot *slot);
    bool (*is_possible)(const union slot *slot);
    union {
        int (*live)(const struct vg_live_slot *slot, void *argument);
        int (*block)(const struct vg_block_slot *slot, void *argument);
        int (*site)(const struct vg_site_slot *slot, void *argument);
    } visit;
    void *argument;
    uint64_t *damaged;
};

static const uint64_t most_bytes = UINT64_C(1) << 56;

static bool is_used_live(const union slot *slot)
{
    return slot->live.address != 0;
}

static bool is_possible_live(const union slot *slot)
{
    return slot->live.bytes < most_bytes && slot->live.device < VG_FILE_DEVICES &&
           slot->live.kind != VG_KIND_NONE &&
           slot->live.kind < 256; /* of a later version, perhaps */
}

static bool is_used_block(const union slot *slot)
{
    return slot->block.address != 0;
}

static bool is_possible_block(const union slot *slot)
{
    return slot->block.bytes < most_bytes && slot->block.bytes > 0 &&
           slot->block.address < UINT64_MAX - most_bytes && slot->block.device < VG_FILE_DEVICES;
}

static bool is_used_site(const union slot *slot)
{
    return slot->site.level != VG_SITE_NONE;
}

static bool is_possible_site(const union slot *slot)
{
    const struct vg_site_slot *const s = &slot->site;
    return s->level < VG_SITE_LEVELS && s->device < VG_FILE_DEVICES && s->frees <= s->allocations &&
           s->live_bytes < most_bytes && s->peak_bytes < most_bytes &&
           s->peak_count <= s->allocations;
}

static int visit_slot(const struct slot_area *area, const union slot *slot)
{
    switch (area->area) {
    case VG_AREA_LIVE: return area->visit.live(&slot->live, area->argument);
    case VG_AREA_BLOCKS: return area->visit.block(&slot->block, area->argument);
    case VG_AREA_SITES: return area->visit.site(&slot->site, area->argument);
    default: return 0;
    }
}

static int visit_slots(const struct slot_area *area, const union slot *slots, size_t count)
{
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        if (!area->is_used(&slots[i]))
            continue;
        if (area->is_possible(&slots[i]))
            result = visit_slot(area, &slots[i]);
        else
            ++*area->damaged;
    }
    return result;
}

/* Visits the slots of one extent, `count` of them at `offset_bytes`, through `buffer`. */
static int visit_extent(const struct vg_reader *reader, const struct slot_area *area,
                        uint64_t offset_bytes, uint64_t count, union slot *buffer)
{
    int result = 0;
    while (count > 0 && result == 0) {
        const size_t wanted = count < SLOTS_A_READ ? (size_t)count : SLOTS_A_READ;
        const ssize_t got =
            vg_read_fully_at(reader->fd, buffer, wanted * sizeof *buffer, offset_bytes);
        if (got <= 0)
            break;
        result = visit_slots(area, buffer, (size_t)got / sizeof *buffer);
        offset_bytes += wanted * sizeof *buffer;
        count -= wanted;
    }
    return result;
}

/* Visits the first `left` slots of an area. */
static int each_slot(struct vg_reader *reader, const struct slot_area *area, uint64_t left)
{
    union slot *const buffer = malloc(SLOTS_A_READ * sizeof *buffer);
    int result = 0;
    if (!buffer)
        return -ENOMEM;
    *area->damaged = 0;
    for (int i = 0; i < VG_FILE_EXTENTS && left > 0 && result == 0; i++) {
        const struct vg_file_extent *const e = &reader->header->extents[i];
        uint64_t here = e->area == area->area ? e->size_bytes / sizeof *buffer : 0;
        here = here < left ? here : left;
        left -= here;
        result = visit_extent(reader, area, e->offset_bytes, here, buffer);
    }
    free(buffer);
    return result;
}

int vg_reader_each_live(struct vg_reader *reader,
                        int (*visit)(const struct vg_live_slot *slot, void *argument),
                        void *argument)
{
    const struct slot_area area = { .area = VG_AREA_LIVE,
                                    .is_used = is_used_live,
                                    .is_possible = is_possible_live,
                                    .visit.live = visit,
                                    .argument = argument,
                                    .damaged = &reader->damage.slots };
    return each_slot(reader, &area, reader->header->live_slots);
}

int vg_reader_each_block(struct vg_reader *reader,
                         int (*visit)(const struct vg_block_slot *slot, void *argument),
                         void *argument)
{
    const struct slot_area area = { .area = VG_AREA_BLOCKS,
                                    .is_used = is_used_block,
                                    .is_possible = is_possible_block,
                                    .visit.block = visit,
                                    .argument = argument,
                                    .damaged = &reader->damage.blocks };
    return each_slot(reader, &area, reader->header->block_slots);
}

int vg_reader_each_site(struct vg_reader *reader,
                        int (*visit)(const struct vg_site_slot *slot, void *argument),
                        void *argument)
{
    const struct slot_area area = { .area = VG_AREA_SITES,
                                    .is_used = is_used_site,
                                    .is_possible = is_possible_site,
                                    .visit.site = visit,
                                    .argument = argument,
                                    .damaged = &reader->damage.sites };
    return each_slot(reader, &area, reader->header->site_slots);
}

/* ---- damage, end ---- */

bool vg_reader_describe_damage(const struct vg_reader *reader, char *out, size_t cap)
{
    const struct vg_reader_damage *const d = &reader->damage;
    struct vg_text text = vg_text_over(out, cap);
    if (reader->header->memory_only)
        vg_text_add(&text, "the disk was full while it was written; ");
    if (reader->header->dropped_count)
        vg_text_addf(&text, "no room for %llu records, stacks for the most part; ",
                     (unsigned long long)reader->header->dropped_count);
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
    if (d->blocks)
        vg_text_addf(&text, "%llu damaged blocks; ", (unsigned long long)d->blocks);
    if (d->sites)
        vg_text_addf(&text, "%llu damaged sites; ", (unsigned long long)d->sites);
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

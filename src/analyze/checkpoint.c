#include "analyze/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/amount.h"
#include "base/text.h"
#include "os/maps.h"

enum {
    FILES_MAX = 64,
    NAME_CAP = 80,
    HEADER_MAX_BYTES = 1 << 20,
    HEADERS_MAX_BYTES = 4 << 20,
    LENGTH_BYTES = 8, /* in front of the header: its length, least byte first */
};

/* ---- the header ---- */

/* {"__metadata__":{...},"name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},...} */
struct parser {
    const char *at, *end;
    bool failed;
};

struct tensor {
    char dtype[8];
    uint64_t begin, after;
    bool has_offsets;
};

static void skip_blanks(struct parser *p)
{
    while (p->at < p->end && strchr(" \t\r\n", *p->at) && *p->at)
        p->at++;
}

/* Takes `c` if it is next. */
static bool accept_character(struct parser *p, char c)
{
    skip_blanks(p);
    if (p->failed || p->at == p->end || *p->at != c)
        return false;
    p->at++;
    return true;
}

static void expect_character(struct parser *p, char c)
{
    if (!accept_character(p, c))
        p->failed = true;
}

/* Takes a string; what fits of it goes to `out`, escapes as they are written. */
static void take_string(struct parser *p, char *out, size_t cap)
{
    size_t used = 0;
    expect_character(p, '"');
    while (!p->failed && p->at < p->end && *p->at != '"') {
        const char c = *p->at++;
        if (c == '\\' && p->at < p->end)
            p->at++;
        if (used + 1 < cap)
            out[used++] = c;
    }
    out[used] = '\0';
    expect_character(p, '"');
}

static uint64_t take_number(struct parser *p)
{
    uint64_t number = 0;
    skip_blanks(p);
    if (p->at == p->end || *p->at < '0' || *p->at > '9')
        p->failed = true;
    for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++) {
        number = number * 10 + (uint64_t)(*p->at - '0');
        if (!vg_amount_known(number)) /* no file is as large */
            p->failed = true;
        if (p->failed)
            return 0;
    }
    return number;
}

/* Leaves a value out: a string, or brackets with all in them, or a number or word. */
static void skip_value(struct parser *p)
{
    char ignored[2];
    uint64_t open = 0;
    do {
        skip_blanks(p);
        if (p->at == p->end) {
            p->failed = true;
        } else if (*p->at == '"') {
            take_string(p, ignored, sizeof ignored);
        } else {
            open += *p->at == '{' || *p->at == '[';
            open -= open > 0 && (*p->at == '}' || *p->at == ']');
            p->at++;
        }
    } while (!p->failed && open > 0);
    while (p->at < p->end && !strchr(",}]\"{[: \t\r\n", *p->at)) /* the rest of a number */
        p->at++;
}

static void take_member(struct parser *p, struct tensor *out)
{
    char key[16];
    take_string(p, key, sizeof key);
    expect_character(p, ':');
    skip_blanks(p);
    if (strcmp(key, "dtype") == 0 && p->at < p->end && *p->at == '"') {
        take_string(p, out->dtype, sizeof out->dtype);
    } else if (strcmp(key, "data_offsets") == 0) {
        expect_character(p, '[');
        out->begin = take_number(p);
        expect_character(p, ',');
        out->after = take_number(p);
        expect_character(p, ']');
        out->has_offsets = true;
    } else {
        skip_value(p);
    }
}

static void take_tensor(struct parser *p, struct tensor *out)
{
    *out = (struct tensor){ .begin = 0 };
    expect_character(p, '{');
    if (accept_character(p, '}'))
        return;
    do
        take_member(p, out);
    while (!p->failed && accept_character(p, ','));
    expect_character(p, '}');
}

static void add_tensor(struct vg_run_checkpoint *out, const struct tensor *tensor)
{
    const uint64_t bytes = tensor->after - tensor->begin;
    if (strcmp(tensor->dtype, "F32") == 0)
        out->f32_bytes += bytes;
    else if (strcmp(tensor->dtype, "F16") == 0 || strcmp(tensor->dtype, "BF16") == 0)
        out->half_bytes += bytes;
    else
        out->other_bytes += bytes;
}

int vg_checkpoint_parse(const char *text, uint64_t length, uint64_t data_bytes,
                        struct vg_run_checkpoint *out)
{
    struct parser p = { .at = text, .end = text + length };
    struct vg_run_checkpoint found = { .file_count = 0 };
    struct tensor tensor;
    char name[16];
    expect_character(&p, '{');
    if (!accept_character(&p, '}')) {
        do {
            take_string(&p, name, sizeof name);
            expect_character(&p, ':');
            if (strcmp(name, "__metadata__") == 0) {
                skip_value(&p);
                continue;
            }
            take_tensor(&p, &tensor);
            if (!tensor.has_offsets || tensor.begin > tensor.after || tensor.after > data_bytes)
                p.failed = true;
            else
                add_tensor(&found, &tensor);
            /* Tensors do not overlap. */
            if (found.f32_bytes + found.half_bytes + found.other_bytes > data_bytes)
                p.failed = true;
        } while (!p.failed && accept_character(&p, ','));
        expect_character(&p, '}');
    }
    if (p.failed)
        return -EBADMSG;
    out->f32_bytes += found.f32_bytes;
    out->half_bytes += found.half_bytes;
    out->other_bytes += found.other_bytes;
    return 0;
}

/* ---- the files ---- */

struct search {
    struct vg_run_checkpoint *out;
    struct vg_mapped_file seen[FILES_MAX];
    uint32_t count;        /* of them */
    uint64_t header_bytes; /* read so far */
    uint64_t largest_bytes;
    char *buffer;        /* of HEADER_MAX_BYTES */
    char name[NAME_CAP]; /* of the largest */
};

/* Reads the header and adds its tensors. Returns whether it was one. */
static bool read_header(struct search *search, int fd, uint64_t file_bytes)
{
    unsigned char raw[LENGTH_BYTES];
    uint64_t length = 0;
    if (pread(fd, raw, sizeof raw, 0) != sizeof raw)
        return false;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--)
        length = length << 8 | raw[i];
    if (length > HEADER_MAX_BYTES || LENGTH_BYTES + length > file_bytes ||
        search->header_bytes + length > HEADERS_MAX_BYTES)
        return false;
    search->header_bytes += length;
    return pread(fd, search->buffer, length, LENGTH_BYTES) == (ssize_t)length &&
           vg_checkpoint_parse(search->buffer, length, file_bytes - LENGTH_BYTES - length,
                               search->out) == 0;
}

static uint64_t all_bytes(const struct vg_run_checkpoint *c)
{
    return c->f32_bytes + c->half_bytes + c->other_bytes;
}

/* The Hugging Face hub keeps files as DIRECTORY/models--OWNER--NAME/blobs/HASH, which others are
 * links to; the kernel tells the file's own path (huggingface_hub, "Understand caching"). */
static const char blobs[] = "/blobs/", models[] = "/models--";

static bool is_blob(const char *path)
{
    const char *const name = strrchr(path, '/');
    const size_t length = sizeof blobs - 2; /* without the slash that `name` begins with */
    return strstr(path, models) && name - path > (ptrdiff_t)length &&
           strncmp(name - length, blobs, length) == 0;
}

/* "OWNER/NAME" of a blob, else the file's name. */
static void name_model(const char *path, char *out, size_t cap)
{
    const char *const name = strrchr(path, '/') + 1;
    if (!is_blob(path)) {
        vg_text_sanitize(out, cap, name, strlen(name));
        return;
    }
    const char *const model = strstr(path, models) + sizeof models - 1;
    vg_text_sanitize(out, cap, model, strcspn(model, "/"));
    char *const dashes = strstr(out, "--");
    if (dashes) {
        *dashes = '/';
        memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
    }
}

static void keep_name(struct search *search, const char *path, uint64_t bytes)
{
    if (bytes <= search->largest_bytes)
        return;
    search->largest_bytes = bytes;
    name_model(path, search->name, sizeof search->name);
}

static bool read_file(struct search *search, const struct vg_mapping *mapping)
{
    const uint64_t before = all_bytes(search->out);
    struct stat status;
    const int fd = open(mapping->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return false;
    const bool read = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                      read_header(search, fd, (uint64_t)status.st_size);
    close(fd);
    if (read)
        keep_name(search, mapping->path, all_bytes(search->out) - before);
    return read;
}

static bool is_new(struct search *search, const struct vg_mapping *mapping)
{
    struct vg_mapped_file file;
    if (!vg_maps_identify(mapping, &file))
        return false;
    for (uint32_t i = 0; i < search->count; i++)
        if (search->seen[i].inode == file.inode &&
            search->seen[i].device_major == file.device_major &&
            search->seen[i].device_minor == file.device_minor)
            return false;
    search->seen[search->count++] = file;
    return true;
}

static bool look_at(const struct vg_mapping *mapping, void *argument)
{
    struct search *const search = argument;
    const bool by_name = vg_text_ends_with(mapping->path, ".safetensors");
    if ((!by_name && !is_blob(mapping->path)) || !is_new(search, mapping))
        return true;
    if (read_file(search, mapping))
        search->out->file_count++;
    else
        search->out->unread += by_name; /* a blob may be anything */
    return search->count < FILES_MAX;
}

void vg_checkpoint_find(struct vg_region *region, struct vg_run_checkpoint *out)
{
    const int saved_errno = errno;
    *out = (struct vg_run_checkpoint){ .name = "" };
    struct search search = { .out = out };
    void *const buffer =
        mmap(NULL, HEADER_MAX_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer != MAP_FAILED) {
        search.buffer = buffer;
        vg_maps_each(0, look_at, &search);
        munmap(buffer, HEADER_MAX_BYTES);
        out->name = vg_region_string(region, search.name);
    }
    errno = saved_errno;
}

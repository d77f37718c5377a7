#include "base/option_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/log.h"
#include "base/option.h"
#include "base/option_names.h"
#include "base/read_fully.h"
#include "base/text.h"

enum { FILE_BYTES = 64 * 1024, LINES_MAX = 3 };

/* One line of the file, in parts. */
struct setting {
    const char *name, *value;
    size_t name_length, value_length;
};

/* ---- reading ---- */

/* /dev/null stands for no settings. */
static bool is_null_device(const struct stat *status)
{
    return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

/* A regular file, or /dev/null. */
static int open_plain(const char *path)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0 &&
        (fstat(fd, &status) != 0 || (!S_ISREG(status.st_mode) && !is_null_device(&status)))) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}

static int load_file(struct vg_option_file *out, const char *path)
{
    const int fd = open_plain(path);
    if (fd < 0)
        return errno == ENOTDIR ? -ENOENT : -errno;
    /* One page more than is read: the text always ends in a NUL. */
    const size_t size_bytes = FILE_BYTES + 4096;
    void *const memory =
        mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const ssize_t length = memory == MAP_FAILED ? -ENOMEM : vg_read_fully(fd, memory, FILE_BYTES);
    close(fd);
    if (memory != MAP_FAILED && length > 0)
        *out = (struct vg_option_file){ .text = memory, .mapped_bytes = size_bytes };
    else if (memory != MAP_FAILED)
        munmap(memory, size_bytes);
    return length < 0 ? (int)length : 0;
}

bool vg_option_file_open(struct vg_option_file *out, const char *path)
{
    const int saved_errno = errno;
    char shown[256];
    *out = (struct vg_option_file){ 0 };
    const int error = load_file(out, path);
    if (error && error != -ENOENT) {
        vg_text_sanitize(shown, sizeof shown, path, strlen(path));
        vg_log_line("cannot read the settings in %s: %s", shown, strerror(-error));
    }
    errno = saved_errno;
    return error != -ENOENT;
}

void vg_option_file_close(struct vg_option_file *file)
{
    if (file->text)
        munmap(file->text, file->mapped_bytes);
    file->text = NULL;
}

/* ---- lines ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void trim_blanks(const char **start, size_t *length)
{
    while (*length > 0 && is_blank(**start)) {
        (*start)++;
        (*length)--;
    }
    while (*length > 0 && is_blank((*start)[*length - 1]))
        (*length)--;
}

/* Takes the next line that says something. Returns false at the end. `out->value` is NULL for a
 * line without '='. */
static bool next_setting(const char **at, struct setting *out)
{
    static const char word[] = "export ";
    while (**at) {
        const char *line = *at;
        size_t length = strcspn(line, "\n");
        *at += length + (line[length] == '\n');
        trim_blanks(&line, &length);
        if (length == 0 || *line == '#')
            continue;
        if (length >= sizeof word && memcmp(line, word, sizeof word - 1) == 0) {
            line += sizeof word - 1;
            length -= sizeof word - 1;
            trim_blanks(&line, &length);
        }
        const char *const equals = memchr(line, '=', length);
        *out = (struct setting){ .name = line,
                                 .name_length = equals ? (size_t)(equals - line) : length };
        if (!equals)
            return true;
        out->value = equals + 1;
        out->value_length = length - out->name_length - 1;
        trim_blanks(&out->value, &out->value_length);
        const char quote = out->value_length >= 2 ? out->value[0] : '\0';
        if ((quote == '"' || quote == '\'') && out->value[out->value_length - 1] == quote) {
            out->value++;
            out->value_length -= 2;
        }
        return true;
    }
    return false;
}

const char *vg_option_file_find(const struct vg_option_file *file, const char *name, char *value,
                                size_t cap)
{
    struct setting setting;
    const char *found = NULL;
    for (const char *at = file->text; at && next_setting(&at, &setting);) {
        if (!setting.value || setting.name_length != strlen(name) ||
            memcmp(setting.name, name, setting.name_length) != 0)
            continue;
        found = NULL;
        if (setting.value_length < cap) {
            memcpy(value, setting.value, setting.value_length);
            value[setting.value_length] = '\0';
            found = value;
        }
    }
    return found;
}

static bool is_option(const struct setting *setting)
{
    size_t count;
    const struct vg_option_row *const rows = vg_option_rows(&count);
    for (size_t i = 0; i < count; i++)
        if (strlen(rows[i].environment) == setting->name_length &&
            memcmp(rows[i].environment, setting->name, setting->name_length) == 0)
            return setting->value != NULL;
    return false;
}

void vg_option_file_visit_wrong(const struct vg_option_file *file,
                                vg_option_file_complaint *complain, void *argument)
{
    struct setting setting;
    int lines = 0;
    for (const char *at = file->text; at && lines < LINES_MAX && next_setting(&at, &setting);) {
        char name[64], whole[80], what[160];
        const char *nearest = NULL;
        if (is_option(&setting))
            continue;
        vg_text_sanitize(whole, sizeof whole, setting.name, setting.name_length);
        if (vg_option_is_misspelt(whole, name, sizeof name, &nearest))
            snprintf(what, sizeof what, "\"%s\" is not an option", whole);
        else
            snprintf(what, sizeof what, "\"%s\" is not NAME=VALUE with the name of an option",
                     whole);
        complain(what, nearest, argument);
        lines++;
    }
}

static void log_wrong(const char *what, const char *nearest, void *argument)
{
    const char *const path = argument;
    if (nearest)
        vg_log_line("%s: %s; the nearest is %s", path, what, nearest);
    else
        vg_log_line("%s: %s", path, what);
}

void vg_option_file_report_wrong(const struct vg_option_file *file, const char *path)
{
    vg_option_file_visit_wrong(file, log_wrong, (void *)(uintptr_t)path);
}

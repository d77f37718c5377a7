/* The file of settings for all users of a machine, /etc/vramguard.conf: lines NAME=VALUE with the
 * names of the option table, like those of the environment, which count more. A '#' begins a line
 * that is not read; "export " before a name and quotes around a value are allowed, so that a shell
 * can read the file too. */
#ifndef VRAMGUARD_BASE_OPTION_FILE_H
#define VRAMGUARD_BASE_OPTION_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct vg_option_file {
    char *text; /* NULL: no file, or nothing in it */
    size_t mapped_bytes;
};

/* Reads the file at `path`, at most 64 KiB of it, into memory of its own, without malloc. A file
 * that is not there leaves `out` empty; one that cannot be read, too, after one line on stderr.
 * Returns whether it is there. errno is preserved. Freed by vg_option_file_close. */
bool vg_option_file_open(struct vg_option_file *out, const char *path);
void vg_option_file_close(struct vg_option_file *file);

/* Copies the value of the last line for `name` to `value` (`cap` >= 1 bytes). Returns `value`, or
 * NULL when there is no such line or its value is longer. */
const char *vg_option_file_find(const struct vg_option_file *file, const char *name, char *value,
                                size_t cap);

/* Told of a line that is neither empty, a comment nor the setting of an option: what is wrong with
 * it, and the nearest option, or NULL. */
typedef void vg_option_file_complaint(const char *what, const char *nearest, void *argument);

/* Calls `complain` for such lines, three at most. */
void vg_option_file_visit_wrong(const struct vg_option_file *file,
                                vg_option_file_complaint *complain, void *argument);

/* One line on stderr for each of them. `path` is named in it. */
void vg_option_file_report_wrong(const struct vg_option_file *file, const char *path);

#endif

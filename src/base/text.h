/* A bounded text buffer: appends never overflow, never allocate, and remember truncation. */
#ifndef VRAMGUARD_BASE_TEXT_H
#define VRAMGUARD_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct vg_text {
    char *data; /* always NUL terminated */
    size_t cap; /* bytes of `data`, the NUL included; at least 1 */
    size_t length;
    bool truncated;
};

/* A buffer over `cap` >= 1 bytes of the caller's `data`, which must outlive it. */
struct vg_text vg_text_over(char *data, size_t cap);

/* Append; what does not fit is cut and `truncated` is set. */
void vg_text_add(struct vg_text *text, const char *string);
void vg_text_add_bytes(struct vg_text *text, const char *bytes, size_t length);
void vg_text_addf(struct vg_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void vg_text_addv(struct vg_text *text, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* Appends `count` times `c`; nothing for a count <= 0. */
void vg_text_pad(struct vg_text *text, char c, long count);

bool vg_text_starts_with(const char *text, const char *start);
bool vg_text_ends_with(const char *text, const char *end);

/* What of `path` stands behind its last slash: all of it when there is none. */
const char *vg_text_base_name(const char *path);

/* Copies `source` (any bytes, `length` of them) to `out` (`cap` >= 1 bytes) so that it is safe to
 * print on a terminal: control characters become '?', the result is NUL terminated and, when cut,
 * ends in "...". Returns the length of the result. */
size_t vg_text_sanitize(char *out, size_t cap, const char *source, size_t length);

/* Makes a text from a file safe to print, in place: NUL terminates `text` (`cap` >= 1 bytes) and
 * replaces control characters and broken UTF-8 by '?'. Returns the number of repairs. */
int vg_text_repair(char *text, size_t cap);

/* Is a NUL-terminated text safe as it is? */
bool vg_text_is_safe(const char *text);

#endif

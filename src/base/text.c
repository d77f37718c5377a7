#include "base/text.h"

#include <stdio.h>
#include <string.h>

bool vg_text_starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

bool vg_text_ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

const char *vg_text_base_name(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

struct vg_text vg_text_over(char *data, size_t cap)
{
    data[0] = '\0';
    return (struct vg_text){ .data = data, .cap = cap };
}

void vg_text_add_bytes(struct vg_text *text, const char *bytes, size_t length)
{
    const size_t room = text->cap - 1 - text->length;
    if (length > room) {
        length = room;
        text->truncated = true;
    }
    memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void vg_text_add(struct vg_text *text, const char *string)
{
    vg_text_add_bytes(text, string, strlen(string));
}

void vg_text_addv(struct vg_text *text, const char *format, va_list arguments)
{
    const size_t room = text->cap - text->length;
    const int wanted = vsnprintf(text->data + text->length, room, format, arguments);
    if (wanted < 0)
        return;
    if ((size_t)wanted >= room) {
        text->length = text->cap - 1;
        text->truncated = true;
    } else {
        text->length += (size_t)wanted;
    }
}

void vg_text_addf(struct vg_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vg_text_addv(text, format, arguments);
    va_end(arguments);
}

void vg_text_pad(struct vg_text *text, char c, long count)
{
    for (; count > 0; count--)
        vg_text_add_bytes(text, &c, 1);
}

size_t vg_text_sanitize(char *out, size_t cap, const char *source, size_t length)
{
    const size_t kept = length < cap ? length : cap - 1;
    for (size_t i = 0; i < kept; i++) {
        const unsigned char c = (unsigned char)source[i];
        /* In UTF-8 the control characters U+0080-U+009F are written C2 80-9F; other letters have
         * bytes like these, too, so what does not follow a C2 stays. */
        const bool control =
            c < 0x20 || c == 0x7f || (i > 0 && source[i - 1] == '\xc2' && c >= 0x80 && c < 0xa0);
        out[i] = control ? '?' : source[i];
    }
    out[kept] = '\0';
    if (kept < length && kept >= 3)
        memcpy(out + kept - 3, "...", 3);
    return kept;
}

/* Bytes of the UTF-8 letter at `c` (RFC 3629), 0 when there is none or it is a control character,
 * which U+0080 to U+009F are, too. */
static size_t letter_bytes(const unsigned char *c)
{
    size_t length = 1;
    if (*c < 0x80)
        return *c >= 0x20 && *c != 0x7f;
    if (*c < 0xc2 || *c > 0xf4 || (*c == 0xc2 && c[1] < 0xa0))
        return 0;
    length += 1 + (*c >= 0xe0) + (*c >= 0xf0);
    for (size_t i = 1; i < length; i++)
        if ((c[i] & 0xc0) != 0x80) /* the NUL at the end included */
            return 0;
    return length;
}

int vg_text_repair(char *text, size_t cap)
{
    int repairs = 0;
    if (!memchr(text, '\0', cap)) {
        text[cap - 1] = '\0';
        repairs++;
    }
    for (unsigned char *c = (unsigned char *)text; *c;) {
        const size_t length = letter_bytes(c);
        if (length == 0) {
            *c = '?';
            repairs++;
        }
        c += length ? length : 1;
    }
    return repairs;
}

bool vg_text_is_safe(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        const size_t length = letter_bytes(c);
        if (length == 0)
            return false;
        c += length;
    }
    return true;
}

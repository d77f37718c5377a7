#include "view/wrap.h"

#include <stdbool.h>
#include <string.h>

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

size_t vg_wrap_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += !is_continuation(*text);
    return width;
}

/* May a line end before `p`? `p` is at a space then. */
static bool is_break(const char *p, enum vg_wrap_at at)
{
    if (*p != ' ')
        return false;
    switch (at) {
    case VG_WRAP_LABEL: return p[1] == '>' && p[2] == ' ';
    case VG_WRAP_COLUMNS: return p[1] == ' ' && p[2] == ' ';
    case VG_WRAP_WORDS: break;
    }
    return true;
}

/* The end of the line that begins at `text` and has `width` columns: the last place to break at, or
 * else the last space, or else the last letter that fits. */
static const char *line_end(const char *text, size_t width, enum vg_wrap_at at)
{
    const char *best = NULL, *spare = NULL, *p = text;
    for (size_t column = 0;; p++) {
        if (*p == '\0')
            return p;
        if (p > text && is_break(p, at))
            best = p;
        if (p > text && is_break(p, VG_WRAP_WORDS))
            spare = p;
        if (!is_continuation(*p) && column++ == width)
            break;
    }
    return best ? best : spare ? spare : p;
}

void vg_wrap_add(struct vg_text *out, const char *text, size_t indent, size_t columns,
                 enum vg_wrap_at at)
{
    const size_t width = columns > indent + 8 ? columns - indent : 8;
    for (bool first = true; first || *text; first = false) {
        if (!first)
            vg_text_pad(out, ' ', (long)indent);
        const char *const end = line_end(text, width, at);
        vg_text_add_bytes(out, text, (size_t)(end - text));
        vg_text_add(out, "\n");
        text = end + strspn(end, " ");
    }
}

void vg_wrap_add_keyed(struct vg_text *out, const char *key, const char *text, size_t indent,
                       size_t columns, enum vg_wrap_at at)
{
    vg_text_addf(out, "  %-*s", (int)indent - 2, key);
    vg_wrap_add(out, text, indent, columns, at);
}

void vg_wrap_cut(char *out, size_t cap, const char *text, size_t width)
{
    static const char mark[] = "...";
    struct vg_text copy = vg_text_over(out, cap);
    const bool fits = vg_wrap_width(text) <= width && strlen(text) < cap;
    const size_t kept = fits ? width : (width > 3 ? width - 3 : 0);
    const size_t room = fits ? cap - 1 : (cap > sizeof mark ? cap - sizeof mark : 0);
    size_t at = 0;
    for (size_t column = 0; text[at] && column < kept; column++) {
        size_t letter = 1;
        while (is_continuation(text[at + letter]))
            letter++;
        if (at + letter > room)
            break;
        at += letter;
    }
    vg_text_add_bytes(&copy, text, at);
    if (!fits)
        vg_text_add(&copy, mark);
}

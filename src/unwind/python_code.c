#include "unwind/python_code.h"

#include <stdbool.h>

int32_t vg_python_code_line(const struct vg_python_layout *layout, uintptr_t code,
                            int64_t instruction_bytes)
{
    const uintptr_t lines = vg_python_word(code + (uintptr_t)layout->lines);
    return vg_python_line(layout->lines_format,
                          (const unsigned char *)lines + layout->head + VG_BYTES_DATA,
                          vg_python_object_word(layout, lines, VG_BYTES_SIZE),
                          vg_python_code_first_line(layout, code), instruction_bytes);
}

/* Encodes one code point (RFC 3629) into `out`, four bytes at the most. Returns how many. */
static size_t encode_code_point(uint32_t point, char *out)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    const size_t more = 1 + (point >= 0x800) + (point >= 0x10000);
    static const unsigned char first[] = { 0, 0xc0, 0xe0, 0xf0 };
    for (size_t i = more; i > 0; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(first[more] | point);
    return more + 1;
}

static uint32_t point_at(uintptr_t data, unsigned point_bytes, size_t index)
{
    uint32_t point = 0;
    memcpy(&point, (const char *)data + index * point_bytes, point_bytes); /* little-endian */
    return point;
}

size_t vg_python_text(const struct vg_python_layout *layout, uintptr_t string, char *out,
                      size_t cap)
{
    const uint32_t bits = vg_python_str_bits(layout, string);
    const unsigned point_bytes = bits & VG_STR_KIND;
    const bool compact = bits & VG_STR_COMPACT, ascii = bits & VG_STR_ASCII;
    const size_t count = vg_python_object_word(layout, string, VG_STR_LENGTH);
    const uintptr_t data =
        compact ? string + (uintptr_t)(ascii ? layout->ascii_data : layout->compact_data)
                : vg_python_word(string + (uintptr_t)layout->compact_data); /* of a subclass */
    size_t length = 0;
    out[0] = '\0';
    if (!data || (point_bytes != 1 && point_bytes != 2 && point_bytes != 4))
        return 0;
    char letter[4];
    size_t first = count, total = 0;
    while (first > 0) {
        const size_t bytes = encode_code_point(point_at(data, point_bytes, first - 1), letter);
        if (total + bytes > cap - 1)
            break;
        total += bytes;
        first--;
    }
    for (size_t i = first; i < count; i++) {
        const size_t bytes = encode_code_point(point_at(data, point_bytes, i), letter);
        memcpy(out + length, letter, bytes);
        length += bytes;
    }
    out[length] = '\0';
    return length;
}

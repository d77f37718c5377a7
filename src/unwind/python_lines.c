#include "unwind/python_lines.h"

/* Pairs of an address step and a signed line step; a line holds until the next address. */
static int32_t line_of_lnotab(const unsigned char *table, size_t table_bytes, int32_t line,
                              int64_t instruction)
{
    int64_t address = 0;
    for (size_t i = 0; i + 1 < table_bytes; i += 2) {
        address += table[i];
        if (address > instruction)
            break;
        line += (signed char)table[i + 1];
    }
    return line;
}

/* Pairs of a length and a signed line step; the step -128 says that the range has no line. */
static int32_t line_of_ranges(const unsigned char *table, size_t table_bytes, int32_t line,
                              int64_t instruction)
{
    int64_t end = 0;
    for (size_t i = 0; i + 1 < table_bytes; i += 2) {
        const int step = (signed char)table[i + 1];
        if (step != -128)
            line += step;
        end += table[i];
        if (instruction < end)
            return step == -128 ? 0 : line;
    }
    return 0;
}

/* A number in 6-bit pieces, the lowest first; bit 6 says that more follow. Bit 0 of the whole is
 * the sign. */
static int32_t signed_number(const unsigned char *at, const unsigned char *end)
{
    uint32_t value = 0;
    for (unsigned shift = 0; at < end && shift < 30; shift += 6, at++) {
        value |= (uint32_t)(*at & 63) << shift;
        if (!(*at & 64))
            break;
    }
    return value & 1 ? -(int32_t)(value >> 1) : (int32_t)(value >> 1);
}

/* Entries begin with a byte that has bit 7 set: 4 bits of kind, 3 bits of length in code units. */
static int32_t line_of_locations(const unsigned char *table, size_t table_bytes, int32_t line,
                                 int64_t instruction)
{
    enum { ONE_LINE_0 = 10, ONE_LINE_2 = 12, NO_COLUMNS = 13, LONG = 14, NONE = 15 };
    const unsigned char *at = table, *const end = table + table_bytes;
    int64_t address = 0;
    while (at < end) {
        const unsigned kind = (*at >> 3) & 15;
        address += 2 * ((*at & 7) + 1);
        at++;
        if (kind >= ONE_LINE_0 && kind <= ONE_LINE_2)
            line += (int32_t)(kind - ONE_LINE_0);
        else if (kind == NO_COLUMNS || kind == LONG)
            line += signed_number(at, end);
        if (instruction < address)
            return kind == NONE ? 0 : line;
        while (at < end && !(*at & 128))
            at++;
    }
    return 0;
}

int32_t vg_python_line(enum vg_python_lines_format format, const unsigned char *table,
                       size_t table_bytes, int32_t first_line, int64_t instruction_bytes)
{
    if (instruction_bytes < 0)
        return first_line;
    switch (format) {
    case VG_PYTHON_LNOTAB: return line_of_lnotab(table, table_bytes, first_line, instruction_bytes);
    case VG_PYTHON_RANGES: return line_of_ranges(table, table_bytes, first_line, instruction_bytes);
    case VG_PYTHON_LOCATIONS:
        return line_of_locations(table, table_bytes, first_line, instruction_bytes);
    }
    return 0;
}

#include "base/size.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

__extension__ typedef unsigned __int128 vg_u128; /* products of sizes, before the range check */

static const char *const unit_names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };

const char *vg_size_unit(unsigned power)
{
    return unit_names[power];
}

/* bytes / 2^(10*power) in hundredths, rounded half up, without overflowing for any uint64_t. */
static uint64_t hundredths_of_unit(uint64_t bytes, unsigned power)
{
    const unsigned shift = 10 * power;
    const uint64_t whole = shift < 64 ? bytes >> shift : 0;
    const uint64_t rest = shift ? bytes & ((UINT64_C(1) << shift) - 1) : 0;
    /* rest < 2^60, so keep 24 bits of it before multiplying. */
    const unsigned drop = shift > 24 ? shift - 24 : 0;
    const uint64_t scale = UINT64_C(1) << (shift - drop);
    return whole * 100 + ((rest >> drop) * 100 + scale / 2) / scale;
}

static const char *format_in(char *out, uint64_t bytes, unsigned power)
{
    const uint64_t h = hundredths_of_unit(bytes, power);
    const char *const unit = unit_names[power];
    if (power == 0)
        snprintf(out, VG_SIZE_TEXT_CAP, "%llu B", (unsigned long long)bytes);
    else if (h < 1000)
        snprintf(out, VG_SIZE_TEXT_CAP, "%llu.%02llu %s", (unsigned long long)(h / 100),
                 (unsigned long long)(h % 100), unit);
    else if (h < 10000)
        snprintf(out, VG_SIZE_TEXT_CAP, "%llu.%llu %s", (unsigned long long)((h + 5) / 10 / 10),
                 (unsigned long long)((h + 5) / 10 % 10), unit);
    else
        snprintf(out, VG_SIZE_TEXT_CAP, "%llu %s", (unsigned long long)((h + 50) / 100), unit);
    return out;
}

const char *vg_size_format(char *out, uint64_t bytes)
{
    if (bytes == VG_BYTES_UNKNOWN)
        return strcpy(out, "unknown");
    unsigned power = 0;
    while (power < 6 && bytes >> (10 * (power + 1)))
        power++;
    /* 1023.996 MiB would round to "1024 MiB". */
    if (power > 0 && power < 6 && hundredths_of_unit(bytes, power) >= 102350)
        power++;
    return format_in(out, bytes, power);
}

const char *vg_size_format_gib(char *out, uint64_t bytes)
{
    if (bytes == VG_BYTES_UNKNOWN)
        return strcpy(out, "unknown");
    const uint64_t h = hundredths_of_unit(bytes, 3);
    if (bytes != 0 && h == 0)
        return vg_size_format(out, bytes);
    snprintf(out, VG_SIZE_TEXT_CAP, "%llu.%02llu GiB", (unsigned long long)(h / 100),
             (unsigned long long)(h % 100));
    return out;
}

/* Power of 1024 named at *p ("B", "K", "KB", "KiB", ...); advances *p; -1 if it names none. */
static int parse_unit(const char **p)
{
    static const char letters[] = "KMGTPE";
    while (**p == ' ')
        (*p)++;
    if (**p == '\0')
        return -1;
    int power = 0;
    const char *at = strchr(letters, toupper((unsigned char)**p));
    if (at) {
        power = (int)(at - letters) + 1;
        (*p)++;
        if ((**p == 'i' || **p == 'I') && toupper((unsigned char)(*p)[1]) == 'B')
            (*p)++;
    }
    if (toupper((unsigned char)**p) == 'B')
        (*p)++;
    return **p == '\0' ? power : -1;
}

/* Reads the decimal number at *p, which is value / scale; advances *p behind it. */
static int parse_number(const char **p, vg_u128 *out_value, vg_u128 *out_scale)
{
    if (!isdigit((unsigned char)**p))
        return -EINVAL;
    vg_u128 value = 0, scale = 1;
    for (; isdigit((unsigned char)**p); (*p)++) {
        value = value * 10 + (unsigned)(**p - '0');
        if (value > UINT64_MAX)
            return -ERANGE;
    }
    if (**p == '.') {
        if (!isdigit((unsigned char)*++*p))
            return -EINVAL;
        for (; isdigit((unsigned char)**p); (*p)++) {
            if (scale < 1000000000) { /* further digits are below one byte, one millisecond */
                value = value * 10 + (unsigned)(**p - '0');
                scale *= 10;
            }
        }
    }
    *out_value = value;
    *out_scale = scale;
    return 0;
}

int vg_size_parse(const char *text, uint64_t *out_bytes)
{
    const char *p = text;
    vg_u128 value, scale;
    const int error = parse_number(&p, &value, &scale);
    if (error)
        return error;
    if (value == 0 && *p == '\0') { /* nothing is nothing in any unit */
        *out_bytes = 0;
        return 0;
    }
    const int power = parse_unit(&p);
    if (power < 0)
        return -EINVAL;
    if (value >> (127 - 10 * power))
        return -ERANGE;
    value = (value << (10 * power)) / scale;
    if (value >= UINT64_MAX)
        return -ERANGE;
    *out_bytes = (uint64_t)value;
    return 0;
}

const char *vg_size_complaint(const char *text)
{
    const size_t digits = strspn(text, "0123456789");
    const size_t fraction = text[digits] == '.' ? 1 + strspn(text + digits + 1, "0123456789") : 0;
    const size_t length = digits + fraction;
    return digits > 0 && text[length + strspn(text + length, " ")] == '\0'
               ? "a size needs a unit, for example 8GiB"
               : "not a size, for example 8GiB";
}

int vg_percent_parse(const char *text, unsigned *out)
{
    unsigned percent = 0;
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || strcmp(text + digits, "%") != 0)
        return -EINVAL;
    for (size_t i = 0; i < digits && percent <= 100; i++)
        percent = percent * 10 + (unsigned)(text[i] - '0');
    if (percent < 1 || percent > 100)
        return -ERANGE;
    *out = percent;
    return 0;
}

int vg_duration_parse(const char *text, uint64_t *out_ms)
{
    static const struct {
        const char *unit;
        unsigned ms;
    } units[] = { { "", 1000 },     { "ms", 1 },      { "s", 1000 },    { "m", 60000 },
                  { "min", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
    const char *p = text;
    vg_u128 value, scale;
    const int error = parse_number(&p, &value, &scale);
    if (error)
        return error;
    while (*p == ' ')
        p++;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(p, units[i].unit) != 0)
            continue;
        value = value * units[i].ms / scale;
        if (value >= UINT64_MAX)
            return -ERANGE;
        *out_ms = (uint64_t)value;
        return 0;
    }
    return -EINVAL;
}

const char *vg_duration_format(char *out, uint64_t ms)
{
    const unsigned long long n = ms;
    if (n < 1000)
        snprintf(out, VG_DURATION_TEXT_CAP, "%llu ms", n);
    else if (n < 60000 && n % 1000 >= 100)
        snprintf(out, VG_DURATION_TEXT_CAP, "%llu.%llu s", n / 1000, n % 1000 / 100);
    else if (n < 120000)
        snprintf(out, VG_DURATION_TEXT_CAP, "%llu s", n / 1000);
    else if (n < 7200000 && n % 3600000 != 0)
        snprintf(out, VG_DURATION_TEXT_CAP, "%llu min", n / 60000);
    else
        snprintf(out, VG_DURATION_TEXT_CAP, "%llu h", n / 3600000);
    return out;
}

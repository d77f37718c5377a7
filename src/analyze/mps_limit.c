#include "analyze/mps_limit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/amount.h"

enum { PART_CAP = 96 };

/* Does the left side of a part name the device? A number, its UUID, or the beginning of that. */
static bool names_device(const char *name, int ordinal, const char *uuid)
{
    char *end;
    const long number = strtol(name, &end, 10);
    if (end != name && *end == '\0')
        return number == ordinal;
    const size_t length = strlen(name);
    return length > strlen("GPU-") && strncasecmp(uuid, name, length) == 0;
}

static const char *without_blanks(char *text)
{
    while (*text == ' ')
        text++;
    for (size_t length = strlen(text); length > 0 && text[length - 1] == ' '; length--)
        text[length - 1] = '\0';
    return text;
}

/* An amount without a unit could be one of bytes or of MiB. */
static int read_amount(const char *text, uint64_t *out_bytes)
{
    const size_t length = strlen(text);
    if (length == 0 || (text[length - 1] >= '0' && text[length - 1] <= '9'))
        return -EINVAL;
    return vg_size_parse(text, out_bytes) == 0 ? 0 : -EINVAL;
}

int vg_mps_limit_parse(const char *text, int ordinal, const char *uuid, uint64_t *out_bytes)
{
    char part[PART_CAP];
    for (const char *at = text; at && *at; at += strcspn(at, ","), at += *at == ',') {
        const size_t length = strcspn(at, ",");
        if (length >= sizeof part)
            continue;
        snprintf(part, sizeof part, "%.*s", (int)length, at);
        char *const equals = strchr(part, '=');
        if (!equals)
            continue;
        *equals = '\0';
        if (names_device(without_blanks(part), ordinal, uuid))
            return read_amount(without_blanks(equals + 1), out_bytes);
    }
    return -ENOENT;
}

bool vg_mps_limit_explains(uint64_t limit_bytes, uint64_t own_bytes, uint64_t asked_bytes)
{
    return vg_amount_known(limit_bytes) && vg_amount_known(own_bytes) &&
           vg_amount_known(asked_bytes) &&
           (own_bytes >= limit_bytes || limit_bytes - own_bytes < asked_bytes);
}

#include "base/setting.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/size.h"

enum setting_rule { RULE_SAME, RULE_ANY, RULE_AT_MOST, RULE_KEYS, RULE_POLICY };

enum { ITEM_CAP = 128, DEFAULT_WAIT_MS = 30000, SEPARATOR = '|' };

static const struct vg_setting_row rows[] = {
#define VG_SETTING(name, rule, moot_by, moot_values) { #name, RULE_##rule, moot_by, moot_values },
#include "base/setting_table.h"
#undef VG_SETTING
};

enum { ROWS = sizeof rows / sizeof rows[0] };

const struct vg_setting_row *vg_setting_rows(size_t *out_count)
{
    *out_count = ROWS;
    return rows;
}

void vg_setting_add(struct vg_text *out, const char *name, const char *value)
{
    char shown[VG_SETTING_VALUE_CAP];
    const size_t length = strlen(value);
    if (length == 0 || length >= sizeof shown)
        return;
    vg_text_sanitize(shown, sizeof shown, value, length);
    for (char *at = shown; (at = strchr(at, SEPARATOR)) != NULL;)
        *at = '?';
    vg_text_addf(out, "%s=%s%c", name, shown, SEPARATOR);
}

void vg_setting_read(struct vg_text *out)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char *const value =
            vg_text_starts_with(rows[i].name, "VRAMGUARD_") ? NULL : secure_getenv(rows[i].name);
        if (value)
            vg_setting_add(out, rows[i].name, value);
    }
}

bool vg_setting_find(const char *settings, const char *name, char *out)
{
    const size_t name_length = strlen(name);
    out[0] = '\0';
    for (const char *line = settings; line && *line;) {
        const size_t length = (size_t)(strchrnul(line, SEPARATOR) - line);
        if (length > name_length && line[name_length] == '=' &&
            strncmp(line, name, name_length) == 0) {
            const size_t bytes = length - name_length - 1;
            if (bytes >= VG_SETTING_VALUE_CAP)
                return false;
            memcpy(out, line + name_length + 1, bytes);
            out[bytes] = '\0';
            return true;
        }
        line += length + (line[length] == SEPARATOR);
    }
    return false;
}

/* Copies the next item of a list to `out` (ITEM_CAP bytes), without blanks around it. Returns what
 * is left of the list; NULL at its end. */
static const char *next_item(const char *list, char separator, char *out)
{
    if (!list || !*list)
        return NULL;
    const char *const end = strchrnul(list, separator);
    const char *first = list, *last = end;
    while (first < last && *first == ' ')
        first++;
    while (last > first && last[-1] == ' ')
        last--;
    const size_t bytes = (size_t)(last - first) < ITEM_CAP ? (size_t)(last - first) : 0;
    memcpy(out, first, bytes);
    out[bytes] = '\0';
    return *end ? end + 1 : end;
}

static bool is_among(const char *list, char separator, const char *wanted)
{
    char item[ITEM_CAP];
    while ((list = next_item(list, separator, item)) != NULL)
        if (strcasecmp(item, wanted) == 0)
            return true;
    return false;
}

static bool has_keys(const char *value, const char *wanted)
{
    char item[ITEM_CAP];
    while ((wanted = next_item(wanted, ',', item)) != NULL)
        if (!is_among(value, ',', item))
            return false;
    return true;
}

/* A number such as ".5", "0.50" or "1" in millionths, digits beyond these cut; UINT64_MAX for
 * another text. */
static uint64_t parse_millionths(const char *text)
{
    uint64_t number = 0;
    int decimals = -1;
    if (!*text)
        return UINT64_MAX;
    for (; *text; text++) {
        if (*text == '.' && decimals < 0) {
            decimals = 0;
        } else if (*text < '0' || *text > '9' || number > UINT32_MAX) {
            return UINT64_MAX;
        } else if (decimals < 6) {
            number = number * 10 + (uint64_t)(*text - '0');
            decimals += decimals >= 0;
        }
    }
    for (decimals = decimals < 0 ? 0 : decimals; decimals < 6; decimals++)
        number *= 10;
    return number;
}

/* How long a policy waits; -1 when that is none of its actions. */
static int64_t wait_ms(const char *policy)
{
    char item[ITEM_CAP];
    uint64_t ms;
    while ((policy = next_item(policy, ',', item)) != NULL) {
        if (strcmp(item, "wait") == 0)
            return DEFAULT_WAIT_MS;
        if (strncmp(item, "wait=", 5) == 0 && vg_duration_parse(item + 5, &ms) == 0)
            return (int64_t)ms;
    }
    return -1;
}

static bool has_policy(const char *value, const char *wanted)
{
    char item[ITEM_CAP];
    if (wait_ms(value) < wait_ms(wanted))
        return false;
    while ((wanted = next_item(wanted, ',', item)) != NULL)
        if (strncmp(item, "wait", 4) != 0 && !is_among(value, ',', item))
            return false;
    return true;
}

static bool is_so_by(const struct vg_setting_row *row, const char *settings, const char *wanted)
{
    char value[VG_SETTING_VALUE_CAP];
    if (!vg_setting_find(settings, row->name, value))
        return false;
    switch ((enum setting_rule)row->rule) {
    case RULE_SAME: return strcasecmp(value, wanted) == 0;
    case RULE_ANY: return true;
    case RULE_AT_MOST: return parse_millionths(value) <= parse_millionths(wanted);
    case RULE_KEYS: return has_keys(value, wanted);
    case RULE_POLICY: return has_policy(value, wanted);
    }
    return false;
}

static bool is_moot(const struct vg_setting_row *row, const char *settings)
{
    char value[VG_SETTING_VALUE_CAP];
    return row->moot_by[0] && vg_setting_find(settings, row->moot_by, value) &&
           is_among(row->moot_values, '|', value);
}

static bool is_torchs(const char *name)
{
    return vg_text_starts_with(name, "PYTORCH_") && vg_text_ends_with(name, "ALLOC_CONF");
}

bool vg_setting_is_so(const char *settings, const char *name, const char *wanted)
{
    for (size_t i = 0; i < ROWS; i++)
        if ((strcmp(rows[i].name, name) == 0 || (is_torchs(name) && is_torchs(rows[i].name))) &&
            (is_so_by(&rows[i], settings, wanted) || is_moot(&rows[i], settings)))
            return true;
    return false;
}

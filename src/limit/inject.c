#include "limit/inject.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/text.h"

enum { DEFAULT_SEED = 1 };

/* Reads a decimal number without sign or spaces. Returns what stands behind it, NULL when there is
 * none or it does not fit. */
static const char *read_number(const char *text, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return NULL;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno ? NULL : end;
}

/* "N", "N+", "N-M". */
static int parse_numbers(const char *text, struct vg_inject_rule *out)
{
    const char *p = read_number(text, &out->first);
    if (!p || out->first == 0)
        return -EINVAL;
    out->kind = VG_INJECT_NUMBERS;
    out->last = out->first;
    if (*p == '+') {
        out->last = UINT64_MAX;
        p++;
    } else if (*p == '-') {
        p = read_number(p + 1, &out->last);
    }
    return p && *p == '\0' && out->last >= out->first ? 0 : -EINVAL;
}

static int parse_above(const char *text, struct vg_inject_rule *out)
{
    out->kind = VG_INJECT_ABOVE;
    return vg_size_parse(text + 1, &out->above_bytes) == 0 ? 0 : -EINVAL;
}

/* "P%" or "P%:SEED"; P may have decimals. No strtod: it heeds the locale. */
static int parse_share(const char *text, struct vg_inject_rule *out)
{
    uint64_t whole, millionths = 0;
    const char *p = read_number(text, &whole);
    if (!p || whole > 100)
        return -EINVAL;
    if (*p == '.') {
        uint64_t unit = 100000;
        for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
            millionths += (uint64_t)(*p - '0') * unit;
    }
    const uint64_t share = whole * 1000000 + millionths;
    if (*p++ != '%' || share > 100 * 1000000)
        return -EINVAL;
    out->kind = VG_INJECT_SHARE;
    out->share = (share << 32) / (100 * 1000000);
    out->seed = DEFAULT_SEED;
    if (*p == ':')
        p = read_number(p + 1, &out->seed);
    return p && *p == '\0' ? 0 : -EINVAL;
}

static int parse_rule(const char *text, struct vg_inject_rule *out)
{
    *out = (struct vg_inject_rule){ .first = 0 };
    vg_text_sanitize(out->text, sizeof out->text, text, strlen(text));
    if (text[0] == '>')
        return parse_above(text, out);
    return strchr(text, '%') ? parse_share(text, out) : parse_numbers(text, out);
}

int vg_inject_parse(const char *text, struct vg_inject *out, char *why, size_t why_cap)
{
    struct vg_inject inject = { .count = 0 };
    char item[64];
    for (const char *p = text;; p++) {
        const size_t length = strcspn(p, ",");
        struct vg_inject_rule rule;
        snprintf(item, sizeof item, "%.*s", (int)length, p);
        if (inject.count == VG_INJECT_RULES_MAX) {
            snprintf(why, why_cap, "more than %d rules", VG_INJECT_RULES_MAX);
            return -EINVAL;
        }
        if (length >= sizeof item || parse_rule(item, &rule) != 0) {
            char shown[VG_INJECT_TEXT_CAP];
            vg_text_sanitize(shown, sizeof shown, p, length);
            if (item[0] == '>')
                snprintf(why, why_cap, "\"%s\": %s", shown, vg_size_complaint(item + 1));
            else
                snprintf(why, why_cap, "no rule: \"%s\" at %d", shown, (int)(p - text) + 1);
            return -EINVAL;
        }
        inject.rules[inject.count++] = rule;
        p += length;
        if (*p == '\0')
            break;
    }
    *out = inject;
    return 0;
}

/* Any two inputs that differ in a bit give unrelated results (SplitMix64, Steele et al. 2014). */
static uint64_t mix_bits(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static int matches_rule(const struct vg_inject_rule *rule, uint64_t number, uint64_t bytes)
{
    switch (rule->kind) {
    case VG_INJECT_NUMBERS: return number >= rule->first && number <= rule->last;
    case VG_INJECT_ABOVE: return bytes != VG_BYTES_UNKNOWN && bytes > rule->above_bytes;
    case VG_INJECT_SHARE: return (mix_bits(mix_bits(rule->seed) + number) >> 32) < rule->share;
    }
    return 0;
}

const struct vg_inject_rule *vg_inject_match(const struct vg_inject *inject, uint64_t number,
                                             uint64_t bytes)
{
    for (size_t i = 0; i < inject->count; i++)
        if (matches_rule(&inject->rules[i], number, bytes))
            return &inject->rules[i];
    return NULL;
}

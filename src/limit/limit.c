#include "limit/limit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "base/text.h"

enum { AMOUNT_CAP = 32 };

static int parse_percent(const char *text, unsigned *out, char *why, size_t why_cap)
{
    const int error = vg_percent_parse(text, out);
    if (error)
        snprintf(why, why_cap,
                 error == -ERANGE ? "\"%s\" is not from 1%% to 100%%" : "\"%s\" is not a share",
                 text);
    return error ? -EINVAL : 0;
}

/* "8GiB" or "50%", `length` bytes at `amount`. */
static int parse_rule(const char *amount, size_t length, struct vg_limit_rule *out, char *why,
                      size_t why_cap)
{
    char text[AMOUNT_CAP];
    struct vg_limit_rule rule = { .bytes = 0 };
    vg_text_sanitize(text, sizeof text, amount, length);
    if (length == 0 || length >= sizeof text) {
        snprintf(why, why_cap, length == 0 ? "an amount is missing" : "\"%s\" is too long", text);
        return -EINVAL;
    }
    if (strchr(text, '%')) {
        if (parse_percent(text, &rule.percent, why, why_cap) != 0)
            return -EINVAL;
    } else {
        const int error = vg_size_parse(text, &rule.bytes);
        if (error == -EINVAL)
            snprintf(why, why_cap, "\"%s\": %s", text, vg_size_complaint(text));
        else if (error || rule.bytes == 0)
            snprintf(why, why_cap, "\"%s\" is not an amount of memory", text);
        if (error || rule.bytes == 0)
            return -EINVAL;
    }
    *out = rule;
    return 0;
}

/* "GPU:AMOUNT", `length` bytes at `item`. */
static int parse_device(const char *item, size_t length, struct vg_limit_setting *setting,
                        char *why, size_t why_cap)
{
    const size_t digits = strspn(item, "0123456789");
    if (digits == 0 || digits >= length || item[digits] != ':') {
        snprintf(why, why_cap, "no \"GPU:\" before the amount");
        return -EINVAL;
    }
    unsigned ordinal = 0;
    for (size_t i = 0; i < digits && ordinal < VG_FILE_HOST; i++)
        ordinal = ordinal * 10 + (unsigned)(item[i] - '0');
    if (ordinal >= VG_FILE_HOST) {
        snprintf(why, why_cap, "GPUs are 0 to %d", VG_FILE_HOST - 1);
        return -EINVAL;
    }
    struct vg_limit_rule *const rule = &setting->rules[ordinal];
    if (rule->bytes != 0 || rule->percent != 0) {
        snprintf(why, why_cap, "GPU %u is named twice", ordinal);
        return -EINVAL;
    }
    return parse_rule(item + digits + 1, length - digits - 1, rule, why, why_cap);
}

static int parse_devices(const char *text, struct vg_limit_setting *setting, char *why,
                         size_t why_cap)
{
    char reason[80];
    for (const char *p = text;; p++) {
        const size_t length = strcspn(p, ",");
        if (parse_device(p, length, setting, reason, sizeof reason) != 0) {
            snprintf(why, why_cap, "%s at %d", reason, (int)(p - text) + 1);
            return -EINVAL;
        }
        p += length;
        if (*p == '\0')
            return 0;
    }
}

int vg_limit_parse(const char *text, struct vg_limit_setting *out, char *why, size_t why_cap)
{
    struct vg_limit_setting setting = { .set = text[0] != '\0' };
    if (strchr(text, ':') || strchr(text, ',')) {
        if (parse_devices(text, &setting, why, why_cap) != 0)
            return -EINVAL;
    } else if (setting.set) {
        if (parse_rule(text, strlen(text), &setting.rules[0], why, why_cap) != 0)
            return -EINVAL;
        for (int i = 1; i < VG_FILE_HOST; i++)
            setting.rules[i] = setting.rules[0];
    }
    *out = setting;
    return 0;
}

int vg_limit_check(const char *text, char *why, size_t why_cap)
{
    struct vg_limit_setting ignored;
    return vg_limit_parse(text, &ignored, why, why_cap);
}

uint64_t vg_limit_bytes(const struct vg_limit_rule *rule, uint64_t total_bytes)
{
    if (rule->percent == 0)
        return rule->bytes > 0 ? rule->bytes : VG_BYTES_UNKNOWN;
    if (total_bytes == VG_BYTES_UNKNOWN)
        return VG_BYTES_UNKNOWN;
    return total_bytes / 100 * rule->percent + total_bytes % 100 * rule->percent / 100;
}

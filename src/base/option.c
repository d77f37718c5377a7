#include "base/option.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/option_file.h"
#include "base/size.h"
#include "base/text.h"

#define TYPE_CHOICE   VG_OPTION_CHOICE
#define TYPE_COUNT    VG_OPTION_COUNT_TYPE
#define TYPE_PATH     VG_OPTION_PATH
#define TYPE_SIZE     VG_OPTION_SIZE
#define TYPE_DURATION VG_OPTION_DURATION
#define TYPE_CHECKED  VG_OPTION_CHECKED

static const struct vg_option_row rows[] = {
#define VG_OPTION(field_name, type_name, variable, default_value, min, max, allowed_text,          \
                  help_text)                                                                       \
    { .id = VG_OPTION_ID_##field_name,                                                             \
      .field = #field_name,                                                                        \
      .environment = #variable,                                                                    \
      .default_text = default_value,                                                               \
      .allowed = allowed_text,                                                                     \
      .help = help_text,                                                                           \
      .type = TYPE_##type_name,                                                                    \
      .minimum = min,                                                                              \
      .maximum = max,                                                                              \
      .offset = offsetof(struct vg_options, field_name) },
#include "base/option_table.h"
#undef VG_OPTION
};

static vg_option_check checks[VG_OPTION_IDS];

void vg_option_set_check(enum vg_option_id id, vg_option_check check)
{
    checks[id] = check;
}

const struct vg_option_row *vg_option_rows(size_t *out_count)
{
    *out_count = sizeof rows / sizeof rows[0];
    return rows;
}

/* Other words in which people say on and off, whatever the case. */
static const char *plain_choice(const char *text)
{
    static const char *const off[] = { "0", "false", "no", "off" };
    static const char *const on[] = { "1", "true", "yes", "on" };
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        if (strcasecmp(text, off[i]) == 0)
            return "off";
        if (strcasecmp(text, on[i]) == 0)
            return "on";
    }
    return text;
}

static int parse_choice(const struct vg_option_row *row, const char *given, uint64_t *out_index)
{
    const char *const text = plain_choice(given);
    uint64_t index = 0;
    for (const char *word = row->allowed;; index++) {
        const size_t length = strcspn(word, "|");
        if (strlen(text) == length && memcmp(word, text, length) == 0) {
            *out_index = index;
            return 0;
        }
        if (word[length] == '\0')
            return -EINVAL;
        word += length + 1;
    }
}

static int parse_count(const struct vg_option_row *row, const char *text, uint64_t *out_number)
{
    char *end;
    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (errno || *end != '\0' || number < row->minimum || number > row->maximum)
        return -EINVAL;
    *out_number = number;
    return 0;
}

static int parse_size(const struct vg_option_row *row, const char *text, uint64_t *out_bytes,
                      char *why, size_t why_cap)
{
    uint64_t bytes = 0;
    const int error = *text ? vg_size_parse(text, &bytes) : 0;
    if (error == -EINVAL)
        snprintf(why, why_cap, "%s", vg_size_complaint(text));
    if (error || (*text && (bytes < row->minimum || bytes > row->maximum)))
        return -EINVAL;
    *out_bytes = bytes;
    return 0;
}

static int parse_duration(const struct vg_option_row *row, const char *text, uint64_t *out_ms)
{
    uint64_t ms;
    if (vg_duration_parse(text, &ms) != 0 || ms < row->minimum || ms > row->maximum)
        return -EINVAL;
    *out_ms = ms;
    return 0;
}

int vg_option_parse(const struct vg_option_row *row, const char *text, struct vg_option_value *out,
                    char *why, size_t why_cap)
{
    uint64_t number = 0;
    int error = 0;
    snprintf(why, why_cap, "not allowed");
    if (strlen(text) >= VG_OPTION_TEXT_CAP) {
        snprintf(why, why_cap, "longer than %d characters", VG_OPTION_TEXT_CAP - 1);
        return -EINVAL;
    }
    switch (row->type) {
    case VG_OPTION_CHOICE: error = parse_choice(row, text, &number); break;
    case VG_OPTION_COUNT_TYPE: error = parse_count(row, text, &number); break;
    case VG_OPTION_SIZE: error = parse_size(row, text, &number, why, why_cap); break;
    case VG_OPTION_DURATION: error = parse_duration(row, text, &number); break;
    case VG_OPTION_CHECKED:
        error = checks[row->id] ? checks[row->id](text, why, why_cap) : 0;
        break;
    case VG_OPTION_PATH: break;
    }
    if (error)
        return error;
    out->number = number;
    snprintf(out->text, sizeof out->text, "%s", text);
    return 0;
}

/* The first of them that is set counts, even empty; recent PyTorch alone knows the second one
 * (c10/core/AllocatorConfig.cpp, AcceleratorAllocatorConfig::instance). */
static void read_torch_settings(struct vg_options *out)
{
    static const char *const names[] = { "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF" };
    char value[VG_TORCH_SETTINGS_CAP - 32];
    out->torch_settings[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *const text = secure_getenv(names[i]);
        if (!text)
            continue;
        vg_text_sanitize(value, sizeof value, text, strlen(text));
        if (*text)
            snprintf(out->torch_settings, sizeof out->torch_settings, "%s=%s", names[i], value);
        return;
    }
}

/* The options among them with the values that count. */
static void read_settings(struct vg_options *out)
{
    struct vg_text text = vg_text_over(out->settings, sizeof out->settings);
    vg_setting_read(&text);
    vg_setting_add(&text, rows[VG_OPTION_ID_policy].environment, out->policy.text);
    vg_setting_add(&text, rows[VG_OPTION_ID_need].environment, out->need.text);
}

/* One of several processes of a job? */
static bool is_distributed(void)
{
    static const char *const sizes[] = {
#define VG_LAUNCHER(rank, size) #size,
#include "base/launcher_table.h"
#undef VG_LAUNCHER
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const char *const size = secure_getenv(sizes[i]);
        if (size && strtol(size, NULL, 10) > 1)
            return true;
    }
    return false;
}

static bool is_jax_without_pool(void)
{
    const char *const allocator = secure_getenv("XLA_PYTHON_CLIENT_ALLOCATOR");
    return allocator &&
           (strcmp(allocator, "platform") == 0 || strcmp(allocator, "cuda_async") == 0);
}

/* The text for `row`: the environment's, else the file's, NULL for neither. */
static const char *given_text(const struct vg_option_row *row, const struct vg_option_file *file,
                              char *buffer, size_t cap)
{
    const char *const text = secure_getenv(row->environment);
    return text && *text ? text : vg_option_file_find(file, row->environment, buffer, cap);
}

const char *vg_option_config_path(void)
{
    const char *const path = secure_getenv(rows[VG_OPTION_ID_config].environment);
    return path && *path ? path : rows[VG_OPTION_ID_config].default_text;
}

/* That there is none in the default place says nothing. */
static void report_missing_file(const char *path)
{
    char shown[256];
    vg_text_sanitize(shown, sizeof shown, path, strlen(path));
    if (strcmp(path, rows[VG_OPTION_ID_config].default_text) != 0)
        vg_log_line("%s=\"%s\": there is no such file", rows[VG_OPTION_ID_config].environment,
                    shown);
}

void vg_option_read_environment(struct vg_options *out)
{
    const int saved_errno = errno;
    char why[128], shown[96], buffer[VG_OPTION_TEXT_CAP];
    struct vg_option_file file;
    const bool has_file = vg_option_file_open(&file, vg_option_config_path());
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct vg_option_row *const row = &rows[i];
        struct vg_option_value *const value = (void *)((char *)out + row->offset);
        vg_option_parse(row, row->default_text, value, why, sizeof why);
        const char *const text = given_text(row, &file, buffer, sizeof buffer);
        if (!text || !*text || vg_option_parse(row, text, value, why, sizeof why) == 0)
            continue;
        if (out->enabled.number == VG_ENABLED_OFF) /* the table's first row: off is silent */
            continue;
        vg_text_sanitize(shown, sizeof shown, text, strlen(text));
        if (row->default_text[0])
            vg_log_line("%s=\"%s\": %s (%s); using the default \"%s\"", row->environment, shown,
                        why, row->allowed, row->default_text);
        else
            vg_log_line("%s=\"%s\": %s (%s); not used", row->environment, shown, why, row->allowed);
    }
    if (out->enabled.number != VG_ENABLED_OFF && !has_file)
        report_missing_file(vg_option_config_path());
    else if (out->enabled.number != VG_ENABLED_OFF)
        vg_option_file_report_wrong(&file, vg_option_config_path());
    vg_option_file_close(&file);
    out->distributed = is_distributed();
    read_torch_settings(out);
    read_settings(out);
    out->jax_asks_once = is_jax_without_pool();
    errno = saved_errno;
}

bool vg_option_given(enum vg_option_id id, char *out, size_t cap)
{
    char buffer[VG_OPTION_TEXT_CAP];
    struct vg_option_file file;
    vg_option_file_open(&file, vg_option_config_path());
    const char *const text = given_text(&rows[id], &file, buffer, sizeof buffer);
    const bool given = text && *text && (size_t)snprintf(out, cap, "%s", text) < cap;
    vg_option_file_close(&file);
    return given;
}

bool vg_option_is_switched_off(void)
{
    static struct vg_option_value value;
    char why[64], text[64];
    return vg_option_given(VG_OPTION_ID_enabled, text, sizeof text) &&
           vg_option_parse(&rows[VG_OPTION_ID_enabled], text, &value, why, sizeof why) == 0 &&
           value.number == VG_ENABLED_OFF;
}

#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_DEVICE_BYTES  (4ull << 40)
#define MIN_DEVICE_BYTES  BLOCK_BYTES
#define MAX_CONTEXT_BYTES (64ull << 30)

struct options sim_options;

void sim_complain(const char *format, ...)
{
    char line[512] = "simgpu: ";
    size_t used = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + used, sizeof(line) - used - 1, format, arguments);
    va_end(arguments);
    strcat(line, "\n");
    /* One write, so that lines of several processes do not mix. Nobody can be told if it fails. */
    ssize_t ignored = write(STDERR_FILENO, line, strlen(line));
    (void)ignored;
}

int options_parse_size(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = { { "", 1 },         { "B", 1 },        { "KiB", 0x1p10 },
                  { "MiB", 0x1p20 }, { "GiB", 0x1p30 }, { "TiB", 0x1p40 } };

    const char *end = text;
    double number = 0;
    if (!isdigit((unsigned char)*end))
        return -EINVAL;
    while (isdigit((unsigned char)*end))
        number = number * 10 + (*end++ - '0');
    if (*end == '.') { /* not strtod, whose decimal point depends on the locale */
        double weight = 1;
        while (isdigit((unsigned char)*++end)) {
            weight /= 10;
            number += (*end - '0') * weight;
        }
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].name) != 0)
            continue;
        double value = number * units[i].factor;
        if (value >= 0x1p62)
            return -EINVAL;
        *bytes = (uint64_t)value;
        return 0;
    }
    return -EINVAL;
}

/* A comma-separated list of sizes; each is rounded down to whole blocks, since no real device has
 * half a block either. */
static int parse_devices(const char *text, struct device_list *devices)
{
    char copy[1024];
    if (strlen(text) >= sizeof(copy))
        return -EINVAL;
    strcpy(copy, text);

    devices->count = 0;
    char *rest = copy;
    for (char *item = strsep(&rest, ","); item != NULL; item = strsep(&rest, ",")) {
        uint64_t bytes;
        if (devices->count == MAX_DEVICES || options_parse_size(item, &bytes) != 0)
            return -EINVAL;
        if (bytes < MIN_DEVICE_BYTES || bytes > MAX_DEVICE_BYTES)
            return -EINVAL;
        devices->total_bytes[devices->count++] = bytes / BLOCK_BYTES * BLOCK_BYTES;
    }
    return 0;
}

static int read_devices(void)
{
    const char *text = getenv("SIMGPU_DEVICES");
    sim_options.devices.is_default = text == NULL;
    if (parse_devices(text != NULL ? text : DEFAULT_DEVICES, &sim_options.devices) == 0)
        return 0;
    sim_complain(
        "SIMGPU_DEVICES=\"%s\": want 1 to %d sizes of 2MiB to 4TiB, separated by commas, "
        "such as 11.17GiB or 24GiB,24GiB; no device is simulated",
        text, MAX_DEVICES);
    return -EINVAL;
}

static int read_context_price(void)
{
    const char *text = getenv("SIMGPU_CONTEXT");
    uint64_t bytes = 300ull << 20;
    if (text != NULL && (options_parse_size(text, &bytes) != 0 || bytes > MAX_CONTEXT_BYTES)) {
        sim_complain(
            "SIMGPU_CONTEXT=\"%s\": want a size of 0 to 64GiB, such as 300MiB; no device "
            "is simulated",
            text);
        return -EINVAL;
    }
    sim_options.context_bytes = (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    return 0;
}

static int read_driver_version(void)
{
    sim_options.driver_version = DEFAULT_VERSION;
    const char *text = getenv("SIMGPU_DRIVER_VERSION");
    if (text == NULL)
        return 0;
    char *end;
    long version = strtol(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || version < 2000 || version > 99990) {
        sim_complain(
            "SIMGPU_DRIVER_VERSION=\"%s\": want 1000 * major + 10 * minor, 2000 to 99990, "
            "such as 12040; no device is simulated",
            text);
        return -EINVAL;
    }
    sim_options.driver_version = (int)version;
    return 0;
}

static int read_id(void)
{
    const char *text = getenv("SIMGPU_ID");
    sim_options.id[0] = '\0';
    if (text == NULL || text[0] == '\0')
        return 0;
    size_t length = strspn(text,
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789._-");
    if (text[length] != '\0' || length > MAX_ID_CHARACTERS) {
        sim_complain(
            "SIMGPU_ID=\"%s\": want 1 to %d letters, digits, '.', '_' or '-'; no device "
            "is simulated",
            text, MAX_ID_CHARACTERS);
        return -EINVAL;
    }
    memcpy(sim_options.id, text, length + 1);
    return 0;
}

int options_read(void)
{
    int failed = 0;
    failed |= read_devices();
    failed |= read_context_price();
    failed |= read_driver_version();
    failed |= read_id();
    return failed != 0 ? -EINVAL : 0;
}

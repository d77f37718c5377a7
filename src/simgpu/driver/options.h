/* The SIMGPU_* environment variables. */
#ifndef SIMGPU_OPTIONS_H
#define SIMGPU_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_DEVICES       16
#define BLOCK_BYTES       (2ull << 20)
#define MAX_CALL_RULES    64
#define DEFAULT_DEVICES   "16GiB"
#define DEFAULT_VERSION   13000
#define MAX_ID_CHARACTERS 64

struct device_list {
    int count;
    bool is_default;                   /* SIMGPU_DEVICES is not set */
    uint64_t total_bytes[MAX_DEVICES]; /* multiples of BLOCK_BYTES */
};

struct options {
    struct device_list devices;
    uint64_t context_bytes;
    int driver_version;
    char id[MAX_ID_CHARACTERS + 1]; /* empty: one simulation per user */
    bool has_call_rules;            /* SIMGPU_FAIL or SIMGPU_LATENCY is set */
};

extern struct options sim_options;

/* Reads SIMGPU_DEVICES, SIMGPU_CONTEXT, SIMGPU_DRIVER_VERSION and SIMGPU_ID into sim_options. A bad
 * value is reported in one line on stderr. Returns 0, or -EINVAL when any value is bad. Not
 * thread-safe; the caller sees to it that it runs once at a time. */
int options_read(void);

/* Parses "<number>[B|KiB|MiB|GiB|TiB]", fractions allowed, into bytes. Returns 0 or -EINVAL. */
int options_parse_size(const char *text, uint64_t *bytes);

/* One line on stderr: "simgpu: ...". */
void sim_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

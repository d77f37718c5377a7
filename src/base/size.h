/* Byte counts and durations as people write and read them. Pure functions, no locale, no malloc. */
#ifndef VRAMGUARD_BASE_SIZE_H
#define VRAMGUARD_BASE_SIZE_H

#include <stddef.h>
#include <stdint.h>

/* "Not known" for every byte count in the project: printed as "unknown", never as 0. */
#define VG_BYTES_UNKNOWN UINT64_MAX

#define VG_KIB (UINT64_C(1) << 10)
#define VG_MIB (UINT64_C(1) << 20)
#define VG_GIB (UINT64_C(1) << 30)

enum { VG_SIZE_TEXT_CAP = 24 }; /* enough for any result of vg_size_format, with its NUL */

/* Writes `bytes` for people: "512 B", "1.50 KiB", "119 MiB", "2.00 GiB"; three significant digits
 * or all integer digits, rounded half up; "unknown" for VG_BYTES_UNKNOWN.
 * `out` holds at least VG_SIZE_TEXT_CAP bytes. Returns `out`. */
const char *vg_size_format(char *out, uint64_t bytes);

/* "B", "KiB", "MiB" ... "EiB": what 1024 to the `power` is called, 0 to 6. Static. */
const char *vg_size_unit(unsigned power);

/* As vg_size_format, always in GiB with two decimals ("6.10 GiB"), so that a column of amounts can
 * be compared and added up by eye; amounts that would show as 0.00 keep their own unit. */
const char *vg_size_format_gib(char *out, uint64_t bytes);

/* Reads "11.17GiB", "512 MiB", "300MB" (MB = MiB, as CUDA tools mean it), "4096B". Units: B, K, M,
 * G, T, P, E with optional "iB" or "B", any case. A unit is required but for 0: 8 is 8 GiB to one
 * tool and 8 bytes to another. Returns 0 and stores bytes, or -EINVAL (not a size, no unit,
 * trailing characters) or -ERANGE (does not fit). `out` is untouched on error. */
int vg_size_parse(const char *text, uint64_t *out_bytes);

/* What is wrong with a text that vg_size_parse refuses, with an example. Static storage. */
const char *vg_size_complaint(const char *text);

/* Reads "25%", a whole number from 1 to 100. Returns 0, -EINVAL (no percentage) or -ERANGE (another
 * number); `out` is untouched on error. */
int vg_percent_parse(const char *text, unsigned *out);

/* Reads "30s", "1.5s", "10m", "2h", "7d", "250ms"; a number without a unit is seconds. Returns 0
 * and stores milliseconds, or -EINVAL or -ERANGE; `out` is untouched on error. */
int vg_duration_parse(const char *text, uint64_t *out_ms);

enum { VG_DURATION_TEXT_CAP = 24 };

/* Writes `ms` for people: "250 ms", "3.1 s", "30 s", "10 min", "2 h". `out` holds at least
 * VG_DURATION_TEXT_CAP bytes. Returns `out`. */
const char *vg_duration_format(char *out, uint64_t ms);

#endif

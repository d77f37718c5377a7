/* Byte counts inside report sentences and columns. Pure functions, no malloc. */
#ifndef VRAMGUARD_BASE_AMOUNT_H
#define VRAMGUARD_BASE_AMOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/size.h"
#include "base/text.h"

/* No device or host holds more; larger values in a report are garbage. Sums of a report's few
 * dozen amounts cannot overflow 64 bits below it. */
#define VG_AMOUNT_LIMIT (UINT64_C(1) << 56)

/* Is this a usable amount? false for VG_BYTES_UNKNOWN and for garbage. */
bool vg_amount_known(uint64_t bytes);

/* "11.17 GiB" from 1 GiB on (two decimals, so that amounts in a sentence can be compared), else as
 * vg_size_format ("512 MiB"); "unknown" for what is not known. `out` holds VG_SIZE_TEXT_CAP
 * bytes. Returns `out`. */
const char *vg_amount_format(char *out, uint64_t bytes);

/* The same into a buffer of its own, which lives until the end of the enclosing block. */
#define VG_AMOUNT(bytes) vg_amount_format((char[VG_SIZE_TEXT_CAP]){ 0 }, bytes)

/* "340 us", "12 ms", "3.1 s". */
void vg_amount_add_duration(struct vg_text *out, uint64_t ns);

/* For columns that are added up by eye, at most 10 characters: amounts in GiB when `total_bytes` is
 * at least 1 GiB or unknown, else (and from 1000 GiB on) as vg_size_format. `bytes` may be negative
 * (a remainder). `out` holds VG_SIZE_TEXT_CAP bytes. Returns `out`. */
const char *vg_amount_format_column(char *out, int64_t bytes, uint64_t total_bytes);

#endif

#include "base/amount.h"

#include "base/text.h"

bool vg_amount_known(uint64_t bytes)
{
    return bytes <= VG_AMOUNT_LIMIT;
}

const char *vg_amount_format(char *out, uint64_t bytes)
{
    if (!vg_amount_known(bytes))
        return vg_size_format(out, VG_BYTES_UNKNOWN);
    return bytes >= VG_GIB ? vg_size_format_gib(out, bytes) : vg_size_format(out, bytes);
}

const char *vg_amount_format_column(char *out, int64_t bytes, uint64_t total_bytes)
{
    char amount[VG_SIZE_TEXT_CAP];
    const uint64_t magnitude = bytes < 0 ? 0 - (uint64_t)bytes : (uint64_t)bytes;
    if (total_bytes >= VG_GIB && magnitude < 1000 * VG_GIB)
        vg_size_format_gib(amount, magnitude);
    else
        vg_size_format(amount, magnitude);
    struct vg_text text = vg_text_over(out, VG_SIZE_TEXT_CAP);
    vg_text_add(&text, bytes < 0 ? "-" : "");
    vg_text_add(&text, amount);
    return out;
}

void vg_amount_add_duration(struct vg_text *out, uint64_t ns)
{
    const unsigned long long us = ns / 1000, ms = us / 1000;
    if (ms >= 1000)
        vg_text_addf(out, "%llu.%llu s", ms / 1000, ms % 1000 / 100);
    else if (ms >= 1)
        vg_text_addf(out, "%llu ms", ms);
    else
        vg_text_addf(out, "%llu us", us);
}

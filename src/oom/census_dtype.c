/* Of what numbers tensors consist. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "oom/census_work.h"

void vg_census_write_dtype(const struct vg_census_python *python, uintptr_t dtype, char *out,
                           size_t cap)
{
    char text[VG_CENSUS_DTYPE_CAP + sizeof "torch."];
    void *const name = python->represent((void *)dtype);
    if (!name) {
        python->api->clear_error();
        return;
    }
    vg_census_str_write(python, (uintptr_t)name, text, sizeof text);
    const char *const shown = vg_text_starts_with(text, "torch.") ? text + 6 : text;
    vg_text_sanitize(out, cap, shown, strlen(shown));
    python->api->drop(name);
}

/* ---- how wide they are ---- */

enum width { NEITHER, WIDE, NARROW };

enum { TYPES = 32 }; /* PyTorch has about as many */

struct widths {
    struct {
        uintptr_t dtype;
        enum width width;
    } known[TYPES];
    size_t count;
};

/* By the name's digits: "float32", "bfloat16", "float8_e4m3fn", "uint8". 0: it has none. */
static unsigned long bits_of(const char *name)
{
    const char *const digits = strpbrk(name, "0123456789");
    return digits ? strtoul(digits, NULL, 10) : 0;
}

static enum width width_of(const char *name)
{
    const unsigned long bits = bits_of(name);
    if (bits == 0)
        return NEITHER;
    if (bits <= 16)
        return NARROW;
    return vg_text_starts_with(name, "float") ? WIDE : NEITHER;
}

static enum width find_width(const struct vg_census_python *python, struct widths *widths,
                             uintptr_t dtype)
{
    char name[VG_CENSUS_DTYPE_CAP] = "";
    for (size_t i = 0; i < widths->count; i++)
        if (widths->known[i].dtype == dtype)
            return widths->known[i].width;
    vg_census_write_dtype(python, dtype, name, sizeof name);
    const enum width width = width_of(name);
    if (widths->count < TYPES) {
        widths->known[widths->count].dtype = dtype;
        widths->known[widths->count++].width = width;
    }
    return width;
}

void vg_census_write_widths(struct vg_census_work *work)
{
    struct widths widths = { 0 };
    const struct vg_census_python *const python = work->python;
    for (size_t i = 0; i < work->storages.count && !vg_census_is_late(work); i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        if (storage->kind >= VG_CENSUS_KINDS || !storage->tensor)
            continue;
        const uintptr_t dtype = vg_census_torch_get(python, &work->torch.dtype, storage->tensor);
        const enum width width = dtype ? find_width(python, &widths, dtype) : NEITHER;
        const enum vg_census_kind kind = vg_census_kind_of(storage);
        work->out->wide_bytes[kind] += width == WIDE ? storage->bytes : 0;
        work->out->narrow_bytes[kind] += width == NARROW ? storage->bytes : 0;
        python->api->drop((void *)dtype);
    }
}

uint64_t vg_census_numbers_bytes(struct vg_census_work *work, uintptr_t tensor)
{
    const struct vg_census_python *const python = work->python;
    struct vg_census_shape shape = { 0 };
    uint64_t bytes = 0;
    const uintptr_t sizes = vg_census_torch_get(python, &work->torch.shape, tensor);
    const uintptr_t dtype = vg_census_torch_get(python, &work->torch.dtype, tensor);
    if (sizes && dtype && vg_census_read_sizes(python, sizes, &shape)) {
        vg_census_write_dtype(python, dtype, shape.dtype, sizeof shape.dtype);
        bytes = vg_census_shape_elements(&shape) * (bits_of(shape.dtype) / 8);
    }
    python->api->drop((void *)dtype);
    python->api->drop((void *)sizes);
    return bytes;
}

/* The census as a test asks for it: a shared object that ctypes loads into a program and calls with
 * the GIL held (PyDLL). What is live comes from the test; the answer is JSON. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "driver/driver.h"
#include "oom/census_observer.h"

struct block {
    uint64_t address, bytes;
};

struct blocks {
    const struct block *items; /* by address */
    size_t count;
};

static int compare_blocks(const void *a, const void *b)
{
    const struct block *const left = a, *const right = b;
    return (left->address > right->address) - (left->address < right->address);
}

static bool find_block(void *argument, uintptr_t address, struct vg_census_block *out)
{
    const struct blocks *const blocks = argument;
    const struct block wanted = { .address = address };
    const struct block *const found =
        bsearch(&wanted, blocks->items, blocks->count, sizeof wanted, compare_blocks);
    if (found)
        *out = (struct vg_census_block){ .bytes = found->bytes, .eighth = VG_CENSUS_EIGHTHS };
    return found != NULL;
}

static void sum_blocks(void *argument, struct vg_census_amount *out)
{
    const struct blocks *const blocks = argument;
    *out = (struct vg_census_amount){ .blocks = blocks->count };
    for (size_t i = 0; i < blocks->count; i++)
        out->bytes += blocks->items[i].bytes;
}

/* ---- JSON ---- */

static void add_string(struct vg_text *text, const char *name, const char *value)
{
    vg_text_addf(text, "\"%s\": \"", name);
    for (; *value; value++)
        vg_text_addf(text, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    vg_text_add(text, "\", ");
}

static void add_amount(struct vg_text *text, const char *name,
                       const struct vg_census_amount *amount)
{
    vg_text_addf(text, "\"%s\": [%llu, %llu], ", name, (unsigned long long)amount->bytes,
                 (unsigned long long)amount->blocks);
}

static void add_kinds(struct vg_text *text, const struct vg_census_amount *amounts, size_t count)
{
    static const char *const names[] = { "parameter", "gradient", "optimizer",
                                         "buffer",    "other",    "graph" };
    for (size_t i = 0; i < count; i++)
        add_amount(text, names[i], &amounts[i]);
}

static void add_variable(struct vg_text *text, const struct vg_census_variable *variable,
                         const struct vg_census_held *held)
{
    static const char *const places[] = { "local", "global",  "library",
                                          "work",  "handled", "handled elsewhere" };
    vg_text_add(text, "{");
    add_string(text, "place", places[variable->place]);
    add_string(text, "path", variable->path);
    add_string(text, "type", variable->type);
    add_string(text, "function", variable->function);
    add_string(text, "file", variable->file);
    add_amount(text, "direct", &variable->direct);
    add_amount(text, "graph", &variable->graph);
    add_amount(text, "model", &variable->model);
    add_amount(text, "traceback", &variable->traceback);
    add_amount(text, "cupy", &held->arrays[VG_CENSUS_CUPY]);
    add_amount(text, "numba", &held->arrays[VG_CENSUS_NUMBA]);
    add_amount(text, "jax", &held->arrays[VG_CENSUS_JAX]);
    add_amount(text, "array_traceback", &held->traceback);
    vg_text_addf(text, "\"length\": %lld, \"line\": %d, \"thread\": %u}",
                 (long long)variable->length, variable->line, variable->thread);
}

static void add_shape(struct vg_text *text, const struct vg_census_shape *shape)
{
    vg_text_add(text, "{");
    add_string(text, "dtype", shape->dtype);
    add_amount(text, "amount", &shape->amount);
    vg_text_add(text, "\"sizes\": [");
    for (uint32_t i = 0; i < shape->rank && i < VG_CENSUS_RANK; i++)
        vg_text_addf(text, "%s%lld", i ? ", " : "", (long long)shape->sizes[i]);
    vg_text_add(text, "]}");
}

static void add_array_shape(struct vg_text *text, const struct vg_census_array_shape *shape)
{
    vg_text_addf(text, "{\"library\": %u, \"shape\": ", shape->from);
    add_shape(text, &shape->shape);
    vg_text_add(text, "}");
}

static void add_module(struct vg_text *text, const struct vg_census_module *module)
{
    vg_text_add(text, "{");
    add_string(text, "path", module->path);
    add_kinds(text, module->amount, VG_CENSUS_MODEL_KINDS);
    vg_text_addf(text, "\"depth\": %u, \"id\": %u, \"parent\": %u}", module->depth, module->id,
                 module->parent_id);
}

static void add_kind_bytes(struct vg_text *text, const char *name, const uint64_t *bytes)
{
    vg_text_addf(text, "\"%s\": [", name);
    for (int kind = 0; kind < VG_CENSUS_KINDS; kind++)
        vg_text_addf(text, "%s%llu", kind ? ", " : "", (unsigned long long)bytes[kind]);
    vg_text_add(text, "], ");
}

static void write_json(const struct vg_census *census, struct vg_text *text)
{
    vg_text_addf(text, "{\"state\": %d, \"elapsed_ns\": %llu, \"objects\": %llu, ", census->state,
                 (unsigned long long)census->elapsed_ns, (unsigned long long)census->objects);
    vg_text_addf(text, "\"tensors\": %llu, \"graph_nodes\": %llu, \"graph_cut\": %d, ",
                 (unsigned long long)census->tensors, (unsigned long long)census->graph_nodes,
                 census->graph_cut);
    add_kinds(text, census->kinds, VG_CENSUS_KINDS);
    add_kind_bytes(text, "wide", census->wide_bytes);
    add_kind_bytes(text, "narrow", census->narrow_bytes);
    add_amount(text, "unnamed", &census->unnamed);
    add_amount(text, "cupy", &census->arrays[VG_CENSUS_CUPY]);
    add_amount(text, "numba", &census->arrays[VG_CENSUS_NUMBA]);
    add_amount(text, "jax", &census->arrays[VG_CENSUS_JAX]);
    add_amount(text, "garbage", &census->garbage);
    add_string(text, "garbage_type", census->garbage_type);
    add_amount(text, "total", &census->total);
    vg_text_add(text, "\"variables\": [");
    for (uint32_t i = 0; i < census->variable_count; i++) {
        vg_text_add(text, i ? ", " : "");
        add_variable(text, &census->variables[i], &census->held_arrays[i]);
    }
    vg_text_add(text, "], \"modules\": [");
    for (uint32_t i = 0; i < census->module_count; i++) {
        vg_text_add(text, i ? ", " : "");
        add_module(text, &census->modules[i]);
    }
    vg_text_add(text, "], \"shapes\": [");
    for (uint32_t i = 0; i < census->shape_count; i++) {
        vg_text_add(text, i ? ", " : "");
        add_shape(text, &census->shapes[i]);
    }
    vg_text_add(text, "], \"array_shapes\": [");
    for (uint32_t i = 0; i < census->array_shape_count; i++) {
        vg_text_add(text, i ? ", " : "");
        add_array_shape(text, &census->array_shapes[i]);
    }
    vg_text_add(text, "]}");
}

/* ---- what tests call ---- */

#define EXPORTED __attribute__((visibility("default")))

EXPORTED void census_set_blocks(struct block *blocks, size_t count);
EXPORTED void census_set_device(int device, const char *jax_platform);
EXPORTED int census_take(uint64_t budget_ns, char *out, size_t cap);
EXPORTED int census_request(unsigned delay_us, char *out, size_t cap);
EXPORTED int census_call_when_told(int told, int done, int (*call)(uint64_t *, size_t),
                                   size_t size);
EXPORTED void census_tell_and_wait(int tell, int done);
EXPORTED void census_attach(const char *path);
EXPORTED int census_attachment(void);

static struct blocks live;
static struct vg_census census;
static struct vg_census_source live_source = {
    .find_block = find_block, .total = sum_blocks, .argument = &live, .device = -1
};

/* What is live from now on. The blocks stay the caller's; they are sorted in place. */
void census_set_blocks(struct block *blocks, size_t count)
{
    qsort(blocks, count, sizeof *blocks, compare_blocks);
    live = (struct blocks){ .items = blocks, .count = count };
}

/* Arrays of other libraries count on this GPU only, from now on; -1: on all. The text stays the
 * caller's. */
void census_set_device(int device, const char *jax_platform)
{
    live_source.device = device;
    live_source.jax_platform = jax_platform;
}

static int write_result(char *out, size_t cap)
{
    struct vg_text text = vg_text_over(out, cap);
    write_json(&census, &text);
    return text.truncated ? -1 : 0;
}

/* Takes a census in the calling thread, which holds the GIL, and writes it as JSON to `out`.
 * Returns 0, or -1 when it does not fit. */
int census_take(uint64_t budget_ns, char *out, size_t cap)
{
    vg_census_take(&live_source, budget_ns, &census);
    return write_result(out, cap);
}

/* Asks for one as a thread does that may not have the GIL, after a while. Returns
 * vg_census_request's error, too. */
int census_request(unsigned delay_us, char *out, size_t cap)
{
    usleep(delay_us);
    struct vg_program_line main_line;
    const int error = vg_census_request(&live_source, &census, &main_line);
    return error ? error : write_result(out, cap);
}

/* ---- a thread that keeps the GIL during another's call ---- */

/* Says that it is here, calls when a byte comes from `told`, and says when that has returned.
 * Without the GIL. */
int census_call_when_told(int told, int done, int (*call)(uint64_t *, size_t), size_t size)
{
    uint64_t out = 0;
    char byte = 0;
    const bool is_told = write(done, &byte, 1) == 1 && read(told, &byte, 1) == 1;
    const int code = is_told ? call(&out, size) : -1;
    return write(done, &byte, 1) == 1 ? code : -1;
}

/* The other end of it, with the GIL. */
void census_tell_and_wait(int tell, int done)
{
    char byte = 0;
    if (write(tell, &byte, 1) == 1 && read(done, &byte, 1) != 1)
        abort();
}

/* ---- PyTorch's failures ---- */

static char told_path[256];

static bool prepare(int64_t device, struct vg_census_source *out)
{
    (void)device;
    *out = live_source;
    return true;
}

/* Appends a line: what failed, and the census. */
static void tell(const struct vg_census_failure *failure, const struct vg_census *observed)
{
    static char line[1 << 20];
    struct vg_text text = vg_text_over(line, sizeof line);
    FILE *const file = fopen(told_path, "a");
    vg_text_addf(&text, "{\"device\": %lld, \"asked\": %llu, \"limit\": %llu, \"free\": %llu, ",
                 (long long)failure->device, (unsigned long long)failure->asked_bytes,
                 (unsigned long long)failure->total_bytes, (unsigned long long)failure->free_bytes);
    vg_text_add(&text, "\"census\": ");
    write_json(observed, &text);
    if (!file)
        return;
    fprintf(file, "%s}\n", line);
    fclose(file);
}

/* Attaches to PyTorch; each failure adds a line to the file `path`. */
void census_attach(const char *path)
{
    static const struct vg_census_client client = { .prepare = prepare, .tell = tell };
    snprintf(told_path, sizeof told_path, "%s", path);
    vg_driver_bind(); /* it asks how many GPUs there are */
    vg_census_request_attach(&client);
}

int census_attachment(void)
{
    return (int)vg_census_attachment();
}

/* By which lines of the program the memory was made that variables, graphs and garbage hold: each
 * block is counted, so that nothing need be concluded from sums. */
#include <string.h>

#include "analyze/process_source.h"
#include "analyze/stack_names.h"
#include "oom/census_work.h"

#define NO_LINE UINT32_MAX

/* A stack of the recorder's, and the line that it stands for. */
struct stack {
    uint32_t id, line; /* number among the lines; NO_LINE */
    uint64_t bytes;
};

struct line {
    uint64_t bytes, largest_bytes;
    uint32_t stack_id; /* the largest of its stacks */
    uint32_t place;    /* in the result; NO_LINE: it is not told */
};

struct counting {
    struct vg_census_work *work;
    struct vg_census_map stack_of;       /* id -> number */
    struct vg_census_map line_of;        /* key of vg_own_frame -> number */
    struct vg_census_list stacks, lines; /* struct stack, struct line */
};

static bool is_block(const struct vg_census_storage *storage)
{
    return storage->kind < VG_CENSUS_KINDS && storage->stack_id != 0;
}

/* ---- what each line has made ---- */

static void add_to_stack(struct counting *c, const struct vg_census_storage *storage)
{
    bool is_new = false;
    const uint64_t *const number =
        vg_census_map_put(&c->stack_of, storage->stack_id, c->stacks.count, &is_new);
    struct stack *const added = is_new ? vg_census_list_add(&c->stacks) : NULL;
    if (added)
        *added = (struct stack){ .id = storage->stack_id, .line = NO_LINE };
    if (number && *number < c->stacks.count)
        ((struct stack *)c->stacks.items + *number)->bytes += storage->bytes;
}

static void add_to_line(struct counting *c, uint64_t key, struct stack *stack)
{
    bool is_new = false;
    const uint64_t *const number = vg_census_map_put(&c->line_of, key, c->lines.count, &is_new);
    struct line *const added = is_new ? vg_census_list_add(&c->lines) : NULL;
    if (added)
        *added = (struct line){ .place = NO_LINE };
    if (!number || *number >= c->lines.count)
        return;
    struct line *const line = (struct line *)c->lines.items + *number;
    stack->line = (uint32_t)*number;
    line->bytes += stack->bytes;
    if (stack->bytes > line->largest_bytes) {
        line->largest_bytes = stack->bytes;
        line->stack_id = stack->id;
    }
}

/* Stacks are told apart as in the tables of sites (analyze/sites.h). */
static void find_lines(struct counting *c, struct vg_recorder *recorder)
{
    struct vg_region region = vg_region_over(NULL, 0);
    const struct vg_run_source source = vg_process_source_of_stacks(recorder);
    struct vg_stack_names names;
    vg_stack_names_init(&names, &source, &region);
    for (size_t i = 0; i < c->stacks.count; i++) {
        struct stack *const stack = (struct stack *)c->stacks.items + i;
        const struct vg_own_frame own =
            vg_stack_names_own(&names, source.stack(source.context, stack->id), 0);
        if (own.key)
            add_to_line(c, own.key, stack);
    }
    vg_region_release(&region);
}

/* ---- which are told ---- */

/* The largest, by repeated search: few are wanted. */
static struct line *largest_line(const struct counting *c)
{
    struct line *largest = NULL;
    for (size_t i = 0; i < c->lines.count; i++) {
        struct line *const line = (struct line *)c->lines.items + i;
        if (line->place == NO_LINE && (!largest || line->bytes > largest->bytes))
            largest = line;
    }
    return largest;
}

static void choose_lines(struct counting *c)
{
    struct vg_census *const out = c->work->out;
    struct line *line;
    while (out->line_count < VG_CENSUS_LINES && (line = largest_line(c)) != NULL) {
        line->place = out->line_count;
        out->lines[out->line_count++].stack_id = line->stack_id;
    }
}

static struct vg_census_line *line_of(const struct counting *c,
                                      const struct vg_census_storage *storage)
{
    const uint64_t *const number = vg_census_map_get(&c->stack_of, storage->stack_id);
    const struct stack *const stack = (const struct stack *)c->stacks.items + *number;
    const uint32_t place = stack->line == NO_LINE
                               ? NO_LINE
                               : ((const struct line *)c->lines.items + stack->line)->place;
    return place == NO_LINE ? NULL : &c->work->out->lines[place];
}

/* ---- what they have made ---- */

uint8_t vg_census_teller_of(const struct vg_census_work *work,
                            const struct vg_census_storage *storage)
{
    uint32_t number = storage->row;
    while (number != VG_CENSUS_NO_ROW && !vg_census_row_number(work, number)->stands_alone)
        number = vg_census_row_number(work, number)->parent;
    return number == VG_CENSUS_NO_ROW ? 0 : vg_census_row_number(work, number)->told;
}

static void count_storage(struct vg_census_line *line, const struct vg_census_storage *storage,
                          uint8_t told)
{
    line->kind_bytes[vg_census_kind_of(storage)] += storage->bytes;
    if (storage->is_garbage)
        line->garbage_bytes += storage->bytes;
    if (told == 0)
        return;
    if (storage->is_row_graph)
        line->held[told - 1].graph_bytes += storage->bytes;
    else if (storage->kind >= VG_CENSUS_MODEL_KINDS)
        line->held[told - 1].direct_bytes += storage->bytes;
    if (storage->is_in_traceback)
        line->held[told - 1].traceback_bytes += storage->bytes;
}

static void count_storages(const struct counting *c)
{
    for (size_t i = 0; i < c->work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(c->work, i);
        struct vg_census_line *const line = is_block(storage) ? line_of(c, storage) : NULL;
        if (line)
            count_storage(line, storage, vg_census_teller_of(c->work, storage));
    }
}

void vg_census_write_lines(struct vg_census_work *work)
{
    const struct vg_census_source *const source = work->source;
    struct vg_recorder *const recorder =
        source->recorder ? source->recorder(source->argument) : NULL;
    struct counting c = { .work = work,
                          .stacks = { .item_bytes = sizeof(struct stack) },
                          .lines = { .item_bytes = sizeof(struct line) } };
    for (size_t i = 0; recorder && i < work->storages.count; i++)
        if (is_block(vg_census_storage_number(work, i)))
            add_to_stack(&c, vg_census_storage_number(work, i));
    if (c.stacks.count > 0)
        find_lines(&c, recorder);
    if (!c.stack_of.failed && !c.line_of.failed && !c.stacks.failed && !c.lines.failed) {
        choose_lines(&c);
        count_storages(&c);
    }
    vg_census_list_close(&c.stacks);
    vg_census_list_close(&c.lines);
    vg_census_map_close(&c.stack_of);
    vg_census_map_close(&c.line_of);
}

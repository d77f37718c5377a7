/* What no variable leads to, told by who refers to it: containers that running functions are
 * working on, as the list that a comprehension is making, and objects that only refer to each
 * other, which Python's collector has not come to yet. */
#include <string.h>

#include "oom/census_work.h"
#include "os/mapped.h"

enum {
    WORTH_PART = 16,  /* of all blocks' bytes, unexplained: for less nothing is searched */
    STACK_MAX = 4096, /* values that a function may have on its stack */
    PASSES_MAX = 12,
};

/* ---- which they are ---- */

/* The bytes of tensors that are in no variable. */
static uint64_t unexplained_bytes(const struct vg_census_work *work)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        bytes += storage->tensor && !storage->is_attributed ? storage->bytes : 0;
    }
    return bytes;
}

static int gather_stray(void *object, void *argument)
{
    struct vg_census_work *const work = argument;
    const uintptr_t stray = (uintptr_t)object;
    if (!vg_census_marks_has(&work->seen, stray) &&
        vg_census_class_of(work, vg_object_type(stray)) != VG_CLASS_IGNORED &&
        vg_census_marks_add(&work->strays_known, stray))
        vg_census_list_push(&work->strays, stray);
    return !vg_census_is_late(work);
}

/* ---- what functions are working on ---- */

/* How many values a function of `code` has on its stack at the most; 0: unknown. */
static size_t stack_size(const struct vg_census_python *python, uintptr_t code)
{
    const long long count = vg_census_code_number(python, code, "co_stacksize");
    return count > 0 && count <= STACK_MAX ? (size_t)count : 0;
}

/* Behind a frame's variables lie the values that it works on, and behind those in use old ones.
 * Writes how many words that are; 0: unknown. */
static uintptr_t stack_of(const struct vg_census_work *work,
                          const struct vg_census_running *running, size_t *out_count)
{
    const uintptr_t code = running->python.code;
    const uintptr_t first =
        running->python.frame + (uintptr_t)work->python->layout->frame_variables +
        vg_census_variable_count(work->python->layout, code) * sizeof(uintptr_t);
    const size_t count = stack_size(work->python, code);
    *out_count = vg_is_mapped((const void *)first, count * sizeof(uintptr_t)) ? count : 0;
    return first;
}

static uintptr_t stack_value(uintptr_t first, size_t i)
{
    const uintptr_t word = vg_python_word(first + i * sizeof(uintptr_t));
    return word & ~(uintptr_t)7; /* as in census_variables.c, walk_locals */
}

bool vg_census_stack_has(const struct vg_census_work *work, const struct vg_census_running *running,
                         uintptr_t object)
{
    size_t count;
    const uintptr_t first = stack_of(work, running, &count);
    for (size_t i = 0; i < count; i++)
        if (stack_value(first, i) == object)
            return true;
    return false;
}

/* A word counts only if it is the address of an object that is there and that no variable leads to.
 */
static void walk_stack_of(struct vg_census_work *work, const struct vg_census_running *running)
{
    size_t count;
    const uintptr_t first = stack_of(work, running, &count);
    for (size_t i = 0; i < count && !vg_census_is_done(work); i++) {
        const uintptr_t object = stack_value(first, i);
        if (object && vg_census_marks_has(&work->strays_known, object) &&
            !vg_census_marks_has(&work->seen, object))
            vg_census_walk_unnamed(work, object, running->frame, VG_CENSUS_WORK);
    }
}

/* ---- garbage ---- */

/* Tensors that nothing was found to lead to, and all that leads to them. */
struct member {
    uintptr_t object;
    uint32_t references; /* of other members */
    bool is_held;        /* by something that is none, or by one that is */
};

struct heap {
    struct vg_census_work *work;
    struct vg_census_list members;
    struct vg_census_map number_of;
    struct vg_census_list held; /* numbers, still to be walked from */
    bool leads_here;
};

static struct member *member_number(const struct heap *heap, size_t number)
{
    return (struct member *)heap->members.items + number;
}

static void add_member(struct heap *heap, uintptr_t object)
{
    bool is_new = false;
    if (!vg_census_map_put(&heap->number_of, object, heap->members.count, &is_new) || !is_new)
        return;
    struct member *const member = vg_census_list_add(&heap->members);
    if (member)
        member->object = object;
}

static bool is_unreached(struct vg_census_work *work, uintptr_t object)
{
    return vg_census_marks_has(&work->wanted, object) && !vg_census_marks_has(&work->seen, object);
}

static int look_for_member(void *object, void *argument)
{
    struct heap *const heap = argument;
    heap->leads_here = vg_census_map_get(&heap->number_of, (uintptr_t)object) != NULL;
    return heap->leads_here;
}

/* Adds what leads to the members, until nothing more does. */
static bool close_over_referrers(struct heap *heap)
{
    const struct vg_census_list *const strays = &heap->work->strays;
    for (int pass = 0; pass < PASSES_MAX; pass++) {
        const size_t before = heap->members.count;
        for (size_t i = 0; i < strays->count; i++) {
            const uintptr_t stray = vg_census_list_at(strays, i);
            if (vg_census_is_late(heap->work))
                return false;
            if (vg_census_marks_has(&heap->work->seen, stray) ||
                vg_census_map_get(&heap->number_of, stray))
                continue;
            heap->leads_here = false;
            vg_object_traverse(stray, look_for_member, heap);
            if (heap->leads_here)
                add_member(heap, stray);
        }
        if (heap->members.count == before)
            return true;
    }
    return false;
}

static int count_reference(void *object, void *argument)
{
    struct heap *const heap = argument;
    const uint64_t *const number = vg_census_map_get(&heap->number_of, (uintptr_t)object);
    if (number)
        member_number(heap, *number)->references++;
    return 0;
}

static int hold_member(void *object, void *argument)
{
    struct heap *const heap = argument;
    const uint64_t *const number = vg_census_map_get(&heap->number_of, (uintptr_t)object);
    if (number && !member_number(heap, *number)->is_held) {
        member_number(heap, *number)->is_held = true;
        vg_census_list_push(&heap->held, *number);
    }
    return 0;
}

/* As Python's collector does (Python/gc.c, subtract_refs, move_unreachable): a member with more
 * references than the other members have is held from outside, and so is what it leads to. The
 * count's lower half is the same in all versions; that of immortal objects is large. */
static void find_held(struct heap *heap)
{
    for (size_t i = 0; i < heap->members.count; i++)
        vg_object_traverse(member_number(heap, i)->object, count_reference, heap);
    for (size_t i = 0; i < heap->members.count; i++) {
        const struct member *const member = member_number(heap, i);
        if ((uint32_t)vg_python_int(member->object) > member->references)
            hold_member((void *)member->object, heap);
    }
    while (heap->held.count > 0) {
        const uintptr_t number = vg_census_list_at(&heap->held, --heap->held.count);
        vg_object_traverse(member_number(heap, number)->object, hold_member, heap);
    }
}

/* Is that a class to tell garbage by, and no part of others, as dictionaries are? */
static bool is_telling(struct vg_census_work *work, uintptr_t type)
{
    const enum vg_census_class class = vg_census_class_of(work, type);
    return class == VG_CLASS_INSTANCE || class == VG_CLASS_MODEL ||
           (vg_type_flags(type) & VG_TYPE_IS_ERROR);
}

/* By the class that most of them are of. */
static void name_garbage(const struct heap *heap)
{
    struct vg_census *const out = heap->work->out;
    struct vg_census_map counts = { 0 };
    uintptr_t most = 0;
    uint64_t most_count = 0;
    for (size_t i = 0; i < heap->members.count; i++) {
        const struct member *const member = member_number(heap, i);
        const uintptr_t type = vg_object_type(member->object);
        bool is_new;
        if (member->is_held || !is_telling(heap->work, type))
            continue;
        uint64_t *const count = vg_census_map_put(&counts, type, 0, &is_new);
        if (count && ++*count > most_count) {
            most_count = *count;
            most = type;
        }
    }
    if (most) {
        vg_census_type_name(most, out->garbage_type, sizeof out->garbage_type);
        out->garbage_is_exception = (vg_type_flags(most) & VG_TYPE_IS_ERROR) != 0;
    }
    vg_census_map_close(&counts);
}

static void count_garbage(const struct heap *heap)
{
    struct vg_census_work *const work = heap->work;
    for (size_t i = 0; i < heap->members.count; i++) {
        const struct member *const member = member_number(heap, i);
        if (member->is_held ||
            !vg_census_is_tensor(vg_census_class_of(work, vg_object_type(member->object))))
            continue;
        const uintptr_t address = vg_census_torch_read(&work->torch, member->object).address;
        struct vg_census_storage *const storage = vg_census_storage_at(work, address);
        if (!storage || storage->is_attributed || storage->is_garbage)
            continue;
        storage->is_garbage = true;
        vg_census_amount_add(&work->out->garbage, storage->bytes);
    }
}

static void find_garbage(struct vg_census_work *work)
{
    struct heap heap = { .work = work,
                         .members = { .item_bytes = sizeof(struct member) },
                         .held = { .item_bytes = sizeof(uintptr_t) } };
    for (size_t i = 0; i < work->tensors.count; i++)
        if (is_unreached(work, vg_census_list_at(&work->tensors, i)))
            add_member(&heap, vg_census_list_at(&work->tensors, i));
    const bool is_closed = heap.members.count > 0 && close_over_referrers(&heap);
    const bool failed = heap.members.failed || heap.number_of.failed || work->strays.failed ||
                        work->strays_known.failed;
    if (is_closed && !failed) {
        find_held(&heap);
        if (!heap.held.failed) {
            count_garbage(&heap);
            name_garbage(&heap);
        }
    }
    vg_census_list_close(&heap.members);
    vg_census_list_close(&heap.held);
    vg_census_map_close(&heap.number_of);
}

void vg_census_walk_strays(struct vg_census_work *work)
{
    if (vg_census_is_done(work) || unexplained_bytes(work) < work->out->total.bytes / WORTH_PART)
        return;
    if (!vg_census_each_tracked(work, gather_stray))
        return;
    for (size_t i = work->running.count; i-- > 0;)
        walk_stack_of(work, (const struct vg_census_running *)work->running.items + i);
    if (!vg_census_is_done(work))
        find_garbage(work);
}

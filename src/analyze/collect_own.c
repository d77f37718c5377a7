#include "analyze/collect_own.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "analyze/label.h"
#include "analyze/native_names.h"
#include "analyze/python_frame.h"
#include "base/clock.h"
#include "record/stack_merge.h"

/* ---- names of frames ---- */

static void note_frames(const uint64_t *addresses, uint32_t count, struct vg_native_names *names)
{
    for (uint32_t i = 0; i < count; i++)
        vg_native_names_add(names, addresses[i]);
}

static uint32_t name_frames(const uint64_t *addresses, uint32_t count,
                            struct vg_native_names *names, struct vg_oom_frame *out)
{
    if (count > VG_OOM_FRAMES)
        count = VG_OOM_FRAMES;
    for (uint32_t i = 0; i < count; i++)
        vg_native_names_get(names, addresses[i], &out[i]);
    return count;
}

/* Names the frames of a recorded stack, native and Python. Returns how many. */
static uint32_t name_stack(struct vg_recorder *recorder, const struct vg_journal_stack *stack,
                           struct vg_native_names *names, struct vg_oom_frame *out)
{
    struct vg_stack_cursor cursor = { 0 };
    struct vg_stack_item item;
    uint32_t used = 0;
    while (used < VG_OOM_FRAMES && vg_stack_next(stack, &cursor, &item)) {
        if (item.python)
            vg_python_frame_describe(vg_recorder_code_record(recorder, item.python->code_id),
                                     item.python->line, &out[used++]);
        else
            vg_native_names_get(names, item.address, &out[used++]);
    }
    return used;
}

/* The failing call's recorded stack, NULL: it has only `failure->frames`. */
static const struct vg_journal_stack *failing_stack(const struct vg_failure *failure)
{
    return vg_recorder_stack_record(failure->tables.recorder, failure->stack_id);
}

static void note_failing_call(const struct vg_failure *failure, struct vg_native_names *names)
{
    const struct vg_journal_stack *const stack = failing_stack(failure);
    if (stack)
        note_frames(stack->frames, stack->depth, names);
    else
        note_frames(failure->frames, failure->frame_count, names);
}

static uint32_t name_failing_call(const struct vg_failure *failure, struct vg_native_names *names,
                                  struct vg_oom_frame *out)
{
    const struct vg_journal_stack *const stack = failing_stack(failure);
    return stack ? name_stack(failure->tables.recorder, stack, names, out)
                 : name_frames(failure->frames, failure->frame_count, names, out);
}

_Static_assert((int)VG_OOM_FRAMES >= (int)VG_STACK_FRAMES + (int)VG_PYTHON_FRAMES,
               "every recorded stack fits");
_Static_assert((int)VG_KIND_COUNT <= (int)VG_OOM_KINDS, "every kind has a sum");

enum { EIGHTHS = 8 };

struct site_sum {
    uint64_t bytes, count;
    uint64_t first_ns;      /* CLOCK_MONOTONIC; 0 none */
    uint32_t made[EIGHTHS]; /* allocations by eighth of the time from first_ns to now */
    uint8_t by_pytorch;     /* enum judgement */
};

enum judgement { UNJUDGED, BY_PYTORCH, BY_OTHERS };

struct sums {
    struct vg_oom_report *out;
    struct site_sum *sites; /* [stack id], or NULL when there was no memory for it */
    uint32_t site_cap;
    uint16_t device;
    uint64_t now_ns;
    struct vg_recorder *recorder;
    struct vg_caller_map callers;
};

/* ---- what is PyTorch's ---- */

static enum judgement judge_stack(const struct sums *sums, uint32_t stack_id)
{
    const struct vg_journal_stack *const stack = vg_recorder_stack_record(sums->recorder, stack_id);
    if (!stack || stack->depth == 0)
        return UNJUDGED;
    return vg_caller_is_pytorch(&sums->callers, stack->frames, stack->depth) ? BY_PYTORCH
                                                                             : BY_OTHERS;
}

static enum vg_run_torch_backend backend_of(uint16_t kind)
{
    switch (kind) {
    case VG_KIND_DEVICE: return VG_TORCH_NATIVE;
    case VG_KIND_VIRTUAL: return VG_TORCH_EXPANDABLE;
    case VG_KIND_ASYNC: return VG_TORCH_ASYNC;
    default: return VG_TORCH_BACKENDS;
    }
}

static void add_to_pytorch(struct sums *sums, const struct vg_allocation *allocation,
                           struct site_sum *site)
{
    struct vg_oom_torch *const torch = &sums->out->torch;
    const enum vg_run_torch_backend backend = backend_of(allocation->kind);
    if (!torch->loaded || backend == VG_TORCH_BACKENDS)
        return;
    if (site->count == 0) /* the first of its stack */
        site->by_pytorch = (uint8_t)judge_stack(sums, allocation->stack_id);
    if (site->by_pytorch == UNJUDGED)
        torch->unjudged = 1;
    if (site->by_pytorch != BY_PYTORCH)
        return;
    torch->bytes[backend] += allocation->bytes;
    torch->count[backend]++;
}

/* ---- all that is live ---- */

static bool is_spilled(uint16_t kind)
{
    return kind == VG_KIND_SPILLED || kind == VG_KIND_SPILLED_VIRTUAL;
}

/* What need not be on the device is no reason why something else did not fit there. */
static bool moves(const struct vg_allocation *allocation)
{
    return (vg_kind_traits(allocation->kind) & VG_TRAIT_MOVES) != 0;
}

static struct site_sum *site_of(const struct sums *sums, const struct vg_allocation *allocation)
{
    return &sums->sites[allocation->stack_id < sums->site_cap ? allocation->stack_id : 0];
}

static void add_allocation(const struct vg_allocation *allocation, void *argument)
{
    struct sums *const sums = argument;
    if (is_spilled(allocation->kind)) {
        sums->out->spilled_bytes += allocation->bytes;
        sums->out->spilled_count++;
    } else if (allocation->device == VG_FILE_HOST) {
        sums->out->pinned_bytes += allocation->bytes;
        sums->out->pinned_count++;
    }
    if (allocation->device != sums->device || allocation->bytes == 0)
        return;
    if (allocation->kind < VG_OOM_KINDS) {
        sums->out->kind_bytes[allocation->kind] += allocation->bytes;
        sums->out->kind_count[allocation->kind]++;
    }
    if (moves(allocation))
        return;
    sums->out->live_bytes += allocation->bytes;
    sums->out->live_count++;
    sums->out->size_class_count[63 - __builtin_clzll(allocation->bytes)]++;
    if (sums->sites) {
        struct site_sum *const site = site_of(sums, allocation);
        add_to_pytorch(sums, allocation, site);
        site->bytes += allocation->bytes;
        site->count++;
        if (site->first_ns == 0 || allocation->monotonic_ns < site->first_ns)
            site->first_ns = allocation->monotonic_ns;
    }
}

/* With the beginning of each site known: when were its allocations made? */
static void add_time(const struct vg_allocation *allocation, void *argument)
{
    struct sums *const sums = argument;
    if (allocation->device != sums->device || allocation->bytes == 0 || moves(allocation))
        return;
    struct site_sum *const site = site_of(sums, allocation);
    const uint64_t made_ns = allocation->monotonic_ns;
    if (site->first_ns == 0 || made_ns < site->first_ns || made_ns > sums->now_ns)
        return;
    const uint64_t part_ns = (sums->now_ns - site->first_ns) / EIGHTHS + 1;
    site->made[(made_ns - site->first_ns) / part_ns]++;
}

/* Does every eighth of the time have its share, as where each step of a program keeps some more? A
 * quarter to three times of it, since steps and eighths do not meet. */
static bool is_steady(const struct site_sum *site)
{
    for (int i = 0; i < EIGHTHS; i++) {
        const uint64_t made = (uint64_t)site->made[i] * EIGHTHS;
        if (made * 4 < site->count || made > site->count * 3)
            return false;
    }
    return site->count >= 2 * EIGHTHS;
}

/* Index of the largest site that is left, or site_cap. */
static uint32_t largest_site(const struct sums *sums)
{
    uint32_t best = sums->site_cap;
    for (uint32_t id = 0; id < sums->site_cap; id++)
        if (sums->sites[id].count > 0 &&
            (best == sums->site_cap || sums->sites[id].bytes > sums->sites[best].bytes))
            best = id;
    return best;
}

/* Too large for a thread's small stack. One report is made at a time (emit.c). */
static struct vg_oom_frame site_frames[VG_OOM_FRAMES]; /* of the site being labelled */
static struct vg_native_names report_names;

/* Of `frames`, innermost first, those of the program's own Python code: the first and the second.
 */
static void name_line(const struct vg_oom_frame *frames, uint32_t count, char *out, size_t cap)
{
    const struct vg_oom_frame *own[2] = { NULL, NULL };
    for (uint32_t i = 0; i < count && !own[1]; i++)
        if (frames[i].is_python && !frames[i].is_library)
            own[own[0] != NULL] = &frames[i];
    out[0] = '\0';
    if (own[1])
        snprintf(out, cap, "%s %s" VG_LABEL_SEPARATOR "%s %s", own[1]->location,
                 vg_python_frame_short_name(own[1]), own[0]->location,
                 vg_python_frame_short_name(own[0]));
    else if (own[0])
        snprintf(out, cap, "%s %s", own[0]->location, vg_python_frame_short_name(own[0]));
}

static const struct vg_journal_stack *stack_of(const struct sums *sums, uint32_t stack_id)
{
    return vg_recorder_stack_record(sums->recorder, stack_id);
}

static void fill_site(const struct sums *sums, uint32_t stack_id, struct vg_oom_site *out)
{
    const struct site_sum *const sum = &sums->sites[stack_id];
    *out = (struct vg_oom_site){ .bytes = sum->bytes,
                                 .count = sum->count,
                                 .stack_id = stack_id,
                                 .steady = stack_of(sums, stack_id) && is_steady(sum),
                                 .span_ns = sums->now_ns - sum->first_ns };
}

static void label_site(const struct sums *sums, struct vg_oom_site *out)
{
    const struct vg_journal_stack *const stack = stack_of(sums, out->stack_id);
    if (stack) {
        const uint32_t count = name_stack(sums->recorder, stack, &report_names, site_frames);
        vg_label_from_frames(site_frames, count, out->label, sizeof out->label);
        name_line(site_frames, count, out->line, sizeof out->line);
    }
    if (!out->label[0])
        snprintf(out->label, sizeof out->label, "%s",
                 stack ? "(stack without names)" : "(no stack recorded)");
}

/* Moves the largest sites to `out`, without their labels; the rest is summed up. */
static void choose_sites(struct sums *sums)
{
    struct vg_oom_report *const out = sums->out;
    uint32_t id;
    while (out->site_count < VG_OOM_SITES && (id = largest_site(sums)) != sums->site_cap) {
        fill_site(sums, id, &out->sites[out->site_count++]);
        sums->sites[id] = (struct site_sum){ 0 };
    }
    for (id = 0; id < sums->site_cap; id++) {
        out->other_site_count += sums->sites[id].count > 0;
        out->other_site_bytes += sums->sites[id].bytes;
        out->other_site_allocations += sums->sites[id].count;
    }
}

static void collect_sites(struct sums *sums)
{
    struct vg_oom_report *const out = sums->out;
    choose_sites(sums);
    for (uint32_t i = 0; i < out->site_count; i++) {
        const struct vg_journal_stack *const stack = stack_of(sums, out->sites[i].stack_id);
        if (stack)
            note_frames(stack->frames, stack->depth, &report_names);
    }
    for (uint32_t i = 0; i < out->site_count; i++)
        label_site(sums, &out->sites[i]);
}

static void collect_live(const struct vg_failure *failure, struct vg_oom_report *out)
{
    struct vg_recorder *const recorder = failure->tables.recorder;
    const uint32_t stacks = __atomic_load_n(&recorder->stacks.count, __ATOMIC_RELAXED);
    struct sums sums = { .out = out,
                         .site_cap = stacks + 1,
                         .device = (uint16_t)(failure->device % VG_FILE_DEVICES),
                         .now_ns = vg_clock_monotonic_ns(),
                         .recorder = recorder };
    vg_caller_map_modules(&sums.callers);
    out->torch.loaded = sums.callers.pytorch;
    snprintf(out->torch.settings, sizeof out->torch.settings, "%s",
             failure->tables.torch_settings ? failure->tables.torch_settings : "");
    const size_t map_bytes = sums.site_cap * sizeof(struct site_sum);
    void *const map =
        mmap(NULL, map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map != MAP_FAILED)
        sums.sites = map;
    vg_live_index_each(failure->tables.track, add_allocation, &sums);
    if (sums.sites) {
        vg_live_index_each(failure->tables.track, add_time, &sums);
        collect_sites(&sums);
        munmap(map, map_bytes);
    }
}

void vg_collect_where(const struct vg_failure *failure, char *out, size_t cap)
{
    static atomic_flag busy = ATOMIC_FLAG_INIT;
    static struct vg_oom_frame frames[VG_OOM_FRAMES]; /* too large for a thread's stack */
    static struct vg_native_names names;
    out[0] = '\0';
    if (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire))
        return;
    vg_native_names_clear(&names);
    note_failing_call(failure, &names);
    const uint32_t count = name_failing_call(failure, &names, frames);
    vg_label_from_frames(frames, count, out, cap);
    atomic_flag_clear_explicit(&busy, memory_order_release);
}

static void collect_device(const struct vg_failure *failure, struct vg_oom_report *out)
{
    const struct vg_file_device *const device =
        &failure->tables.recorder->header->devices[failure->device % VG_FILE_DEVICES];
    out->peak_bytes = device->peak_bytes;
    out->failed_count = device->failed_count;
    collect_live(failure, out);
}

void vg_collect_own(const struct vg_failure *failure, struct vg_oom_report *out)
{
    out->stack_truncated = failure->stack_truncated;
    out->stack_id = failure->stack_id;
    vg_live_index_counts(failure->tables.track, &out->alloc_count, &out->free_count);
    out->untracked_bytes = failure->tables.track->lost_bytes;
    if (failure->tables.spilled)
        out->spill_cap_bytes = failure->tables.spilled->cap_bytes;
    vg_native_names_clear(&report_names);
    note_failing_call(failure, &report_names); /* to be looked up with the others */
    if (failure->device >= 0)
        collect_device(failure, out);
    out->frame_count = name_failing_call(failure, &report_names, out->frames);
    vg_label_from_frames(out->frames, out->frame_count, out->where, sizeof out->where);
}

#include "view/first_screen.h"

#include <string.h>

#include "analyze/account.h"
#include "analyze/outcome.h"
#include "analyze/torch_facts.h"
#include "base/amount.h"
#include "view/array_tables.h"
#include "view/block_tables.h"
#include "view/line_text.h"
#include "view/render_device.h"
#include "view/wrap.h"

enum {
    ANSWER_INDENT = 11,
    LINES_SHOWN = 8,      /* rows of the table of lines */
    ARRAYS_SHOWN = 4,     /* rows of each table of arrays */
    OWN_FRAMES_SHOWN = 4, /* of the program's own lines in `where` */
    OTHERS_NAMED = 2,
};

/* ---- where ---- */

static bool is_own_frame(const struct vg_run_frame *frame)
{
    return (frame->flags & VG_FRAME_PYTHON) && !(frame->flags & VG_FRAME_LIBRARY);
}

static void add_own_frame(struct vg_text *out, const struct vg_run_frame *frame)
{
    const struct vg_run_line line = { .path = frame->file,
                                      .file = vg_text_base_name(frame->file),
                                      .line = frame->line,
                                      .function = frame->function,
                                      .text = "" };
    vg_line_add(out, &line);
}

/* What of a library the innermost own line has called, NULL for nothing: behind what decorators
 * have put around it, as "Optimizer.profile_hook_step.<locals>.wrapper" around Adam.step. */
static const struct vg_run_frame *called_frame(const struct vg_run_stack *stack, uint32_t own)
{
    for (uint32_t i = own; i-- > 0;)
        if ((stack->frames[i].flags & VG_FRAME_PYTHON) &&
            !strstr(stack->frames[i].function, ".<locals>."))
            return &stack->frames[i];
    return NULL;
}

/* What the program called: the function of CUDA's runtime, else that of the driver. */
static const char *call_name(const struct vg_run_failure *f)
{
    const char *const runtime = strstr(f->where, "libcudart.so");
    const char *const name = runtime ? strchr(runtime, ' ') : NULL;
    return name && !strchr(name + 1, ' ') ? name + 1 : f->api;
}

/* The innermost ones, and the outermost in front of them. */
static void add_own_frames(struct vg_text *out, const struct vg_run_stack *stack,
                           uint32_t innermost, uint32_t own_count)
{
    uint32_t number = 0; /* from outside */
    for (uint32_t i = stack->frame_count; i-- > innermost;) {
        if (!is_own_frame(&stack->frames[i]))
            continue;
        number++;
        const bool is_shown = number == 1 || own_count - number < OWN_FRAMES_SHOWN - 1 ||
                              own_count <= OWN_FRAMES_SHOWN;
        if (is_shown) {
            vg_text_add(out, number > 1 ? " > " : "");
            add_own_frame(out, &stack->frames[i]);
        } else if (number == 2) {
            vg_text_add(out, " > ...");
        }
    }
}

/* Where the failing call was made: "train.py:28 main > net.py:17 Net.forward > net.py:10
 * Block.forward (torch.sigmoid)", the program's own lines, or the label of the whole stack where it
 * has none. */
static void add_call_place(struct vg_text *out, const struct vg_run_failure *f)
{
    const struct vg_run_stack *const stack = &f->stack;
    uint32_t own_count = 0, innermost = stack->frame_count;
    for (uint32_t i = 0; i < stack->frame_count; i++)
        if (is_own_frame(&stack->frames[i])) {
            own_count++;
            innermost = innermost < i ? innermost : i;
        }
    if (own_count == 0) {
        vg_line_add_main(out, f);
        vg_text_add(out, f->where[0] ? f->where : f->api[0] ? f->api : "unknown");
        if (!f->where[0])
            vg_text_add(out, " (no stack was recorded)");
        return;
    }
    add_own_frames(out, stack, innermost, own_count);
    const struct vg_run_frame *const called = called_frame(stack, innermost);
    if (called)
        vg_text_addf(out, " (%s)", called->function);
    else if (!vg_torch_is_used(f))
        vg_text_addf(out, " > %s", call_name(f));
}

/* ---- the GPU in a line ---- */

static void add_others(struct vg_text *out, const struct vg_run_failure *f,
                       const struct vg_report_account *a)
{
    char note[VG_PROCESS_NOTE_CAP];
    uint32_t named = 0, count = 0;
    for (uint32_t i = 0; i < f->device.process_count; i++) {
        const struct vg_run_other *const other = &f->device.processes[i];
        if ((int32_t)i == a->self_process || (vg_amount_known(other->bytes) && other->bytes == 0))
            continue;
        count++;
        if (named == OTHERS_NAMED)
            continue;
        named++;
        if (other->pid != VG_PROCESS_ELSEWHERE)
            vg_text_addf(out, "; pid %d %s", other->pid, VG_AMOUNT(other->bytes));
        else
            vg_text_addf(out, "; %s %s", VG_MACHINE_ELSEWHERE, VG_AMOUNT(other->bytes));
        if (vg_render_process_note(note, other)[0])
            vg_text_addf(out, " (%s)", note);
    }
    if (count > named)
        vg_text_addf(out, "; %u more process%s", count - named, count - named == 1 ? "" : "es");
    if (count == 0 && a->rest == VG_REST_NO_NVML)
        vg_text_add(out, "; other processes are unknown without NVML");
    else if (count == 0)
        vg_text_add(out, "; no other process");
}

static void add_gpu_line(struct vg_text *out, const struct vg_run_failure *f, size_t columns)
{
    char data[512], key[24];
    struct vg_report_account a;
    struct vg_text text = vg_text_over(data, sizeof data);
    struct vg_text key_text = vg_text_over(key, sizeof key);
    if (f->device.gpu.ordinal < 0)
        return;
    vg_report_account_compute(f, &a);
    vg_text_addf(&key_text, "GPU %d", f->device.gpu.ordinal);
    vg_text_addf(&text, "this process %s", VG_AMOUNT(a.tracked_bytes));
    if (a.kept_bytes > 0)
        vg_text_addf(&text, " + %s kept in pools", VG_AMOUNT(a.kept_bytes));
    if (vg_amount_known(a.context_bytes))
        vg_text_addf(&text, " + context %s", VG_AMOUNT(a.context_bytes));
    add_others(&text, f, &a);
    if (a.rest == VG_REST_UNACCOUNTED && a.rest_bytes > 0)
        vg_text_addf(&text, "; %s used by nobody that is known", VG_AMOUNT((uint64_t)a.rest_bytes));
    if (f->torch.tells_blocks)
        vg_text_addf(&text, "; PyTorch's cache %s", VG_AMOUNT(f->torch.unused_bytes));
    vg_wrap_add_keyed(out, key, data, ANSWER_INDENT, columns, VG_WRAP_WORDS);
}

/* ---- all of it ---- */

static void add_where(struct vg_text *out, const struct vg_run_failure *f, size_t columns)
{
    char data[1024];
    struct vg_text text = vg_text_over(data, sizeof data);
    add_call_place(&text, f);
    vg_wrap_add_keyed(out, "where", data, ANSWER_INDENT, columns, VG_WRAP_LABEL);
}

/* Has it brought nothing, as whoever sees the rest of the screen would expect? `vramguard report`
 * tells of it all the same. */
static bool is_plain(const struct vg_oom_action *action)
{
    if (strcmp(action->name, "flush") == 0)
        return true;
    if (strcmp(action->name, "wait") == 0)
        return action->outcome_count == 1 && action->outcomes[0].code == VG_OUTCOME_SKIPPED_ALONE;
    return strcmp(action->name, "trim") == 0 && action->recovered_bytes == 0;
}

static void add_actions(struct vg_text *out, const struct vg_run_failure *f, size_t columns)
{
    const char *key = "tried";
    for (uint32_t i = 0; i < f->action_count; i++) {
        if (vg_block_tables_are_known(f) && is_plain(&f->actions[i]))
            continue;
        vg_report_add_action(out, &f->actions[i], key, ANSWER_INDENT, columns);
        key = "";
    }
}

/* PyTorch's tensors, or the largest sites of the driver's allocations. */
static void add_tables(struct vg_text *out, const struct vg_run_failure *f, size_t columns)
{
    if (!vg_block_tables_are_known(f) && f->device.live_count == 0)
        return;
    vg_text_add(out, "\n");
    if (vg_block_tables_are_known(f))
        vg_block_tables_add(out, f, LINES_SHOWN, columns);
    else
        vg_report_add_sites(out, f, columns);
    vg_array_tables_add(out, f, ARRAYS_SHOWN, columns);
}

void vg_first_screen_render(const struct vg_run_failure *f, struct vg_report_style style,
                            struct vg_text *out)
{
    const size_t columns = vg_report_columns(style);
    vg_report_add_headline(out, f, style);
    vg_report_add_cause(out, f, columns);
    add_where(out, f, columns);
    add_tables(out, f, columns);
    add_gpu_line(out, f, columns);
    add_actions(out, f, columns);
    vg_report_add_command(out, f, "more", ANSWER_INDENT, columns);
    vg_report_end_text(out, style);
}

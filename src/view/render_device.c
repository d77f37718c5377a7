#include "view/render_device.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "analyze/account.h"
#include "base/amount.h"
#include "base/command_name.h"
#include "view/wrap.h"

/* "    <label>  <amount>  <share>  <bar>  <note>" */
enum {
    LABEL_INDENT = 4,
    LABEL_WIDTH = 28,
    LABEL_WIDTH_MAX = 60,
    AMOUNT_WIDTH = 10,
    SHARE_WIDTH = 7,
    BAR_WIDTH = 12,
    COMMAND_CAP = 256,
    PROCESS_CAP = COMMAND_CAP + 32,
    LABEL_CAP = 4 * LABEL_WIDTH_MAX + 8,
};

struct columns {
    size_t label, bar;
    uint64_t total_bytes;
};

static bool is_listed(const struct vg_report_account *a, uint32_t i)
{
    return i < a->listed_end && (int32_t)i != a->self_process;
}

/* Appends `piece` to `note` if it fits. */
static void add_note(char *note, const char *piece)
{
    const size_t length = strlen(note);
    if (length + strlen(piece) + 3 <= VG_PROCESS_NOTE_CAP)
        snprintf(note + length, VG_PROCESS_NOTE_CAP - length, "%s%s", length ? ", " : "", piece);
}

static void add_relation(char *note, const struct vg_run_other *process)
{
    char piece[VG_PROCESS_NOTE_CAP] = "same job";
    if (process->flags & VG_PROCESS_PARENT)
        add_note(note, "started this process");
    else if (process->flags & VG_PROCESS_CHILD)
        add_note(note, "started by this process");
    else if (process->flags & VG_PROCESS_JOB && process->rank < 0)
        add_note(note, piece);
    else if (process->flags & VG_PROCESS_JOB) {
        snprintf(piece, sizeof piece, "same job, rank %d", process->rank);
        add_note(note, piece);
    } else if (process->flags & VG_PROCESS_ORPHAN)
        add_note(note, "its parent has ended");
}

const char *vg_render_process_note(char *out, const struct vg_run_other *process)
{
    char piece[VG_PROCESS_NOTE_CAP];
    out[0] = '\0';
    add_relation(out, process);
    if (process->flags & VG_PROCESS_GUARDED)
        add_note(out, "guarded");
    if (process->flags & VG_PROCESS_WAITING)
        add_note(out, "waiting");
    if (process->idle_bytes > 0 && vg_amount_known(process->idle_bytes)) {
        snprintf(piece, sizeof piece, "%s unused", VG_AMOUNT(process->idle_bytes));
        add_note(out, piece);
    }
    return out;
}

/* `out` has PROCESS_CAP bytes. */
static void process_label(char *out, const struct vg_run_other *process)
{
    char command[COMMAND_CAP];
    struct vg_text label = vg_text_over(out, PROCESS_CAP);
    if (process->pid == VG_PROCESS_ELSEWHERE) {
        vg_text_add(&label, VG_MACHINE_ELSEWHERE);
        return;
    }
    vg_command_short(command, sizeof command, process->command);
    vg_text_addf(&label, "pid %d %s", process->pid,
                 process->flags & VG_PROCESS_INVISIBLE ? "(not visible here)" : command);
}

/* Labels get what room they need, then bars and notes get theirs. */
static struct columns measure_columns(const struct vg_run_failure *s,
                                      const struct vg_report_account *a, size_t columns)
{
    char label[PROCESS_CAP], text[VG_PROCESS_NOTE_CAP];
    size_t label_width = LABEL_WIDTH, note_width = 0;
    for (uint32_t i = 0; i < a->listed_end; i++) {
        if (!is_listed(a, i))
            continue;
        process_label(label, &s->device.processes[i]);
        const size_t width = vg_wrap_width(label),
                     note = strlen(vg_render_process_note(text, &s->device.processes[i]));
        label_width = width > label_width ? width : label_width;
        note_width = note > 0 && note + 2 > note_width ? note + 2 : note_width;
    }
    const size_t room = columns - LABEL_INDENT - AMOUNT_WIDTH - SHARE_WIDTH - 2 - note_width;
    struct columns c = { .total_bytes = a->total_bytes, .label = room, .bar = 0 };
    if (room >= LABEL_WIDTH + BAR_WIDTH)
        c.label = room - BAR_WIDTH;
    else if (room > LABEL_WIDTH)
        c.label = LABEL_WIDTH;
    c.bar = room - c.label;
    if (c.label > label_width)
        c.label = label_width;
    if (c.label > LABEL_WIDTH_MAX)
        c.label = LABEL_WIDTH_MAX;
    return c;
}

static void add_share(struct vg_text *out, uint64_t bytes, uint64_t total_bytes)
{
    /* Both below 2^56: no overflow. */
    const uint64_t percent = (bytes * 100 + total_bytes / 2) / total_bytes;
    if (percent == 0 && bytes > 0)
        vg_text_add(out, "   <1 %");
    else
        vg_text_addf(out, "%5llu %%", (unsigned long long)percent);
}

/* One line. Negative amounts have no share and no bar. */
static void add_row(struct vg_text *out, const struct columns *c, const char *label, bool known,
                    int64_t bytes, const char *note)
{
    char amount[VG_SIZE_TEXT_CAP], cut[LABEL_CAP];
    vg_wrap_cut(cut, sizeof cut, label, c->label);
    vg_text_pad(out, ' ', LABEL_INDENT);
    vg_text_add(out, cut);
    vg_text_pad(out, ' ', (long)c->label - (long)vg_wrap_width(cut));
    vg_text_addf(out, "%*s", AMOUNT_WIDTH,
                 known ? vg_amount_format_column(amount, bytes, c->total_bytes) : "unknown");
    if (known && bytes >= 0 && c->total_bytes != VG_BYTES_UNKNOWN) {
        add_share(out, (uint64_t)bytes, c->total_bytes);
        uint64_t marks = ((uint64_t)bytes * c->bar + c->total_bytes / 2) / c->total_bytes;
        if (marks == 0 && (uint64_t)bytes >= c->total_bytes / 50)
            marks = 1;
        if (marks > c->bar)
            marks = c->bar;
        vg_text_add(out, marks > 0 ? "  " : "");
        vg_text_pad(out, '#', (long)marks);
    }
    if (note[0])
        vg_text_addf(out, "  %s", note);
    vg_text_add(out, "\n");
}

static void add_known(struct vg_text *out, const struct columns *c, const char *label,
                      uint64_t bytes, const char *note)
{
    const bool known = vg_amount_known(bytes);
    add_row(out, c, label, known, known ? (int64_t)bytes : 0, note);
}

static void add_processes(struct vg_text *out, const struct vg_run_failure *s,
                          const struct vg_report_account *a, const struct columns *c)
{
    char data[PROCESS_CAP], note[VG_PROCESS_NOTE_CAP];
    for (uint32_t i = 0; i < a->listed_end; i++) {
        if (!is_listed(a, i))
            continue;
        process_label(data, &s->device.processes[i]);
        add_known(out, c, data, s->device.processes[i].bytes,
                  vg_render_process_note(note, &s->device.processes[i]));
    }
    if (a->unlisted_count > 0 || a->unlisted_bytes > 0) {
        struct vg_text label = vg_text_over(data, sizeof data);
        if (a->unlisted_count > 0)
            vg_text_addf(&label, "%u more process%s", a->unlisted_count,
                         a->unlisted_count == 1 ? "" : "es");
        else
            vg_text_add(&label, "further processes");
        add_known(out, c, data, a->unlisted_bytes, "");
    }
}

static void add_rest(struct vg_text *out, const struct vg_report_account *a,
                     const struct columns *c)
{
    static const char *const labels[] = {
        [VG_REST_UNACCOUNTED] = "not accounted for",
        [VG_REST_OVERLAP] = "counted twice or moved",
        [VG_REST_NO_NVML] = "other processes, contexts",
        [VG_REST_NO_CONTEXT] = "context etc., unaccounted",
        [VG_REST_NO_FREE] = "free or not accounted for",
    };
    if (a->rest != VG_REST_NONE)
        add_row(out, c, labels[a->rest], true, a->rest_bytes, "");
}

/* "  GPU 0  Tesla K80  GPU-5f3c2a10  driver 580.159, CUDA 13.0      11.17 GiB": what does not fit
 * is left out, the number and the total come first. */
static void add_title(struct vg_text *out, const struct vg_run_failure *s, size_t columns)
{
    char total[VG_SIZE_TEXT_CAP], data[160], piece[96];
    struct vg_text title = vg_text_over(data, sizeof data);
    vg_amount_format(total,
                     s->device.gpu.total_bytes ? s->device.gpu.total_bytes : VG_BYTES_UNKNOWN);
    const size_t room = columns - strlen(total) - 2;
    vg_text_add(&title, "  GPU");
    if (s->device.gpu.ordinal >= 0)
        vg_text_addf(&title, " %d", s->device.gpu.ordinal);
    bool has_driver = false;
    for (int i = 0; i < 4; i++) {
        struct vg_text text = vg_text_over(piece, sizeof piece);
        if (i == 0 && s->device.gpu.name[0])
            vg_text_addf(&text, "  %s", s->device.gpu.name);
        else if (i == 1 && s->device.gpu.uuid[0])
            vg_text_addf(&text, "  %.12s", s->device.gpu.uuid);
        else if (i == 2 && s->driver_version[0])
            vg_text_addf(&text, "  driver %s", s->driver_version);
        else if (i == 3 && s->cuda_version > 0)
            vg_text_addf(&text, "%s CUDA %d.%d", has_driver ? "," : " ", s->cuda_version / 1000,
                         s->cuda_version % 1000 / 10);
        if (vg_wrap_width(data) + vg_wrap_width(piece) <= room) {
            vg_text_add(&title, piece);
            has_driver = has_driver || (i == 2 && text.length > 0);
        }
    }
    vg_text_add(out, data);
    vg_text_pad(out, ' ', (long)(room + 2) - (long)vg_wrap_width(data));
    vg_text_addf(out, "%s\n", total);
}

void vg_render_device(struct vg_text *out, const struct vg_run_failure *s, size_t columns)
{
    struct vg_report_account a;
    vg_report_account_compute(s, &a);
    const struct columns c = measure_columns(s, &a, columns);
    add_title(out, s, columns);
    add_known(out, &c, "this process, tracked", a.tracked_bytes, "");
    if (a.kept_bytes > 0)
        add_known(out, &c, "this process, kept in pools", a.kept_bytes, "");
    /* Without NVML it is part of the rest, whose label says so. */
    if (vg_amount_known(a.context_bytes))
        add_known(out, &c,
                  a.managed_most_bytes > 0 ? "context, managed memory"
                                           : "this process, context etc.",
                  a.context_bytes, "");
    add_processes(out, s, &a, &c);
    add_rest(out, &a, &c);
    add_known(out, &c, "free", a.free_bytes, "");
    if (s->device.limit_bytes > 0 && vg_amount_known(s->device.limit_bytes) &&
        vg_amount_known(s->device.limit_left_bytes))
        vg_text_addf(out, "    (VRAMGUARD_LIMIT allows %s of it, of which %s are left)\n",
                     VG_AMOUNT(s->device.limit_bytes), VG_AMOUNT(s->device.limit_left_bytes));
    if (a.managed_bytes > 0)
        vg_text_addf(out, "    (managed memory: %s, at most %s of it here)\n",
                     VG_AMOUNT(a.managed_bytes), VG_AMOUNT(a.managed_most_bytes));
    if (a.rest == VG_REST_NO_NVML)
        vg_text_addf(out, "    (other processes are unknown: NVML %s)\n",
                     s->device.others_known ? "does not tell" : "is not available");
}

#include "view/render.h"

#include <string.h>

#include "analyze/account.h"
#include "analyze/label.h"
#include "base/amount.h"
#include "base/command_name.h"
#include "record/kind.h"
#include "view/advice.h"
#include "view/advice_filter.h"
#include "view/array_tables.h"
#include "view/batch_text.h"
#include "view/block_tables.h"
#include "view/histogram.h"
#include "view/line_text.h"
#include "view/outcome_text.h"
#include "view/render_device.h"
#include "view/render_torch.h"
#include "view/wrap.h"

enum {
    COLUMNS_MIN = 60,
    COLUMNS_MAX = 200,
    ANSWER_INDENT = 11,
    EVIDENCE_INDENT = 12,
    SITES_SHOWN = 5,
    BLOCK_LINES_SHOWN = 16,
    COMMAND_CAP = 1024,
    PATH_CAP = 4096,
    SITE_INDENT = 24,
    CUDA_OUT_OF_MEMORY = 2, /* CUresult (CUDA Driver API, section Data types used by CUDA driver) */
};

static const char red[] = "\033[1;31m", dim[] = "\033[2m", plain[] = "\033[0m";

size_t vg_report_columns(struct vg_report_style style)
{
    if (style.columns == 0)
        return VG_REPORT_COLUMNS;
    if (style.columns < COLUMNS_MIN)
        return COLUMNS_MIN;
    return style.columns > COLUMNS_MAX ? COLUMNS_MAX : style.columns;
}

static void add_color(struct vg_text *out, struct vg_report_style style, const char *sequence)
{
    if (style.color)
        vg_text_add(out, sequence);
}

/* ---- headline ---- */

/* "0 B of 11.17 GiB is free" */
static void add_free_of_total(struct vg_text *out, const struct vg_run_failure *s)
{
    const uint64_t total_bytes = s->device.gpu.total_bytes;
    const uint64_t available = vg_report_available(s);
    if (!vg_amount_known(available)) {
        vg_text_add(out, "how much is free is unknown");
        return;
    }
    vg_text_add(out, VG_AMOUNT(available));
    if (vg_report_is_limited(s))
        vg_text_addf(out, " of the %s that VRAMGUARD_LIMIT allows",
                     VG_AMOUNT(s->device.limit_bytes));
    else if (vg_amount_known(total_bytes) && total_bytes > 0)
        vg_text_addf(out, " of %s", VG_AMOUNT(total_bytes));
    vg_text_add(out, " is free");
}

/* "train.py asked 16.0 MiB; " */
static void add_request(struct vg_text *out, const struct vg_run_failure *s)
{
    char program[128];
    if (!vg_amount_known(s->asked_bytes))
        return;
    vg_command_program(program, sizeof program, s->process->command);
    vg_text_add(out, program[0] ? program : "the program");
    if (s->process->rank >= 0)
        vg_text_addf(out, " (rank %d of %d)", s->process->rank, s->process->world_size);
    vg_text_addf(out, " asked %s; ", VG_AMOUNT(s->asked_bytes));
}

const char *vg_report_kind(uint32_t refused_by)
{
    return refused_by == VG_REFUSED_BY_PYTORCH ? "refused by PyTorch's own limit" : "out of memory";
}

static void add_headline(struct vg_text *out, const struct vg_run_failure *s)
{
    const bool asked = vg_amount_known(s->asked_bytes);
    vg_text_add(out, "vramguard: GPU");
    if (s->device.gpu.ordinal >= 0)
        vg_text_addf(out, " %d", s->device.gpu.ordinal);
    if (s->refused_by == VG_REFUSED_BY_INJECT) {
        vg_text_add(out, " out of memory, injected: ");
        add_request(out, s);
    } else if (s->refused_by == VG_REFUSED_BY_DRIVER && asked && vg_report_deficit(s) == 0) {
        vg_text_addf(out, " refused %s, though ", VG_AMOUNT(s->asked_bytes));
    } else {
        vg_text_addf(out, " %s", vg_report_kind(s->refused_by));
        if (!asked)
            vg_text_addf(out, " in %s", s->api[0] ? s->api : "an unknown call");
        vg_text_add(out, ": ");
        add_request(out, s);
    }
    add_free_of_total(out, s);
    if (s->error != CUDA_OUT_OF_MEMORY && s->error != 0)
        vg_text_addf(out, " (CUDA error %d)", s->error);
}

void vg_report_add_headline(struct vg_text *out, const struct vg_run_failure *s,
                            struct vg_report_style style)
{
    add_color(out, style, red);
    add_headline(out, s);
    add_color(out, style, plain);
    vg_text_add(out, "\n");
}

void vg_report_render_first_line(const struct vg_run_failure *s, struct vg_text *out)
{
    add_headline(out, s);
    vg_text_add(out, "\n");
}

void vg_report_render_rank_line(const struct vg_run_failure *s, int32_t teller, struct vg_text *out)
{
    add_headline(out, s);
    vg_text_addf(out, "; the report of rank %d says why\n", teller);
}

/* ---- answer: where, why, do, run ---- */

static void add_where(struct vg_text *out, const struct vg_run_failure *s, size_t columns)
{
    char data[VG_LABEL_CAP + 64];
    struct vg_text where = vg_text_over(data, sizeof data);
    vg_line_add_main(&where, s);
    if (strstr(s->where, "libcudart.so") || vg_text_ends_with(s->where, VG_LABEL_TORCH) ||
        (s->where[0] && !s->api[0]))
        vg_text_add(&where, s->where);
    else if (s->where[0]) /* the program, or a runtime inside it, called the driver itself */
        vg_text_addf(&where, "%s" VG_LABEL_SEPARATOR "%s", s->where, s->api);
    else
        vg_text_addf(&where, "%s (no stack was recorded)", s->api[0] ? s->api : "unknown");
    vg_wrap_add_keyed(out, "where", data, ANSWER_INDENT, columns, VG_WRAP_LABEL);
}

void vg_report_add_cause(struct vg_text *out, const struct vg_run_failure *s, size_t columns)
{
    char data[VG_ADVICE_TEXT_CAP];
    const struct vg_advice_row *const row = vg_advice_find(s);
    struct vg_text text = vg_text_over(data, sizeof data);
    row->cause(s, &text);
    vg_wrap_add_keyed(out, "why", data, ANSWER_INDENT, columns, VG_WRAP_WORDS);
    text = vg_text_over(data, sizeof data);
    vg_advice_add(row, s, &text);
    vg_wrap_add_keyed(out, "do", data, ANSWER_INDENT, columns, VG_WRAP_WORDS);
}

static void add_run(struct vg_text *out, const struct vg_run_failure *s, size_t columns)
{
    char data[COMMAND_CAP + 96];
    struct vg_text run = vg_text_over(data, sizeof data);
    vg_text_addf(&run, "%s (pid %d",
                 s->process->command[0] ? s->process->command : "command unknown", s->process->pid);
    if (s->thread_id != 0 && s->thread_id != (uint32_t)s->process->pid)
        vg_text_addf(&run, ", thread %u %s", s->thread_id, s->thread_name);
    vg_text_add(&run, ")");
    vg_wrap_add_keyed(out, "run", data, ANSWER_INDENT, columns, VG_WRAP_WORDS);
}

/* ---- evidence: live allocations ---- */

static void add_site(struct vg_text *out, const struct vg_run_device *d, uint64_t bytes,
                     uint64_t count, const char *label, size_t columns)
{
    char amount[VG_SIZE_TEXT_CAP], times[16], fitted[VG_LABEL_CAP];
    vg_amount_format_column(amount, (int64_t)bytes, d->live_bytes);
    /* Eight digits are more than a recorder file can hold. */
    struct vg_text text = vg_text_over(times, sizeof times);
    vg_text_addf(&text, "%llux", (unsigned long long)(count > 99999999 ? 99999999 : count));
    vg_text_addf(out, "  %10s %9s  ", amount, times);
    /* Three lines: a place in a Python program takes some functions to be told from others. */
    vg_label_fit(fitted, sizeof fitted, label, 3 * (columns - SITE_INDENT));
    vg_wrap_add(out, fitted, SITE_INDENT, columns, VG_WRAP_LABEL);
}

/* Who asked the driver for a segment of PyTorch's allocator is not who uses it now. Where the
 * tensors are told by line, all segments are one. */
static bool is_segment_site(const struct vg_run_device *d, const struct vg_run_site *site)
{
    return site->owner == VG_OWNER_PYTORCH && d->sites[VG_LEVEL_BLOCKS].is_known &&
           d->sites[VG_LEVEL_BLOCKS].count > 0;
}

static void add_segments(struct vg_text *out, const struct vg_run_device *d, size_t columns)
{
    const struct vg_run_sites *const sites = &d->sites[VG_LEVEL_ALLOCATIONS];
    uint64_t bytes = 0, count = 0;
    for (uint32_t i = 0; i < sites->count; i++) {
        if (!is_segment_site(d, &sites->entries[i]))
            continue;
        bytes += sites->entries[i].live_bytes;
        count += sites->entries[i].live_count;
    }
    if (count > 0)
        add_site(out, d, bytes, count, "segments of PyTorch's allocator, which its tensors share",
                 columns);
}

static void add_sites(struct vg_text *out, const struct vg_run_device *d, size_t columns)
{
    const struct vg_run_sites *const sites = &d->sites[VG_LEVEL_ALLOCATIONS];
    size_t more = sites->rest_stack_count, shown = 0;
    uint64_t rest_bytes = sites->rest_bytes, rest_count = sites->rest_count;
    uint64_t bytes = rest_bytes, count = rest_count;
    add_segments(out, d, columns);
    for (uint32_t i = 0; i < sites->count; i++) {
        const struct vg_run_site *const site = &sites->entries[i];
        bytes += site->live_bytes;
        count += site->live_count;
        if (site->live_count == 0 || is_segment_site(d, site))
            continue;
        if (shown++ < SITES_SHOWN) {
            add_site(out, d, site->live_bytes, site->live_count,
                     site->label[0] ? site->label : "(no stack was recorded)", columns);
        } else {
            more++;
            rest_bytes += site->live_bytes;
            rest_count += site->live_count;
        }
    }
    char label[64];
    struct vg_text text = vg_text_over(label, sizeof label);
    vg_text_addf(&text, "(%zu more place%s)", more, more == 1 ? "" : "s");
    if (more > 0)
        add_site(out, d, rest_bytes, rest_count, label, columns);
    if (vg_amount_known(d->live_bytes) && d->live_bytes > bytes)
        add_site(out, d, d->live_bytes - bytes, d->live_count > count ? d->live_count - count : 0,
                 "(place not recorded)", columns);
}

/* "By kind", when there is more than one. */
static void add_kinds(struct vg_text *out, const struct vg_run_device *d, size_t columns)
{
    char data[512];
    struct vg_text text = vg_text_over(data, sizeof data);
    for (uint32_t i = 0; i < d->kind_count; i++) {
        const struct vg_run_kind *const kind = &d->kinds[i];
        vg_text_addf(&text, "%s%s: %s in %llu", i > 0 ? "   " : "", vg_kind_text(kind->kind),
                     VG_AMOUNT(kind->bytes), (unsigned long long)kind->count);
        if (vg_kind_traits(kind->kind) & VG_TRAIT_ESTIMATED)
            vg_text_add(&text, " (estimated)");
    }
    if (d->kind_count > 1)
        vg_wrap_add_keyed(out, "By kind", data, EVIDENCE_INDENT, columns, VG_WRAP_COLUMNS);
}

/* What the device had no room for. */
static void add_spilled(struct vg_text *out, const struct vg_run_host *host, size_t columns)
{
    char data[160];
    struct vg_text text = vg_text_over(data, sizeof data);
    if (!host || host->spilled_count == 0)
        return;
    vg_text_addf(&text, "%s of GPU memory in host memory, %llu allocation%s",
                 VG_AMOUNT(host->spilled_bytes), (unsigned long long)host->spilled_count,
                 host->spilled_count == 1 ? "" : "s");
    if (vg_amount_known(host->spill_cap_bytes) && host->spill_cap_bytes > 0)
        vg_text_addf(&text, ", of a cap of %s", VG_AMOUNT(host->spill_cap_bytes));
    vg_wrap_add_keyed(out, "Spilled", data, EVIDENCE_INDENT, columns, VG_WRAP_WORDS);
}

void vg_report_render_live(const struct vg_run_device *d, const struct vg_run_host *host,
                           const char *title, struct vg_report_style style, struct vg_text *out)
{
    const size_t columns = vg_report_columns(style);
    char sizes[512];
    struct vg_text text = vg_text_over(sizes, sizeof sizes);
    vg_text_addf(&text, "  %s: %llu live allocation%s, ", title, (unsigned long long)d->live_count,
                 d->live_count == 1 ? "" : "s");
    if (d->peak_bytes == d->live_bytes && vg_amount_known(d->peak_bytes))
        vg_text_add(&text, "at the peak");
    else
        vg_text_addf(&text, "peak %s", VG_AMOUNT(d->peak_bytes));
    vg_wrap_add(out, sizes, 4, columns, VG_WRAP_WORDS);
    add_sites(out, d, columns);
    text = vg_text_over(sizes, sizeof sizes);
    /* Two lines; 12 columns are lost at the most where the first one breaks. */
    vg_histogram_add(&text, d->size_class_count, 2 * (columns - EVIDENCE_INDENT) - 12);
    if (text.length > 0)
        vg_wrap_add_keyed(out, "By size", sizes, EVIDENCE_INDENT, columns, VG_WRAP_COLUMNS);
    add_kinds(out, d, columns);
    add_spilled(out, host, columns);
}

static void add_live(struct vg_text *out, const struct vg_run_failure *s,
                     struct vg_report_style style)
{
    char title[64];
    struct vg_text text = vg_text_over(title, sizeof title);
    vg_text_addf(&text, "The %s of this process", VG_AMOUNT(s->device.live_bytes));
    vg_report_render_live(&s->device, &s->host, s->device.live_bytes > 0 ? title : "This process",
                          style, out);
}

/* The title and the sites, without sizes and kinds. */
void vg_report_add_sites(struct vg_text *out, const struct vg_run_failure *s, size_t columns)
{
    char title[96];
    struct vg_text text = vg_text_over(title, sizeof title);
    vg_text_addf(&text, "  The %s of this process: %llu live allocation%s",
                 VG_AMOUNT(s->device.live_bytes), (unsigned long long)s->device.live_count,
                 s->device.live_count == 1 ? "" : "s");
    vg_wrap_add(out, title, 4, columns, VG_WRAP_WORDS);
    add_sites(out, &s->device, columns);
}

/* ---- evidence: host, actions, recorder ---- */

static bool is_some(uint64_t bytes)
{
    return vg_amount_known(bytes) && bytes > 0;
}

static void add_pools(struct vg_text *out, const struct vg_run_failure *s, size_t columns)
{
    char data[256];
    struct vg_text text = vg_text_over(data, sizeof data);
    if (is_some(s->device.pool_reserved_bytes))
        vg_text_addf(&text, "stream-ordered memory: %s reserved, %s used",
                     VG_AMOUNT(s->device.pool_reserved_bytes),
                     VG_AMOUNT(s->device.pool_used_bytes));
    if (is_some(s->device.graph_reserved_bytes))
        vg_text_addf(&text, "%sgraphs: %s reserved, %s used", text.length > 0 ? "   " : "",
                     VG_AMOUNT(s->device.graph_reserved_bytes),
                     VG_AMOUNT(s->device.graph_used_bytes));
    if (text.length > 0)
        vg_wrap_add_keyed(out, "Pools", data, EVIDENCE_INDENT, columns, VG_WRAP_COLUMNS);
}

static void add_host(struct vg_text *out, const struct vg_run_failure *s, size_t columns)
{
    char data[256];
    struct vg_text text = vg_text_over(data, sizeof data);
    vg_text_addf(&text, "memory available %s", VG_AMOUNT(s->host.available_bytes));
    if (vg_amount_known(s->host.total_bytes))
        vg_text_addf(&text, " of %s", VG_AMOUNT(s->host.total_bytes));
    if (vg_amount_known(s->host.cgroup_limit_bytes))
        vg_text_addf(&text, ", control group uses %s of %s", VG_AMOUNT(s->host.cgroup_used_bytes),
                     VG_AMOUNT(s->host.cgroup_limit_bytes));
    if (s->host.pinned_count > 0)
        vg_text_addf(&text, ", this process pins %s", VG_AMOUNT(s->host.pinned_bytes));
    vg_wrap_add_keyed(out, "Host", data, EVIDENCE_INDENT, columns, VG_WRAP_WORDS);
}

void vg_report_add_action(struct vg_text *out, const struct vg_oom_action *action, const char *key,
                          size_t indent, size_t columns)
{
    char data[1024];
    struct vg_text text = vg_text_over(data, sizeof data);
    vg_text_addf(&text, "%s: ", action->name);
    vg_outcome_text_all(&text, action);
    if (action->outcome_count == 0 || action->recovered_bytes > 0) {
        vg_text_add(&text, action->outcome_count > 0 ? ", " : "");
        if (vg_amount_known(action->recovered_bytes))
            vg_text_addf(&text, "+%s", VG_AMOUNT(action->recovered_bytes));
        else
            vg_text_add(&text, "recovered unknown");
    }
    if (action->duration_ns > 0) { /* not of what was never begun */
        vg_text_add(&text, " in ");
        vg_amount_add_duration(&text, action->duration_ns);
    }
    vg_wrap_add_keyed(out, key, data, indent, columns, VG_WRAP_WORDS);
}

/* Runs in the state directory ("vramguard/NAME.vgr") are found by their pid, others by their path.
 */
void vg_report_add_command(struct vg_text *out, const struct vg_run_failure *s, const char *key,
                           size_t indent, size_t columns)
{
    static const char directory[] = "/vramguard", suffix[] = ".vgr";
    char data[PATH_CAP + 32];
    if (s->process->path[0] == '\0')
        return;
    const size_t length = strlen(s->process->path), tail = sizeof suffix - 1;
    const char *const slash = strrchr(s->process->path, '/');
    const size_t parent = slash ? (size_t)(slash - s->process->path) : 0;
    const size_t wanted = sizeof directory - 1;
    const bool by_pid = parent >= wanted && length > tail &&
                        memcmp(s->process->path + parent - wanted, directory, wanted) == 0 &&
                        strcmp(s->process->path + length - tail, suffix) == 0;
    struct vg_text text = vg_text_over(data, sizeof data);
    if (by_pid)
        vg_text_addf(&text, "vramguard report %d", s->process->pid);
    else
        vg_text_addf(&text, "vramguard report %s", s->process->path);
    vg_wrap_add_keyed(out, key, data, indent, columns, VG_WRAP_WORDS);
}

void vg_report_end_text(struct vg_text *out, struct vg_report_style style)
{
    const char *const end = style.color ? "\033[0m\n" : "\n";
    const size_t length = strlen(end);
    if (out->truncated && out->length >= length)
        memcpy(out->data + out->length - length, end, length);
}

void vg_report_render(const struct vg_run_failure *s, struct vg_report_style style,
                      struct vg_text *out)
{
    const size_t columns = vg_report_columns(style);
    vg_report_add_headline(out, s, style);
    vg_report_add_cause(out, s, columns);
    add_where(out, s, columns);
    if (style.is_live || s->thread_id != (uint32_t)s->process->pid)
        add_run(out, s, columns);
    vg_text_add(out, "\n");
    add_color(out, style, dim);
    vg_render_device(out, s, columns);
    vg_text_add(out, "\n");
    if (vg_block_tables_are_known(s)) {
        vg_block_tables_add(out, s, BLOCK_LINES_SHOWN, columns);
        vg_text_add(out, "\n");
    }
    add_live(out, s, style);
    vg_array_tables_add(out, s, BLOCK_LINES_SHOWN, columns);
    add_pools(out, s, columns);
    vg_render_torch(out, s, EVIDENCE_INDENT, columns);
    vg_batch_text_render(out, s, EVIDENCE_INDENT, columns);
    vg_text_add(out, "\n");
    add_host(out, s, columns);
    for (uint32_t i = 0; i < s->action_count; i++)
        vg_report_add_action(out, &s->actions[i], i == 0 ? "Tried" : "", EVIDENCE_INDENT, columns);
    if (style.is_live)
        vg_report_add_command(out, s, "Recorded", EVIDENCE_INDENT, columns);
    add_color(out, style, plain);
    vg_report_end_text(out, style);
}

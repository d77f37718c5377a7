#include "cli/report_text.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "analyze/frame.h"
#include "base/amount.h"
#include "base/text.h"
#include "cli/time_format.h"
#include "view/arena_text.h"
#include "view/event_text.h"
#include "view/line_table.h"
#include "view/memory_read_text.h"
#include "view/wrap.h"

enum { INDENT = 11, LINE_CAP = 4608 };

/* What is printed at a time; too large for the stack. */
static char text_data[VG_REPORT_TEXT_CAP];

static void print_keyed(const struct vg_report_style *style, const char *key, const char *text)
{
    struct vg_text out = vg_text_over(text_data, sizeof text_data);
    vg_wrap_add_keyed(&out, key, text, INDENT, style->columns, VG_WRAP_WORDS);
    fputs(text_data, stdout);
}

static void print_time(uint64_t realtime_ns)
{
    char time[32];
    struct vg_text text = vg_text_over(time, sizeof time);
    vg_time_add_time(&text, realtime_ns);
    printf("    %s  ", time);
}

/* One thing that happened: a paragraph behind its time. */
static void print_event(const struct vg_report_style *style, uint64_t realtime_ns, const char *what)
{
    enum { TIME_COLUMNS = 14 };
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    print_time(realtime_ns);
    vg_wrap_add(&text, what, TIME_COLUMNS, style->columns, VG_WRAP_WORDS);
    fputs(text_data, stdout);
}

/* The first one of `count` to print: the last `most` are, unless all are asked for. */
static size_t first_printed(const struct vg_report_choice *choice, size_t count, size_t most)
{
    return choice->all || count <= most ? 0 : count - most;
}

static void print_left_out(size_t count)
{
    if (count > 0)
        printf("    (%zu earlier ones: --all)\n", count);
}

/* ---- the run ---- */

static void add_user(struct vg_text *out, uint32_t uid)
{
    const struct passwd *const user = getpwuid(uid);
    if (user)
        vg_text_addf(out, "user %s", user->pw_name);
    else
        vg_text_addf(out, "uid %u", uid);
}

static void add_end(struct vg_text *out, const struct vg_run_process *process)
{
    const uint64_t start_ns = process->start_realtime_ns;
    switch (process->state) {
    case VG_RUN_ALIVE:
        vg_text_add(out, "not yet: running for ");
        const uint64_t now_ns = vg_time_now_ns();
        vg_time_add_duration(out, now_ns > start_ns ? now_ns - start_ns : 0);
        break;
    case VG_RUN_EXITED:
        vg_time_add(out, process->end_realtime_ns);
        if (process->end_realtime_ns >= start_ns) {
            vg_text_add(out, " after ");
            vg_time_add_duration(out, process->end_realtime_ns - start_ns);
        }
        vg_text_addf(out, ", exit code %d", process->exit_status);
        break;
    case VG_RUN_GONE:
        vg_text_add(out,
                    "no end was recorded: killed by a signal (SIGKILL, the kernel's "
                    "out-of-memory killer, a crash), or by its own _exit()");
        break;
    default: vg_text_addf(out, "no end was recorded, and it ran on %s", process->host); break;
    }
}

static void print_run(const struct vg_report_style *style, const struct vg_run_process *process)
{
    char data[LINE_CAP];
    struct vg_text text = vg_text_over(data, sizeof data);
    vg_text_addf(&text, "%s (pid %d)", process->command[0] ? process->command : "command unknown",
                 process->pid);
    print_keyed(style, "run", data);
    text = vg_text_over(data, sizeof data);
    vg_text_addf(&text, "%s, ", process->host[0] ? process->host : "host unknown");
    add_user(&text, process->uid);
    vg_text_repair(data, sizeof data);
    print_keyed(style, "on", data);
    text = vg_text_over(data, sizeof data);
    vg_time_add(&text, process->start_realtime_ns);
    print_keyed(style, "started", data);
    text = vg_text_over(data, sizeof data);
    add_end(&text, process);
    print_keyed(style, "ended", data);
    printf("  file     %s\n", process->path); /* in one piece, for copying */
}

/* ---- failures ---- */

static void print_frame(uint32_t number, const struct vg_run_frame *f, bool all_frames)
{
    char location[VG_FRAME_LOCATION_CAP];
    vg_frame_location(location, f);
    printf("    #%-3u ", number);
    if (vg_frame_is_python(f)) {
        printf("%s %s\n", location, all_frames ? f->function : vg_frame_short_name(f->function));
        return;
    }
    fputs(f->module[0] ? f->module : "unknown", stdout);
    if (f->function[0])
        printf(" %s", f->function);
    else
        printf("+0x%llx", (unsigned long long)f->module_offset);
    if (location[0])
        printf(" (%s)", location);
    puts(f->flags & VG_FRAME_INLINED ? " (inlined)" : "");
}

static bool has_python_frames(const struct vg_run_stack *stack)
{
    for (uint32_t i = 0; i < stack->frame_count; i++)
        if (vg_frame_is_python(&stack->frames[i]))
            return true;
    return false;
}

static void print_stack(const struct vg_run_stack *stack, bool all_frames)
{
    const bool folds = !all_frames && has_python_frames(stack);
    uint32_t folded = 0;
    if (stack->frame_count == 0)
        return;
    printf("\n  The failing call's stack, innermost first\n");
    for (uint32_t i = 0; i < stack->frame_count; i++) {
        if (folds && vg_frame_is_interpreter(&stack->frames[i]))
            folded++;
        else
            print_frame(i - folded, &stack->frames[i], all_frames);
    }
    if (folded > 0)
        printf("    (%u frame%s of the Python interpreter not shown: --all-frames)\n", folded,
               folded == 1 ? "" : "s");
    if (stack->truncated)
        printf("    (further frames were not recorded)\n");
}

static void print_failure(const struct vg_report_choice *choice,
                          const struct vg_run_failure *failure)
{
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    vg_report_render(failure, choice->style, &text);
    putchar('\n');
    fputs(text_data, stdout);
    print_stack(&failure->stack, choice->all_frames);
}

static void print_failure_line(const struct vg_run_failure *failure)
{
    static const char name[] = "vramguard: ";
    char line[512];
    struct vg_text text = vg_text_over(line, sizeof line);
    vg_report_render_first_line(failure, &text);
    print_time(failure->realtime_ns);
    fputs(line + strlen(name), stdout);
}

static void print_sentence(const struct vg_report_style *style, const char *sentence)
{
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    vg_text_add(&text, "  ");
    vg_wrap_add(&text, sentence, 2, style->columns, VG_WRAP_WORDS);
    fputs(text_data, stdout);
}

/* A program that finds too little and gives up by itself leaves what it was told; one whose
 * framework refuses out of a pool of its own, that pool. */
static void print_no_failure(const struct vg_report_style *style, const struct vg_run_view *view)
{
    const struct vg_file_header *const header = view->reader.header;
    char data[1024];
    printf("\n  No allocation failed.\n");
    for (int i = 0; i < VG_FILE_HOST; i++) {
        struct vg_text sentence = vg_text_over(data, sizeof data);
        if (!vg_memory_read_render(&header->memory_reads[i], i, header->start_realtime_ns,
                                   &sentence))
            continue;
        print_sentence(style, data);
    }
    for (uint32_t i = 0; i < view->run.device_count; i++) {
        struct vg_text sentence = vg_text_over(data, sizeof data);
        if (vg_arena_render(&view->run.devices[i], &sentence))
            print_sentence(style, data);
    }
}

static void print_failures(const struct vg_report_choice *choice, const struct vg_run_view *view)
{
    const struct vg_run *const run = &view->run;
    const size_t count = run->failure_count;
    const uint32_t failed = run->failure_total;
    if (failed > count)
        printf("\n  %u allocation%s failed, %zu of them recorded\n", failed, failed == 1 ? "" : "s",
               count);
    else if (count == 0)
        print_no_failure(&choice->style, view);
    const size_t full = choice->failure ? (size_t)choice->failure - 1 : count - 1;
    bool heading = false;
    for (size_t i = 0; i < count; i++) {
        if (choice->all || i == full) {
            print_failure(choice, &run->failures[i]);
        } else if (!choice->failure) {
            printf("%s", heading ? "" : "\n  Earlier failures (--all shows them in full)\n");
            heading = true;
            print_failure_line(&run->failures[i]);
        }
    }
}

/* ---- rescues ---- */

/* When, what, how, and the place in the program; the latest ones. */
static void print_rescues(const struct vg_report_choice *choice, const struct vg_run *run)
{
    const uint32_t count = run->rescue_total;
    const size_t first = first_printed(choice, run->rescue_count, 10);
    if (count == 0)
        return;
    printf("\n  %u allocation%s lacked memory at first and succeeded after all\n", count,
           count == 1 ? "" : "s");
    for (size_t i = first; i < run->rescue_count; i++) {
        const struct vg_run_rescue *const rescue = &run->rescues[i];
        char line[2048];
        struct vg_text text = vg_text_over(line, sizeof line);
        vg_event_add_rescue(&text, rescue);
        if (rescue->where[0])
            vg_text_addf(&text, "; in %s", rescue->where);
        print_event(&choice->style, rescue->realtime_ns, line);
    }
    print_left_out(first);
}

/* ---- marks ---- */

/* The latest ones. */
static void print_marks(const struct vg_report_choice *choice, const struct vg_run *run)
{
    const uint32_t count = run->mark_total;
    const size_t first = first_printed(choice, run->mark_count, 20);
    if (count == 0)
        return;
    printf("\n  %u mark%s\n", count, count == 1 ? "" : "s");
    print_left_out(first);
    for (size_t i = first; i < run->mark_count; i++) {
        char line[4096];
        struct vg_text text = vg_text_over(line, sizeof line);
        vg_event_add_mark(&text, &run->marks[i]);
        print_event(&choice->style, run->marks[i].realtime_ns, line);
    }
    if (count > run->mark_count)
        printf("    (%u further ones were only counted)\n", count - run->mark_count);
}

/* ---- what was live ---- */

static void add_host_title(struct vg_text *title, const struct vg_run_device *device)
{
    uint64_t spilled = 0;
    for (uint32_t i = 0; i < device->kind_count; i++)
        if (device->kinds[i].kind == VG_KIND_SPILLED ||
            device->kinds[i].kind == VG_KIND_SPILLED_VIRTUAL)
            spilled += device->kinds[i].bytes;
    vg_text_add(title, " pinned host memory");
    if (spilled > 0)
        vg_text_addf(title, ", %s of it in place of GPU memory (spilled),", VG_AMOUNT(spilled));
}

enum { LINE_ROWS = 8 };

/* What the last failure has told, where that is what lives at the end: then it is not told once
 * more. NULL where it is not. */
static const struct vg_run_device *told_before(const struct vg_report_choice *choice,
                                               const struct vg_run *run,
                                               const struct vg_run_device *device)
{
    const struct vg_run_device *const last =
        run->failure_count > 0 ? &run->failures[run->failure_count - 1].device : NULL;
    const bool is_same = last && !device->is_host && last->gpu.ordinal == device->gpu.ordinal &&
                         last->live_bytes == device->live_bytes &&
                         last->live_count == device->live_count;
    return is_same && !choice->failure ? last : NULL;
}

static void print_peak(const struct vg_report_choice *choice, const struct vg_run *run,
                       const struct vg_run_device *device)
{
    const struct vg_run_device *const told = told_before(choice, run, device);
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    if (!device->is_host)
        vg_line_table_add_peak(&text, device, told ? told : device, LINE_ROWS,
                               vg_report_columns(choice->style));
    if (text.length > 0)
        printf("\n%s", text_data);
}

static void print_device(const struct vg_report_choice *choice, const struct vg_run *run,
                         const struct vg_run_device *device, const char *moment)
{
    char title[160];
    struct vg_text text = vg_text_over(title, sizeof title);
    if (told_before(choice, run, device)) {
        vg_text_addf(&text, "  %s on GPU %d %s: the %llu live allocation%s of the failure above",
                     VG_AMOUNT(device->live_bytes), device->gpu.ordinal, moment,
                     (unsigned long long)device->live_count, device->live_count == 1 ? "" : "s");
        text = vg_text_over(text_data, sizeof text_data);
        vg_wrap_add(&text, title, 4, vg_report_columns(choice->style), VG_WRAP_WORDS);
        printf("\n%s", text_data);
        return;
    }
    vg_text_add(&text, VG_AMOUNT(device->live_bytes));
    if (device->is_host)
        add_host_title(&text, device);
    else
        vg_text_addf(&text, " on GPU %d", device->gpu.ordinal);
    if (device->gpu.name[0] && !device->is_host)
        vg_text_addf(&text, " (%s)", device->gpu.name);
    vg_text_addf(&text, " %s", moment);
    text = vg_text_over(text_data, sizeof text_data);
    vg_report_render_live(device, NULL, title, choice->style, &text);
    printf("\n%s", text_data);
    text = vg_text_over(text_data, sizeof text_data);
    vg_line_table_add_live(&text, device, moment, LINE_ROWS, vg_report_columns(choice->style));
    if (text.length > 0)
        printf("\n%s", text_data);
}

static void print_live(const struct vg_report_choice *choice, const struct vg_run *run)
{
    static const char *const moments[] = { [VG_RUN_ALIVE] = "now",
                                           [VG_RUN_EXITED] = "at its exit",
                                           [VG_RUN_GONE] = "when it was killed",
                                           [VG_RUN_ELSEWHERE] = "at the end of the record" };
    for (uint32_t i = 0; i < run->device_count; i++)
        print_device(choice, run, &run->devices[i], moments[run->process.state]);
    for (uint32_t i = 0; i < run->device_count; i++)
        print_peak(choice, run, &run->devices[i]);
    if (run->device_count == 0)
        printf("\n  It used no GPU memory.\n");
}

void vg_report_text_print(const struct vg_report_choice *choice, const struct vg_run_view *view)
{
    const struct vg_run *const run = &view->run;
    print_run(&choice->style, &run->process);
    print_failures(choice, view);
    print_rescues(choice, run);
    print_marks(choice, run);
    print_live(choice, run);
}

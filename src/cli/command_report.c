/* `vramguard report`: the post-mortem of a recorded run. */
#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyze/label.h"
#include "analyze/python_frame.h"
#include "analyze/validate.h"
#include "base/amount.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/live.h"
#include "cli/runs.h"
#include "cli/symbols.h"
#include "cli/time_format.h"
#include "cli/unseen_note.h"
#include "view/mark_record.h"
#include "view/memory_read_text.h"
#include "view/render.h"
#include "view/rescue_record.h"
#include "view/wrap.h"

enum { KEY_WIDTH = 256, KEY_NO_COLOR, KEY_FAILURE, KEY_ALL, KEY_ALL_FRAMES };
enum { INDENT = 11, LINE_CAP = 4608 };

struct report_arguments {
    const char *target; /* file or pid, NULL for the latest run */
    uint64_t failure;   /* the one to print in full, from 1; 0 for the last */
    bool all;           /* all of them in full */
    bool all_frames;    /* the interpreter's own, too */
    struct vg_report_style style;
};

/* What is printed at a time; too large for the stack. */
static struct vg_oom_report report;
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
static size_t first_printed(const struct report_arguments *arguments, size_t count, size_t most)
{
    return arguments->all || count <= most ? 0 : count - most;
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

static void add_end(struct vg_text *out, const struct vg_file_header *header)
{
    const uint64_t start_ns = header->start_realtime_ns;
    switch (vg_run_state_of(header)) {
    case VG_RUN_ALIVE:
        vg_text_add(out, "not yet: running for ");
        const uint64_t now_ns = vg_time_now_ns();
        vg_time_add_duration(out, now_ns > start_ns ? now_ns - start_ns : 0);
        break;
    case VG_RUN_EXITED:
        vg_time_add(out, header->end_realtime_ns);
        if (header->end_realtime_ns >= start_ns) {
            vg_text_add(out, " after ");
            vg_time_add_duration(out, header->end_realtime_ns - start_ns);
        }
        vg_text_addf(out, ", exit code %d", header->exit_status);
        break;
    case VG_RUN_GONE:
        vg_text_add(out,
                    "no end was recorded: killed by a signal (SIGKILL, the kernel's "
                    "out-of-memory killer, a crash), or by its own _exit()");
        break;
    case VG_RUN_ELSEWHERE:
        vg_text_addf(out, "no end was recorded, and it ran on %s", header->host);
        break;
    }
}

static void print_run(const struct vg_report_style *style, const struct vg_reader *reader,
                      const char *path)
{
    const struct vg_file_header *const header = reader->header;
    char data[LINE_CAP];
    struct vg_text text = vg_text_over(data, sizeof data);
    vg_text_addf(&text, "%s (pid %d)", header->command[0] ? header->command : "command unknown",
                 header->pid);
    vg_text_repair(data, sizeof data);
    print_keyed(style, "run", data);
    text = vg_text_over(data, sizeof data);
    vg_text_addf(&text, "%s, ", header->host[0] ? header->host : "host unknown");
    add_user(&text, header->uid);
    vg_text_repair(data, sizeof data);
    print_keyed(style, "on", data);
    text = vg_text_over(data, sizeof data);
    vg_time_add(&text, header->start_realtime_ns);
    print_keyed(style, "started", data);
    text = vg_text_over(data, sizeof data);
    add_end(&text, header);
    vg_text_repair(data, sizeof data);
    print_keyed(style, "ended", data);
    text = vg_text_over(data, sizeof data);
    vg_text_add(&text, path);
    vg_text_repair(data, sizeof data);
    printf("  file     %s\n", data); /* in one piece, for copying */
}

/* ---- failures ---- */

/* Names what the process could not name itself: functions that are not exported, source lines. */
static void name_again(struct vg_symbols *symbols)
{
    static struct vg_oom_frame better;
    char label[VG_LABEL_CAP];
    for (uint32_t i = 0; i < report.frame_count; i++) {
        if (report.frames[i].is_python)
            continue;
        vg_symbols_name(symbols, report.frames[i].address, &better);
        if (better.function[0] || (better.module[0] && !report.frames[i].module[0]))
            report.frames[i] = better;
    }
    vg_label_from_frames(report.frames, report.frame_count, label, sizeof label);
    if (label[0])
        memcpy(report.where, label, sizeof report.where);
    for (uint32_t i = 0; i < report.site_count; i++) {
        vg_symbols_label(symbols, report.sites[i].stack_id, label, sizeof label);
        if (label[0])
            memcpy(report.sites[i].label, label, sizeof report.sites[i].label);
    }
}

static void print_frame(uint32_t number, const struct vg_oom_frame *f, bool all_frames)
{
    printf("    #%-3u ", number);
    if (f->is_python) {
        printf("%s %s\n", f->location, all_frames ? f->function : vg_python_frame_short_name(f));
        return;
    }
    fputs(f->module[0] ? f->module : "unknown", stdout);
    if (f->function[0])
        printf(" %s", f->function);
    else
        printf("+0x%llx", (unsigned long long)f->module_offset);
    printf(f->location[0] ? " (%s)\n" : "\n", f->location);
}

static bool has_python_frames(void)
{
    for (uint32_t i = 0; i < report.frame_count; i++)
        if (report.frames[i].is_python)
            return true;
    return false;
}

static void print_stack(bool all_frames)
{
    const bool folds = !all_frames && has_python_frames();
    uint32_t folded = 0;
    if (report.frame_count == 0)
        return;
    printf("\n  The failing call's stack, innermost first\n");
    for (uint32_t i = 0; i < report.frame_count; i++) {
        if (folds && vg_python_frame_hides(&report.frames[i]))
            folded++;
        else
            print_frame(i - folded, &report.frames[i], all_frames);
    }
    if (folded > 0)
        printf("    (%u frame%s of the Python interpreter not shown: --all-frames)\n", folded,
               folded == 1 ? "" : "s");
    if (report.stack_truncated)
        printf("    (further frames were not recorded)\n");
}

static void print_failure(const struct report_arguments *arguments, struct vg_symbols *symbols)
{
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    name_again(symbols);
    vg_report_render(&report, arguments->style, &text);
    putchar('\n');
    fputs(text_data, stdout);
    print_stack(arguments->all_frames);
}

static void print_failure_line(void)
{
    static const char name[] = "vramguard: ";
    char line[512];
    struct vg_text text = vg_text_over(line, sizeof line);
    vg_report_render_first_line(&report, &text);
    print_time(report.realtime_ns);
    fputs(line + strlen(name), stdout);
}

/* A program that finds too little and gives up by itself leaves what it was told. */
static void print_no_failure(const struct vg_report_style *style,
                             const struct vg_file_header *header)
{
    printf("\n  No allocation failed.\n");
    for (int i = 0; i < VG_FILE_HOST; i++) {
        char data[1024];
        struct vg_text sentence = vg_text_over(data, sizeof data);
        struct vg_text text = vg_text_over(text_data, sizeof text_data);
        if (!vg_memory_read_render(&header->memory_reads[i], i, &sentence))
            continue;
        vg_text_add(&text, "  ");
        vg_wrap_add(&text, data, 2, style->columns, VG_WRAP_WORDS);
        fputs(text_data, stdout);
    }
}

/* Returns 0, or VG_EXIT_FAILED when the wanted failure is not there. */
static int print_failures(const struct report_arguments *arguments, const struct vg_reader *reader,
                          struct vg_symbols *symbols)
{
    const size_t count = reader->failure_count;
    const uint32_t failed = reader->header->failure_count;
    if (arguments->failure > count) {
        fprintf(stderr, "vramguard report: there is no failure %llu; %zu are recorded\n",
                (unsigned long long)arguments->failure, count);
        return VG_EXIT_FAILED;
    }
    if (failed > count)
        printf("\n  %u allocation%s failed, %zu of them recorded\n", failed, failed == 1 ? "" : "s",
               count);
    else if (count == 0)
        print_no_failure(&arguments->style, reader->header);
    const size_t full = arguments->failure ? (size_t)arguments->failure - 1 : count - 1;
    bool heading = false;
    for (size_t i = 0; i < count; i++) {
        if (vg_run_failure(reader, i, &report) != 0) {
            printf("\n  Failure %zu cannot be read: it was recorded by another version.\n", i + 1);
        } else if (arguments->all || i == full) {
            print_failure(arguments, symbols);
        } else if (!arguments->failure) {
            printf("%s", heading ? "" : "\n  Earlier failures (--all shows them in full)\n");
            heading = true;
            print_failure_line();
        }
    }
    return 0;
}

/* ---- rescues ---- */

/* When, what, how, and the place in the program; the latest ones. */
static void print_rescues(const struct report_arguments *arguments, const struct vg_reader *reader,
                          struct vg_symbols *symbols)
{
    const uint32_t count = reader->header->rescue_count;
    const size_t first = first_printed(arguments, reader->rescue_count, 10);
    if (count == 0)
        return;
    printf("\n  %u allocation%s lacked memory at first and succeeded after all\n", count,
           count == 1 ? "" : "s");
    for (size_t i = first; i < reader->rescue_count; i++) {
        struct vg_rescue_record record;
        char line[2048], where[VG_LABEL_CAP];
        struct vg_text text = vg_text_over(line, sizeof line);
        if (vg_rescue_record_read(reader->rescues[i].bytes, reader->rescues[i].size_bytes,
                                  &record) != 0)
            continue;
        vg_rescue_record_render(&record, &text);
        vg_symbols_label(symbols, record.stack_id, where, sizeof where);
        if (where[0])
            vg_text_addf(&text, "; in %s", where);
        print_event(&arguments->style, record.realtime_ns, line);
    }
    print_left_out(first);
}

/* ---- marks ---- */

/* The latest ones. */
static void print_marks(const struct report_arguments *arguments, const struct vg_reader *reader)
{
    const uint32_t count = reader->header->mark_count;
    const size_t first = first_printed(arguments, reader->mark_count, 20);
    if (count == 0)
        return;
    printf("\n  %u mark%s\n", count, count == 1 ? "" : "s");
    print_left_out(first);
    for (size_t i = first; i < reader->mark_count; i++) {
        struct vg_mark_record record;
        char line[4096];
        struct vg_text text = vg_text_over(line, sizeof line);
        if (vg_mark_record_read(reader->marks[i].bytes, reader->marks[i].size_bytes, &record) != 0)
            continue;
        vg_mark_record_render(&record, &text);
        print_event(&arguments->style, record.realtime_ns, line);
    }
    if (count > reader->mark_count)
        printf("    (%zu further ones were only counted)\n", count - reader->mark_count);
}

/* ---- what was live ---- */

static void add_host_title(struct vg_text *title)
{
    char amount[VG_SIZE_TEXT_CAP];
    const uint64_t spilled =
        report.kind_bytes[VG_KIND_SPILLED] + report.kind_bytes[VG_KIND_SPILLED_VIRTUAL];
    vg_text_add(title, " pinned host memory");
    if (spilled > 0)
        vg_text_addf(title, ", %s of it in place of GPU memory (spilled),",
                     vg_amount_format(amount, spilled));
}

static int print_live(const struct report_arguments *arguments, struct vg_reader *reader,
                      struct vg_symbols *symbols)
{
    static const char *const moments[] = { [VG_RUN_ALIVE] = "now",
                                           [VG_RUN_EXITED] = "at its exit",
                                           [VG_RUN_GONE] = "when it was killed",
                                           [VG_RUN_ELSEWHERE] = "at the end of the record" };
    const char *const moment = moments[vg_run_state_of(reader->header)];
    bool any = false;
    for (uint16_t i = 0; i < VG_FILE_DEVICES; i++) {
        const struct vg_file_device *const device = &reader->header->devices[i];
        char title[160], amount[VG_SIZE_TEXT_CAP];
        if (device->total_bytes == 0 && device->peak_bytes == 0)
            continue;
        any = true;
        if (vg_live_collect(reader, symbols, i, &report) != 0)
            return VG_EXIT_FAILED;
        struct vg_text text = vg_text_over(title, sizeof title);
        vg_text_add(&text, vg_amount_format(amount, report.live_bytes));
        if (i == VG_FILE_HOST)
            add_host_title(&text);
        else
            vg_text_addf(&text, " on GPU %u", i);
        if (device->name[0] && i != VG_FILE_HOST)
            vg_text_addf(&text, " (%s)", device->name);
        vg_text_addf(&text, " %s", moment);
        vg_text_repair(title, sizeof title);
        text = vg_text_over(text_data, sizeof text_data);
        vg_report_render_live(&report, title, arguments->style, &text);
        printf("\n%s", text_data);
    }
    if (!any)
        printf("\n  It used no GPU memory.\n");
    return 0;
}

/* ---- the command ---- */

static error_t parse_argument(int key, char *argument, struct argp_state *state)
{
    struct report_arguments *const arguments = state->input;
    uint64_t number;
    error_t error;
    switch (key) {
    case ARGP_KEY_INIT: vg_arguments_init(state); return 0;
    case KEY_WIDTH:
        error = vg_arguments_number(state, "--width", argument, 60, 200, &number);
        if (!error)
            arguments->style.columns = (unsigned)number;
        return error;
    case KEY_NO_COLOR: arguments->style.color = false; return 0;
    case KEY_FAILURE:
        return vg_arguments_number(state, "--failure", argument, 1, UINT32_MAX,
                                   &arguments->failure);
    case KEY_ALL: arguments->all = true; return 0;
    case KEY_ALL_FRAMES: arguments->all_frames = true; return 0;
    case ARGP_KEY_ARG:
        if (arguments->target)
            return vg_arguments_wrong(state, "unexpected argument \"%s\"", argument);
        arguments->target = argument;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* The file of the run that `target` names: the latest for NULL, the newest with that pid for a
 * number, else a path. Returns 0, or VG_EXIT_FAILED after one line on stderr. */
static int find_run(const char *target, char *out, size_t cap)
{
    static struct vg_runs runs;
    struct vg_unseen_note note;
    char why[320];
    const bool is_number = target && target[0] && strspn(target, "0123456789") == strlen(target);
    if (target && (!is_number || access(target, F_OK) == 0)) {
        snprintf(out, cap, "%s", target);
        return 0;
    }
    if (vg_runs_scan(&runs, why, sizeof why) != 0) {
        fprintf(stderr, "vramguard report: %s\n", why);
        return VG_EXIT_FAILED;
    }
    size_t i = 0;
    while (i < runs.count && target && strtoull(target, NULL, 10) != (uint64_t)runs.entries[i].pid)
        i++;
    const bool found = i < runs.count;
    if (!target)
        vg_unseen_note_warn(found ? runs.entries[i].start_realtime_ns : 0);
    if (found)
        snprintf(out, cap, "%s", runs.entries[i].path);
    else if (target && vg_unseen_note_find((int32_t)strtoull(target, NULL, 10), &note))
        vg_unseen_note_tell(&note);
    else if (target)
        fprintf(stderr, "vramguard report: no run of pid %s is recorded in %s\n", target,
                runs.directory);
    else
        fprintf(stderr, "vramguard report: no runs are recorded in %s\n", runs.directory);
    vg_runs_free(&runs);
    return found ? 0 : VG_EXIT_FAILED;
}

static int print_report(const struct report_arguments *arguments, struct vg_reader *reader,
                        const char *path)
{
    char damage[256];
    struct vg_symbols *const symbols = vg_symbols_open(reader);
    if (!symbols) {
        fprintf(stderr, "vramguard report: %s\n", strerror(ENOMEM));
        return VG_EXIT_FAILED;
    }
    print_run(&arguments->style, reader, path);
    int code = print_failures(arguments, reader, symbols);
    print_rescues(arguments, reader, symbols);
    print_marks(arguments, reader);
    if (code == 0)
        code = print_live(arguments, reader, symbols);
    vg_symbols_close(symbols);
    fflush(stdout);
    if (code == 0 && vg_reader_describe_damage(reader, damage, sizeof damage))
        fprintf(stderr, "vramguard: the recorder file is incomplete: %s\n", damage);
    return code;
}

static int run_report_command(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "width", KEY_WIDTH, "N", 0,
          "Lines of at most N columns (60 to 200; default: the "
          "terminal's, or 80)",
          0 },
        { "no-color", KEY_NO_COLOR, NULL, 0, "No colours, on a terminal either", 0 },
        { "failure", KEY_FAILURE, "N", 0, "The N-th failure in full instead of the last", 0 },
        { "all", KEY_ALL, NULL, 0, "All recorded failures in full", 0 },
        { "all-frames", KEY_ALL_FRAMES, NULL, 0,
          "Stacks with the Python interpreter's own frames, which Python frames stand for", 0 },
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_argument,
        .args_doc = "[FILE|PID]",
        .doc =
            "Prints the post-mortem of a recorded run, the latest or the one named: how it "
            "ended, why it ran out of memory, and what it held. For runs that were killed, "
            "too.",
    };
    const unsigned columns = vg_console_columns();
    struct report_arguments arguments = { .style = { .columns =
                                                         columns ? columns : VG_REPORT_COLUMNS,
                                                     .color = vg_console_wants_color() } };
    struct vg_reader reader;
    char path[4096], why[160];
    if (vg_arguments_parse(&argp, argc, argv, 0, &arguments) != 0)
        return VG_EXIT_USAGE;
    if (find_run(arguments.target, path, sizeof path) != 0)
        return VG_EXIT_FAILED;
    int error = vg_reader_open(&reader, path, why, sizeof why);
    if (error) {
        fprintf(stderr, "vramguard report: cannot read %s: %s\n", path, why);
        return VG_EXIT_FAILED;
    }
    error = vg_reader_load(&reader);
    if (error)
        fprintf(stderr, "vramguard report: cannot read %s: %s\n", path, strerror(-error));
    const int code = error ? VG_EXIT_FAILED : print_report(&arguments, &reader, path);
    vg_reader_close(&reader);
    return code;
}

const struct vg_command vg_command_report = {
    .name = "report",
    .arguments = "[FILE|PID]",
    .help = "print the post-mortem of a recorded run",
    .run = run_report_command,
};

#include "cli/runs.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyze/account.h"
#include "analyze/validate.h"
#include "base/amount.h"
#include "os/process.h"
#include "record/run_file.h"

/* ---- finding them ---- */

static void note_unreadable(struct vg_runs *runs, const char *name, const char *why)
{
    if (runs->unreadable_count++ > 0)
        return;
    snprintf(runs->unreadable, sizeof runs->unreadable, "%s: %s", name, why);
    vg_text_repair(runs->unreadable, sizeof runs->unreadable);
}

static int add_run(struct vg_runs *runs, const char *name)
{
    struct vg_reader reader;
    char why[160], *path;
    if (asprintf(&path, "%s/%s", runs->directory, name) < 0)
        return -ENOMEM;
    const int error = vg_reader_open(&reader, path, why, sizeof why);
    if (error) {
        free(path);
        if (error != -EAGAIN && error != -ENOENT) /* just made, just removed */
            note_unreadable(runs, name, why);
        return error == -ENOMEM ? error : 0;
    }
    struct vg_run_entry *const larger =
        realloc(runs->entries, (runs->count + 1) * sizeof *runs->entries);
    if (larger) {
        runs->entries = larger;
        runs->entries[runs->count++] =
            (struct vg_run_entry){ .path = path,
                                   .start_realtime_ns = reader.header->start_realtime_ns,
                                   .pid = reader.header->pid };
    } else {
        free(path);
    }
    vg_reader_close(&reader);
    return larger ? 0 : -ENOMEM;
}

static int newest_first(const void *a, const void *b)
{
    const struct vg_run_entry *const x = a, *const y = b;
    if (x->start_realtime_ns != y->start_realtime_ns)
        return x->start_realtime_ns < y->start_realtime_ns ? 1 : -1;
    return strcmp(y->path, x->path);
}

static bool is_run_file(const char *name)
{
    const size_t length = strlen(name), suffix = strlen(VG_RUN_FILE_SUFFIX);
    return length > suffix && strcmp(name + length - suffix, VG_RUN_FILE_SUFFIX) == 0;
}

int vg_runs_scan(struct vg_runs *out, char *why, size_t why_cap)
{
    memset(out, 0, sizeof *out);
    int error = vg_run_file_directory(out->directory, sizeof out->directory);
    if (error) {
        snprintf(why, why_cap, "no state directory: neither XDG_STATE_HOME nor HOME is set");
        return error;
    }
    DIR *const directory = opendir(out->directory);
    if (!directory && errno == ENOENT)
        return 0;
    if (!directory) {
        error = -errno;
        snprintf(why, why_cap, "cannot read %.100s: %s", out->directory, strerror(-error));
        return error;
    }
    for (const struct dirent *entry; !error && (entry = readdir(directory));)
        if (is_run_file(entry->d_name))
            error = add_run(out, entry->d_name);
    closedir(directory);
    if (error)
        snprintf(why, why_cap, "%s", strerror(-error));
    else if (out->count > 1)
        qsort(out->entries, out->count, sizeof *out->entries, newest_first);
    return error;
}

void vg_runs_free(struct vg_runs *runs)
{
    for (size_t i = 0; i < runs->count; i++)
        free(runs->entries[i].path);
    free(runs->entries);
}

/* ---- what became of them ---- */

static bool is_same_boot(const struct vg_file_header *header)
{
    char boot_id[sizeof header->boot_id] = "";
    if (vg_process_read_file("/proc/sys/kernel/random/boot_id", boot_id, sizeof boot_id) <= 0)
        return true; /* cannot tell: pid and start time must do */
    boot_id[strcspn(boot_id, "\n")] = '\0';
    return header->boot_id[0] == '\0' || strcmp(boot_id, header->boot_id) == 0;
}

enum vg_run_state vg_run_state_of(const struct vg_file_header *header)
{
    char host[sizeof header->host] = "";
    const struct vg_process_id id = { .pid = header->pid, .start_ticks = header->start_ticks };
    const bool same_boot = is_same_boot(header);
    if (header->end == VG_END_EXIT)
        return VG_RUN_EXITED;
    if (same_boot)
        return vg_process_alive(&id) ? VG_RUN_ALIVE : VG_RUN_GONE;
    gethostname(host, sizeof host - 1);
    return strcmp(host, header->host) == 0 ? VG_RUN_GONE : VG_RUN_ELSEWHERE;
}

int vg_run_failure(const struct vg_reader *reader, size_t index, struct vg_oom_report *out)
{
    const struct vg_reader_payload *const payload = &reader->failures[index];
    if (payload->size_bytes != sizeof *out)
        return -EBADMSG;
    memcpy(out, payload->bytes, sizeof *out);
    if (vg_oom_report_validate(out) < 0)
        return -EBADMSG;
    out->recorder_path[0] = '\0'; /* the reader of this line has found the file */
    return 0;
}

uint64_t vg_run_live_bytes(const struct vg_file_header *header)
{
    uint64_t sum = 0;
    for (int i = 0; i < VG_FILE_HOST; i++)
        if (vg_amount_known(header->devices[i].live_bytes))
            sum += header->devices[i].live_bytes;
    return sum;
}

uint64_t vg_run_peak_bytes(const struct vg_file_header *header)
{
    uint64_t peak = 0;
    for (int i = 0; i < VG_FILE_HOST; i++)
        if (header->devices[i].peak_bytes > peak)
            peak = header->devices[i].peak_bytes;
    return peak;
}

void vg_run_add_devices(struct vg_text *out, const struct vg_file_header *header)
{
    bool any = false;
    for (int i = 0; i < VG_FILE_HOST; i++) {
        if (header->devices[i].total_bytes == 0 && header->devices[i].peak_bytes == 0)
            continue;
        vg_text_addf(out, "%s%d", any ? "," : "", i);
        any = true;
    }
    if (!any)
        vg_text_add(out, "-");
}

/* The last failure that can be read. */
static bool last_failure(const struct vg_reader *reader, struct vg_oom_report *out)
{
    for (size_t i = reader->failure_count; i-- > 0;)
        if (vg_run_failure(reader, i, out) == 0)
            return true;
    return false;
}

static void add_out_of_memory(struct vg_text *out, const struct vg_reader *reader)
{
    static struct vg_oom_report report;
    vg_text_add(out, "out of memory");
    if (!last_failure(reader, &report))
        return;
    if (vg_amount_known(report.asked_bytes))
        vg_text_addf(out, ": asked %s", VG_AMOUNT(report.asked_bytes));
    else
        vg_text_addf(out, " in %s", report.api);
    vg_text_addf(out, ", free %s", VG_AMOUNT(vg_report_available(&report)));
}

void vg_run_add_end(struct vg_text *out, const struct vg_reader *reader)
{
    const struct vg_file_header *const header = reader->header;
    const enum vg_run_state state = vg_run_state_of(header);
    const uint32_t failures = header->failure_count;
    const bool survived =
        state == VG_RUN_ALIVE || (state == VG_RUN_EXITED && header->exit_status == 0);
    if (failures > 0 && !survived) {
        add_out_of_memory(out, reader);
        return;
    }
    switch (state) {
    case VG_RUN_ALIVE: vg_text_add(out, "running"); break;
    case VG_RUN_EXITED: vg_text_addf(out, "exit %d", header->exit_status); break;
    case VG_RUN_GONE:
        vg_text_addf(out, "killed, %s live", VG_AMOUNT(vg_run_live_bytes(header)));
        break;
    case VG_RUN_ELSEWHERE: vg_text_addf(out, "unknown, ran on %s", header->host); break;
    }
    if (header->spill_peak_bytes > 0)
        vg_text_addf(out, ", spilled %s", VG_AMOUNT(header->spill_peak_bytes));
    if (header->rescue_count > 0)
        vg_text_addf(out, ", rescued %u time%s", header->rescue_count,
                     header->rescue_count == 1 ? "" : "s");
    if (failures > 0)
        vg_text_addf(out, ", survived %u failure%s", failures, failures == 1 ? "" : "s");
}

#include "oom/emit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "analyze/event_records.h"
#include "base/clock.h"
#include "base/hashing.h"
#include "base/log.h"
#include "base/signal_block.h"
#include "base/size.h"
#include "oom/census_observer.h"
#include "oom/notebook.h"
#include "os/process.h"
#include "os/thread.h"
#include "shared/job_reports.h"
#include "view/advice.h"
#include "view/first_screen.h"
#include "view/render.h"

enum { TOLD_A_WINDOW = 8 }; /* failures told in any form within one window */

static const uint64_t window_ns = UINT64_C(30) * 1000000000;

/* One report is made at a time: these are too large for a thread's stack. The thread that makes it;
 * 0: none does. */
static _Atomic pid_t maker;
static struct vg_run_process report_process;
static struct vg_run_failure report;
static char report_text[VG_REPORT_TEXT_CAP];
static struct vg_census report_census;
static struct vg_program_line report_main_line;
static char report_record[VG_EVENT_RECORD_CAP] __attribute__((aligned(8)));

/* Where there is no memory to be had, a report of the most important things still fits in here. */
static char report_memory[64 * 1024] __attribute__((aligned(16)));

/* The present window: its start, how many failures were told and how many only counted in it. */
static _Atomic uint64_t window_start_ns, window_count, silent_count;

/* Start of the window that a report was made in full for; only who makes a report touches it. */
static uint64_t whole_window_ns;
/* And its cause: another one is told in full, too. */
static const struct vg_advice_row *whole_cause;

/* Start of the window in which there was no census to be had. */
static uint64_t missed_window_ns;

/* Threads that have had a failure of the window told or counted, the first of them told in full,
 * and the place of that one. */
enum { THREADS_KNOWN = 32 };
static struct {
    uint64_t window_ns;
    uint64_t where_hash;
    uint32_t count;
    uint32_t threads[THREADS_KNOWN];
} told;

/* The GPU that the report which is being made is of. */
static _Atomic int32_t making_device;

/* A forked child inherits what its parent has told, and perhaps a report that a thread of the
 * parent was making: it starts anew. */
static void forget_parent(void)
{
    static _Atomic pid_t owner;
    const pid_t pid = getpid();
    const pid_t before = atomic_exchange(&owner, pid);
    if (before == 0 || before == pid)
        return;
    window_start_ns = window_count = silent_count = 0;
    maker = 0;
}

static bool begin_making(void)
{
    pid_t nobody = 0;
    return atomic_compare_exchange_strong(&maker, &nobody, vg_thread_id());
}

static void end_making(void)
{
    atomic_store(&maker, 0);
}

void vg_report_abandon(void)
{
    pid_t self = vg_thread_id();
    atomic_compare_exchange_strong(&maker, &self, 0);
}

/* Place of this failure in its window, from 0. */
static uint64_t place_in_window(void)
{
    forget_parent();
    const uint64_t now = vg_clock_monotonic_ns();
    uint64_t start = window_start_ns;
    if ((start == 0 || now - start > window_ns) &&
        atomic_compare_exchange_strong(&window_start_ns, &start, now))
        window_count = 0;
    return atomic_fetch_add(&window_count, 1);
}

static struct vg_report_style style_of_stderr(void)
{
    return (struct vg_report_style){ .columns = vg_log_columns(), /* 0: as usual */
                                     .is_live = true,
                                     .color = vg_log_wants_color() };
}

/* The rank of this job that has told of a failure with this cause in full; -1: none has. */
static int32_t rank_that_told(const struct vg_advice_row *cause)
{
    struct vg_process_id id;
    int32_t teller = -1;
    if (report_process.job_hash == 0 || vg_process_identify(0, &id) != 0)
        return -1;
    const struct vg_job_rank self = { .job_hash = report_process.job_hash,
                                      .rank = report_process.rank,
                                      .start_ticks = id.start_ticks };
    if (vg_job_reports_claim(&self, vg_hash_fnv1a(cause->name, strlen(cause->name)),
                             vg_job_reports_now_ticks(), &teller))
        return -1;
    return teller;
}

/* `teller`: the rank of this job that has told of the like in full, -1 none. */
static void write_report(bool whole, int32_t teller)
{
    struct vg_text text = vg_text_over(report_text, sizeof report_text);
    const uint64_t silent = atomic_exchange(&silent_count, 0);
    if (silent)
        vg_text_addf(&text, "vramguard: %llu more failures were counted since the last report\n",
                     (unsigned long long)silent);
    if (whole && teller < 0)
        vg_first_screen_render(&report, style_of_stderr(), &text);
    else if (whole)
        vg_report_render_rank_line(&report, teller, &text);
    else
        vg_report_render_first_line(&report, &text);
    vg_log_write(text.data, text.length);
}

/* Has this thread had a failure in this window already? Notes that it has, and where the first was.
 */
static bool note_thread(uint32_t thread_id, uint64_t window)
{
    if (told.window_ns != window) {
        told.window_ns = window;
        told.count = 0;
        told.where_hash = vg_hash_fnv1a(report.where, strlen(report.where));
    }
    for (uint32_t i = 0; i < told.count; i++)
        if (told.threads[i] == thread_id)
            return true;
    if (told.count < THREADS_KNOWN)
        told.threads[told.count++] = thread_id;
    return false;
}

/* The workers of a pool fail together, each in a thread of its own: after the first one's report,
 * the failure of another at the same place and of the same cause is no news, nor is that of one
 * which has taken the next piece of the work, where no code of the program is between. */
static bool is_of_another_worker(const struct vg_failure *failure, bool whole, bool again)
{
    return !whole && !failure->survived && (again ? report.main_line.line > 0 : told.count > 1) &&
           told.where_hash == vg_hash_fnv1a(report.where, strlen(report.where));
}

/* Another thread is making a report. Of the same GPU it tells of this shortage; of another one this
 * failure gets a line. */
static void write_brief(const struct vg_failure *failure)
{
    char asked[VG_SIZE_TEXT_CAP];
    if (failure->device == atomic_load(&making_device)) {
        atomic_fetch_add(&silent_count, 1);
        return;
    }
    vg_log_line(
        "GPU %d %s: %s of thread %u asked %s (while another thread's failure was being reported)",
        failure->device, vg_report_kind(failure->refused_by), failure->api, failure->thread_id,
        vg_size_format(asked, failure->asked_bytes));
}

/* ---- a census ---- */

static enum vg_census_state state_of_error(int error)
{
    switch (error) {
    case -ETIMEDOUT: return VG_CENSUS_NO_GIL;
    case -EBUSY: return VG_CENSUS_BUSY;
    default: return VG_CENSUS_ENDING;
    }
}

/* Asks for one and adds it to the report. An arena's calls follow each other until it has what it
 * gets: of these, one in a window is enough. */
static void ask_census(const struct vg_failure *failure, const struct vg_census_source *source,
                       uint64_t place, struct vg_region *region)
{
    if (window_start_ns == missed_window_ns || (failure->caller == VG_CALLER_ARENA && place > 0))
        return;
    memset(&report_census, 0, sizeof report_census);
    const int error = vg_census_request(source, &report_census, &report_main_line);
    if (error)
        report_census.state = state_of_error(error);
    if (error == -ETIMEDOUT || error == -EBUSY)
        missed_window_ns = window_start_ns;
    if (report_census.state == VG_CENSUS_NO_LIBRARY)
        return;
    report_census.arrays_were_asked = !failure->below_pytorch;
    vg_collect_census(&report, &report_census);
    if (failure->thread_id != (uint32_t)getpid())
        vg_collect_main_line(&report, &report_main_line, region);
}

/* ---- reports ---- */

void vg_report_failure(const struct vg_failure *failure, const struct vg_census_source *source)
{
    const int saved_errno = errno;
    const uint64_t place = place_in_window();
    if (place >= TOLD_A_WINDOW) {
        atomic_fetch_add(&silent_count, 1);
    } else if (!begin_making()) {
        write_brief(failure);
    } else {
        struct vg_region region = vg_region_over(report_memory, sizeof report_memory);
        atomic_store(&making_device, failure->device);
        vg_notebook_name_cells(failure->tables.recorder);
        vg_collect(failure, &region, &report_process, &report);
        if (source)
            ask_census(failure, source, place, &region);
        vg_failure_record_append(failure->tables.recorder, &report, report_record);
        const uint64_t window = window_start_ns;
        const struct vg_advice_row *const cause = vg_advice_find(&report);
        const bool whole =
            !failure->survived && (whole_window_ns != window || cause != whole_cause);
        const bool again = note_thread(failure->thread_id, window);
        if (is_of_another_worker(failure, whole, again))
            atomic_fetch_add(&silent_count, 1);
        else
            write_report(whole, whole ? rank_that_told(cause) : -1);
        if (whole) {
            whole_window_ns = window;
            whole_cause = cause;
        }
        vg_region_release(&region);
        end_making();
    }
    errno = saved_errno;
}

/* Writes all of it to a descriptor of the program's, which may be a pipe nobody reads any more. */
static bool write_all(int fd, const char *bytes, size_t length)
{
    struct vg_signal_block shield;
    bool ok = vg_signal_block_begin(&shield);
    while (ok && length > 0) {
        const ssize_t written = write(fd, bytes, length);
        ok = written > 0 || (written < 0 && errno == EINTR);
        bytes += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
    }
    vg_signal_block_end(&shield);
    return ok;
}

int vg_report_write(const struct vg_failure *failure, int fd)
{
    const int saved_errno = errno;
    forget_parent();
    if (!begin_making())
        return -EBUSY;
    struct vg_text text = vg_text_over(report_text, sizeof report_text);
    struct vg_region region = vg_region_over(report_memory, sizeof report_memory);
    vg_collect(failure, &region, &report_process, &report);
    char title[64], live[VG_SIZE_TEXT_CAP];
    snprintf(title, sizeof title, "%s of this process on GPU %d",
             vg_size_format(live, report.device.live_bytes), report.device.gpu.ordinal);
    vg_report_render_live(&report.device, &report.host, title, (struct vg_report_style){ 0 },
                          &text);
    vg_region_release(&region);
    const bool written = write_all(fd, text.data, text.length);
    end_making();
    errno = saved_errno;
    return written ? 0 : -EIO;
}

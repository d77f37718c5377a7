/* Writing to the program's standard error without disturbing the program. */
#ifndef VRAMGUARD_BASE_LOG_H
#define VRAMGUARD_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

/* Writes to file descriptor 2, unless it was closed when the program started: what is open there
 * now is then a file of the program's. Gives up, losing the rest, when nothing can be written for
 * two seconds (a full pipe nobody reads); the next call does not wait for such a reader. A closed
 * pipe raises no SIGPIPE in the program. errno is preserved. Safe in any thread; several calls may
 * interleave, one call of at most PIPE_BUF bytes does not. */
void vg_log_write(const char *bytes, size_t length);

/* One line "vramguard: <formatted text>\n", at most 1 KiB, in one write. */
void vg_log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Things that can go wrong with vramguard itself. Each is reported at most once per process. */
enum vg_fault {
    VG_FAULT_STATE_DIR,
    VG_FAULT_RECORDER_FULL,
    VG_FAULT_LIBUNWIND,
    VG_FAULT_PYTHON,
    VG_FAULT_NVML,
    VG_FAULT_REGISTRY,
    VG_FAULT_SHARED_QUOTA,
    VG_FAULT_LIVE_INDEX,
    VG_FAULT_LIBC,
    VG_FAULT_FAILING,
    VG_FAULT_TRIM_HOOK,
    VG_FAULT_TRIM_THREAD,
    VG_FAULT_TRIM_LIBRARY,
    VG_FAULT_TRIM_COMMAND,
    VG_FAULT_PYTHON_TRIM,
    VG_FAULT_CHAIN,
    VG_FAULT_BYPASS,
    VG_FAULT_COUNT
};

/* vg_log_line, but only the first time for `fault`. */
void vg_warn_once(enum vg_fault fault, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* True when standard error is a terminal and NO_COLOR is unset or empty (https://no-color.org). */
bool vg_log_wants_color(void);

/* Columns of the terminal that standard error is, 0 when it is none or does not tell. errno is
 * preserved. */
unsigned vg_log_columns(void);

#endif

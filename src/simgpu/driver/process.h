/* Who a process is, beyond its reusable id. */
#ifndef SIMGPU_PROCESS_H
#define SIMGPU_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_identity {
    pid_t pid;
    uint64_t start_ticks; /* since boot; field 22 of /proc/PID/stat */
};

/* Fills `identity` for a running process. Returns 0, -ESRCH if it does not run (a zombie does not),
 * or -errno. */
int process_identify(pid_t pid, struct process_identity *identity);

/* True while exactly this process runs. */
bool process_is_alive(const struct process_identity *identity);

#endif

/* The first process of a container has nobody beside it to say at its end that nothing was recorded
 * (cli/watcher.h): it says so itself, unless it ends by a signal or _exit. */
#include <unistd.h>

#include "base/log.h"
#include "os/process.h"
#include "record/unseen.h"

__attribute__((destructor)) static void tell_at_exit(void)
{
    char command[80];
    if (getpid() != 1 || !vg_unseen_is_open())
        return;
    vg_process_command(0, command, sizeof command);
    vg_log_line("nothing is recorded: no allocation of GPU memory was seen in \"%s\"", command);
}

/* Who says at the end of a command that nothing of it was recorded.
 *
 * `vramguard run` becomes the command (execve), as nice(1) and env(1) do: it keeps its pid, parent,
 * terminal, process group, signals, exit status and place in job control, whatever supervises it
 * (SIGKILL included: a wrapper that stays as parent would leave the program behind, with its GPU
 * memory). So somebody else has to look at the end: a process of a session of its own, no child of
 * the command, that sleeps on the command's pidfd. It holds nothing but that and standard error:
 * who reads that through a pipe sees its end when the command has ended, and the line before it. */
#ifndef VRAMGUARD_CLI_WATCHER_H
#define VRAMGUARD_CLI_WATCHER_H

#include <stdbool.h>

/* Starts the watcher of this process for the note at `note_path`. `argc` and `argv` are those of
 * this program; the watcher writes another name over them in its own memory, so that looking for
 * the command by name does not find it. Does nothing where it cannot be exact: when this process is
 * the one that orphans go to (pid 1 of a container), whose child the watcher would become, or the
 * kernel has no pidfds (before 5.3). Returns whether it was started. */
bool vg_watcher_start(const char *note_path);

#endif

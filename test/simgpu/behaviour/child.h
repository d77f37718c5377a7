/* Children for checks that need a fresh process or several. The driver is loaded in the children
 * only, so that each starts with the environment it is given. */
#ifndef BEHAVIOUR_CHILD_H
#define BEHAVIOUR_CHILD_H

#include <sys/types.h>

/* A child that talks with its parent: each waits for the other's signs. */
struct child {
    pid_t pid;
    int to, from; /* pipes */
};

/* Starts a child that runs `body` and then exits with what it returns. */
struct child child_start(int (*body)(struct child *self, long argument), long argument);

/* In either process: gives a sign, and waits for one. child_wait returns 0, or -1 if the other side
 * is gone. */
void child_sign(struct child *other);
int child_wait(struct child *other);

/* Waits for the child's end. Returns its exit status, or 1000 + the signal that ended it. */
int child_end(struct child *child);

/* Runs `body` in a child with nothing to say and returns as child_end. `environment` holds
 * "NAME=value" strings and a NULL; what it does not name is as in the parent. */
int child_run(char *const environment[], int (*body)(void));

/* The same, and what the child wrote on stderr goes to `text` (cut to its size). */
int child_run_stderr(char *const environment[], int (*body)(void), char *text, size_t size);

#endif

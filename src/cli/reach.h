/* Can the preload library get into a program? Told from its file, before it runs: ld.so(8), under
 * "Secure-execution mode" and LD_PRELOAD; elf(5). */
#ifndef VRAMGUARD_CLI_REACH_H
#define VRAMGUARD_CLI_REACH_H

#include <stdbool.h>
#include <stddef.h>

struct vg_reach {
    char why_not[192];     /* "" when nothing speaks against it: "it is linked statically" */
    bool must_not_preload; /* its loader would refuse to start it with our library, or complain */
};

/* Would execvp(3) find a program for `command`? */
bool vg_reach_find(const char *command);

/* Looks at the program that execvp(3) would start for `command`, behind #! lines too. What cannot
 * be found or read has no reason against it: exec will tell. */
void vg_reach_inspect(const char *command, struct vg_reach *out);

#endif

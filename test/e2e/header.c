/* The public header in a plain C99 program that uses nothing of the GPU. */
#include "vramguard.h"

#include <stdio.h>

static uint64_t hook(int device, uint64_t wanted_bytes, uint64_t freed_bytes, void *argument)
{
    (void)device, (void)wanted_bytes, (void)freed_bytes, (void)argument;
    return 0;
}

int main(void)
{
    const char *const version = vramguard_version();
    const int added = vramguard_add_trim_hook("hook", 0, hook, (void *)0);
    const int removed = vramguard_remove_trim_hook(hook, (void *)0);
    printf("version %s, add %d, remove %d, report %d, mark %d\n", version ? version : "none", added,
           removed, vramguard_write_report(1), vramguard_mark("start"));
    return 0;
}

/* A library that VRAMGUARD_TRIM_LIB can name: frees what its constructor could get hold of, which
 * is nothing, and says that it was called. With -DSLOW it takes its time. */
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

uint64_t vramguard_trim(int device, uint64_t wanted_bytes, uint64_t freed_bytes, void *argument);
uint64_t other_name(int device, uint64_t wanted_bytes, uint64_t freed_bytes, void *argument);

__attribute__((visibility("default"))) uint64_t vramguard_trim(int device, uint64_t wanted_bytes,
                                                               uint64_t freed_bytes, void *argument)
{
#ifdef SLOW
    sleep(20);
#endif
    printf("library: device %d wanted %llu MiB freed %llu %s\n", device,
           (unsigned long long)(wanted_bytes >> 20), (unsigned long long)freed_bytes,
           argument ? "with something" : "with nothing");
    fflush(stdout);
    return 0;
}

__attribute__((visibility("default"))) uint64_t other_name(int device, uint64_t wanted_bytes,
                                                           uint64_t freed_bytes, void *argument)
{
    (void)device, (void)wanted_bytes, (void)freed_bytes, (void)argument;
    printf("library: the other function\n");
    fflush(stdout);
    return 0;
}

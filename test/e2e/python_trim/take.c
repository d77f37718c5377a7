/* A program in C that loads: `take MIB` prints cuMemAlloc's result and how many milliseconds it
 * took, and, with a second argument, keeps the memory for so many milliseconds. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int cuInit(unsigned flags);
int cuDevicePrimaryCtxRetain(void **context, int device);
int cuCtxSetCurrent(void *context);
int cuMemAlloc_v2(unsigned long long *address, size_t bytes);

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    void *context;
    unsigned long long address;
    if (argc < 2 || cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context))
        return 70;
    const long before = now_ms();
    const int code = cuMemAlloc_v2(&address, strtoul(argv[1], NULL, 10) << 20);
    printf("%d %ld\n", code, now_ms() - before);
    fflush(stdout);
    if (argc > 2) {
        const struct timespec pause = { .tv_sec = atoi(argv[2]) / 1000,
                                        .tv_nsec = atoi(argv[2]) % 1000 * 1000000L };
        nanosleep(&pause, NULL);
    }
    return 0;
}

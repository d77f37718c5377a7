/* Times starting a program that does nothing, bare and with a library preloaded, in turns.
 *
 *   start_bench LIBRARY RUNS
 *
 * Prints two medians in microseconds: bare, preloaded. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static char *const argument_list[] = { (char[]){ "/bin/true" }, NULL };

static double spawn_us(char *const environment[])
{
    struct timespec start, end;
    pid_t pid;
    int status;
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (posix_spawn(&pid, "/bin/true", NULL, NULL, argument_list, environment) != 0 ||
        waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "start_bench: /bin/true failed\n");
        exit(1);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - start.tv_sec) * 1e6 + (double)(end.tv_nsec - start.tv_nsec) / 1e3;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    const int runs = atoi(argv[2]);
    double *const bare = calloc((size_t)runs, sizeof *bare);
    double *const preloaded = calloc((size_t)runs, sizeof *preloaded);
    static char preload[4096];
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", argv[1]);
    char *const without[] = { NULL };
    char *const with[] = { preload, NULL };
    if (runs < 1 || !bare || !preloaded)
        return 2;
    for (int i = 0; i < runs; i++) {
        bare[i] = spawn_us(without);
        preloaded[i] = spawn_us(with);
    }
    qsort(bare, (size_t)runs, sizeof *bare, compare);
    qsort(preloaded, (size_t)runs, sizeof *preloaded, compare);
    printf("%.1f %.1f\n", bare[runs / 2], preloaded[runs / 2]);
    return 0;
}

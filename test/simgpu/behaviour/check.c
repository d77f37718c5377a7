#include "check.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static struct counts {
    atomic_int passed, failed, skipped;
} * counts; /* shared with forked children */

void check_start(void)
{
    setvbuf(stdout, NULL, _IONBF, 0); /* so that a fork copies nothing that is yet to be printed */
    counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
}

static void count(bool ok)
{
    atomic_fetch_add(ok ? &counts->passed : &counts->failed, 1);
}

void check_equal(const char *name, long long got, long long expected)
{
    count(got == expected);
    if (got == expected)
        printf("ok %s\n", name);
    else
        printf("FAIL %s: got %lld, expected %lld\n", name, got, expected);
}

void check_true(const char *name, bool ok, const char *got, const char *expected)
{
    count(ok);
    if (ok)
        printf("ok %s\n", name);
    else
        printf("FAIL %s: got %s, expected %s\n", name, got, expected);
}

void check_between(const char *name, long long got, long long least, long long most)
{
    bool ok = got >= least && got <= most;
    count(ok);
    if (ok)
        printf("ok %s\n", name);
    else
        printf("FAIL %s: got %lld, expected %lld to %lld\n", name, got, least, most);
}

void check_skip(const char *name, const char *reason)
{
    atomic_fetch_add(&counts->skipped, 1);
    printf("skip %s: %s\n", name, reason);
}

int check_finish(void)
{
    printf("%d passed, %d failed, %d skipped\n", counts->passed, counts->failed, counts->skipped);
    return counts->failed == 0 ? 0 : 1;
}

/* Checks for the C programs of this folder: a program prints the first check that fails and exits
 * with 1, or exits with 0. Exit code 77 and a printed reason mean "cannot be tested here". */
#ifndef TEST_RUNTIME_CHECK_H
#define TEST_RUNTIME_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#include "cudart_abi.h"

static inline void check_true(int holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: %s does not hold\n", file, line, what);
    exit(1);
}

static inline void check_result(cudaError_t expected, cudaError_t found, const char *call,
                                const char *file, int line)
{
    if (found == expected)
        return;
    fprintf(stderr, "%s:%d: %s gave %s (%d), expected %s (%d)\n", file, line, call,
            cudaGetErrorName(found), found, cudaGetErrorName(expected), expected);
    exit(1);
}

/* `probe` is the first call of its kind: where the driver has nothing of the kind, the rest of the
 * program has nothing to test. */
static inline void skip_unless_supported(cudaError_t probe, const char *what)
{
    if (probe != cudaErrorNotSupported)
        return;
    printf("the driver does not support %s\n", what);
    exit(77);
}

#define CHECK(condition)      check_true(!!(condition), #condition, __FILE__, __LINE__)
#define OK(call)              check_result(cudaSuccess, (call), #call, __FILE__, __LINE__)
#define FAILS(expected, call) check_result((expected), (call), #call, __FILE__, __LINE__)

static const size_t MiB = (size_t)1 << 20;

#endif

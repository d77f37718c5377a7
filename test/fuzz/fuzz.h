/* A fuzz target is a program with LLVMFuzzerTestOneInput (libFuzzer's interface): `make fuzz` links
 * it with libFuzzer, `make check-fuzz` with replay.c, which runs it on the inputs kept in corpus/.
 */
#ifndef VG_TEST_FUZZ_H
#define VG_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input is. */
#define MUST_HOLD(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Reads the input in pieces; zeros when it has come to its end. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

static inline uint64_t fuzz_take(struct fuzz_input *input, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes && input->left > 0; i++, input->left--)
        value |= (uint64_t)*input->at++ << 8 * i;
    return value;
}

#endif

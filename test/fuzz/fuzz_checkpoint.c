/* Headers of .safetensors files: the first two bytes say how much data follows the header. */
#include "analyze/checkpoint.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { .at = data, .left = size };
    struct vg_run_checkpoint found = { .f32_bytes = 0 };
    const uint64_t data_bytes = fuzz_take(&input, 2) << 8;
    /* A copy of its own, so that one byte too far is seen. */
    char *const text = malloc(input.left + 1);
    for (size_t i = 0; i < input.left; i++)
        text[i] = (char)input.at[i];
    const int result = vg_checkpoint_parse(text, input.left, data_bytes, &found);
    const uint64_t sum = found.f32_bytes + found.half_bytes + found.other_bytes;
    MUST_HOLD(result == 0 ? sum <= data_bytes : sum == 0);
    free(text);
    return 0;
}

/* Causes and advice that only programs with PyTorch or a checkpoint of Hugging Face have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "advice_fixture.h"

/* Alone, 10 GiB of weights live, 1 GiB free, 2 GiB asked for. */
static void sample_load(uint64_t f32_bytes, uint64_t half_bytes)
{
    sample_alone(&s);
    s.checkpoint.file_count = 1;
    s.checkpoint.f32_bytes = f32_bytes;
    s.checkpoint.half_bytes = half_bytes;
    s.checkpoint.name = "model.safetensors";
}

static void weights_larger_than_the_gpu(void **state)
{
    (void)state;
    sample_load(0, 26 * VG_GIB);
    s.checkpoint.file_count = 3;
    expect_row("model-size");
    expect_text(cause,
                "the weights in model.safetensors and 2 more files are 26.00 GiB, more than the "
                "11.50 GiB that one process can have of this GPU.");
    expect_text(advice, "device_map=\"auto\"");
    expect_text(advice, "about 13.00 GiB (8 bits) or 6.50 GiB (4 bits)");
    s.checkpoint.file_count = 2;
    expect_row("model-size");
    expect_text(cause, "the weights in model.safetensors and 1 more file are 26.00 GiB");
    s.checkpoint.file_count = 3;
    expect_no_text(advice, "dtype"); /* they are half size already */
    add_device(&s, 1, 48 * VG_GIB, 47 * VG_GIB);
    expect_row("model-size");
    expect_text(advice, "CUDA_VISIBLE_DEVICES=1");
    /* 4-byte numbers that would fit with two. */
    sample_load(20 * VG_GIB, 0);
    expect_row("model-size");
    expect_text(advice, "dtype=torch.float16 makes them 10.00 GiB (torch_dtype in older");
    expect_text(advice, "about 5.00 GiB (8 bits) or 2.50 GiB (4 bits)");
    /* With a neighbour, too: without it the model would not fit either. */
    sample_shared(&s);
    s.checkpoint.f32_bytes = 40 * VG_GIB;
    expect_row("model-size");
    expect_no_text(advice, "dtype");
    s.device.live_bytes = VG_GIB; /* a small part of it is here, the rest elsewhere */
    s.device.self_bytes = VG_GIB + VG_GIB / 2;
    s.device.others_bytes = processes[0].bytes = 9 * VG_GIB;
    expect_row("co-tenant");
}

static void weights_of_four_bytes(void **state)
{
    (void)state;
    sample_load(11 * VG_GIB, 0);
    expect_row("wide-load");
    expect_text(cause,
                "model.safetensors: its 11.00 GiB of weights are loaded as 4-byte numbers, and "
                "this process can have 11.00 GiB; as 2-byte numbers they take 5.50 GiB.");
    expect_text(advice,
                "load it with dtype=torch.float16 or torch.bfloat16 (torch_dtype in older "
                "transformers), which saves 5.50 GiB");
    s.checkpoint.f32_bytes = 7 * VG_GIB; /* 10 GiB are more than its weights */
    expect_row("own-total");
    s.checkpoint.f32_bytes = 8 * VG_GIB;
    expect_row("wide-load");
    s.checkpoint.other_bytes = 2 * VG_GIB; /* not of one type */
    expect_row("own-total");
    s.checkpoint.other_bytes = 0;
    s.device.live_bytes = VG_GIB; /* its own context is more */
    expect_row("own-context");
    sample_load(11 * VG_GIB, 0);
    s.asked_bytes = VG_GIB; /* it fits */
    expect_row("other-limit");
}

static void weights_of_two_bytes_loaded_as_four(void **state)
{
    (void)state;
    sample_load(0, 6 * VG_GIB);
    expect_row("wide-load");
    expect_text(cause,
                "model.safetensors: its weights are 6.00 GiB of 2-byte numbers, and this process "
                "holds 10.00 GiB and asks for more, as if");
    expect_text(advice, "which saves 6.00 GiB");
    s.checkpoint.half_bytes = 9 * VG_GIB; /* 10 GiB are not much more */
    expect_row("own-total");
    s.checkpoint.half_bytes = 3 * VG_GIB; /* 10 GiB are more than 3 GiB can become */
    expect_row("own-total");
}

static void neighbours_and_weights(void **state)
{
    (void)state;
    sample_shared(&s);
    expect_row("co-tenant");
    expect_no_text(advice, "dtype");
    s.checkpoint.f32_bytes = 9 * VG_GIB;
    s.checkpoint.file_count = 1;
    s.checkpoint.name = "model.safetensors";
    expect_row("co-tenant");
    expect_text(advice,
                "; or load model.safetensors with dtype=torch.float16, which takes 4.50 "
                "GiB instead of 9.00 GiB");
    processes[0].flags = VG_PROCESS_PYTORCH;
    expect_row("co-tenant");
    expect_text(advice, "torch.cuda.empty_cache() (under vramguard it does when asked");
    processes[0].flags |= VG_PROCESS_GUARDED;
    expect_row("co-tenant");
    expect_text(advice, "torch.cuda.empty_cache()");
    expect_no_text(advice, "under vramguard");
}

static void the_limit_and_weights(void **state)
{
    (void)state;
    sample_load(9 * VG_GIB, 0);
    s.device.live_bytes = 7 * VG_GIB;
    s.device.limit_bytes = 8 * VG_GIB;
    s.device.limit_left_bytes = VG_GIB;
    s.refused_by = VG_REFUSED_BY_LIMIT;
    expect_row("limit");
    expect_text(advice, "or load model.safetensors with dtype=torch.float16, which takes 4.50 GiB");
}

static void a_place_that_keeps_more_and_more(void **state)
{
    (void)state;
    sample_alone(&s);
    sites[1].growth.kind = VG_GROWTH_STEADY;
    sites[1].oldest_ns = UINT64_C(42) * 1000000000;
    sites[1].label = "train.py:14 step > libcudart.so.13 cudaMalloc";
    expect_row("growing-site");
    expect_text(cause, "3.00 GiB in 12 pieces over 42.0 s, evenly until now: train.py:14 step");
    sites[1].own = (struct vg_run_line){ .path = "/p/train.py",
                                         .file = "train.py",
                                         .line = 14,
                                         .function = "Trainer.step",
                                         .text = "" };
    sites[1].caller = sites[1].own;
    sites[1].caller.line = 40;
    sites[1].caller.function = "main";
    expect_row("growing-site");
    expect_text(cause, "evenly until now: train.py:40 main > train.py:14 step.");
    expect_no_text(advice, "torch");
    use_torch();
    expect_row("growing-site");
    expect_text(advice, ".detach()");
    expect_text(advice, "loss.item()");
    expect_text(advice, "torch.no_grad()");
    s.torch.tells_blocks = true; /* then its blocks tell, not its segments */
    expect_row("own-total");
    s.torch.tells_blocks = false;
    s.torch.loaded = false;
    sites[1].oldest_ns = UINT64_C(2) * 1000000000; /* one step may take as long */
    expect_row("own-total");
    sites[1].oldest_ns = UINT64_C(42) * 1000000000;
    sites[1].live_bytes = VG_GIB / 2; /* less than what is missing */
    expect_row("own-total");
    sites[1].live_bytes = 3 * VG_GIB;
    s.checkpoint.half_bytes = 10 * VG_GIB; /* it is still loading */
    expect_row("own-total");
}

static void a_cache_that_was_of_no_use(void **state)
{
    (void)state;
    sample_alone(&s);
    s.torch.loaded = 1;
    s.torch.bytes[VG_TORCH_NATIVE] = 9 * VG_GIB;
    s.torch.count[VG_TORCH_NATIVE] = 30;
    s.action_count = 1;
    SET(actions[0].name, "flush");
    actions[0].recovered_bytes = 3 * VG_GIB;
    expect_row("fragments");
    expect_text(cause, "PyTorch had 3.00 GiB cached that no tensor used");
    expect_text(cause, "1.00 GiB are still missing.");
    expect_text(advice,
                "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True (or PYTORCH_ALLOC_CONF in recent "
                "PyTorch; none before 2.1 has it)");
    expect_no_text(advice, "batch"); /* nothing tells that one has to do with it */
    s.torch.settings = "PYTORCH_ALLOC_CONF=max_split_size_mb:64";
    expect_row("fragments");
    expect_text(advice, "add expandable_segments:True to PYTORCH_ALLOC_CONF (from PyTorch 2.1 on)");
    actions[0].recovered_bytes = VG_GIB; /* a tenth of it, and less than what was asked for */
    expect_row("own-total");
    actions[0].recovered_bytes = 0;
    expect_row("own-total");
    s.asked_bytes = VG_GIB + VG_GIB / 100;
    actions[0].recovered_bytes = s.asked_bytes;
    expect_row("fragments");
    s.torch.settings = "PYTORCH_ALLOC_CONF=expandable_segments: True"; /* it is on */
    expect_row("own-total");
    s.torch.settings = "";
    s.torch.count[VG_TORCH_EXPANDABLE] = 1;
    expect_row("own-total");
    s.torch.count[VG_TORCH_EXPANDABLE] = 0;
    actions[0].recovered_bytes = VG_BYTES_UNKNOWN;
    expect_row("own-total");
}

/* A Python program need not use PyTorch. */
static void only_pytorchs_users_are_told_of_it(void **state)
{
    (void)state;
    sample_alone(&s);
    process.command = "python serve.py";
    expect_row("own-total");
    expect_no_text(advice, "torch");
    expect_no_text(advice, "device_map");
    const struct vg_run_frame frames[] = {
        { .module = "", .function = "", .file = "" },
        { .module = "", .function = "", .file = "" },
        { .module = "", .function = "f", .file = "a.py", .flags = VG_FRAME_PYTHON },
    };
    s.stack.frames = frames;
    s.stack.frame_count = 3;
    expect_row("own-total");
    expect_no_text(advice, "torch");
    use_torch();
    expect_row("own-total");
    expect_text(advice, "keep less on the GPU");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_larger_than_the_gpu),
        cmocka_unit_test(weights_of_four_bytes),
        cmocka_unit_test(weights_of_two_bytes_loaded_as_four),
        cmocka_unit_test(neighbours_and_weights),
        cmocka_unit_test(the_limit_and_weights),
        cmocka_unit_test(a_place_that_keeps_more_and_more),
        cmocka_unit_test(a_cache_that_was_of_no_use),
        cmocka_unit_test(only_pytorchs_users_are_told_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

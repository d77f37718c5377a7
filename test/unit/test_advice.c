/* Which cause is found for which measurements, and what its sentences say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "advice_fixture.h"
#include "record/kind.h"
#include "view/advice_beside.h"
#include "view/advice_text.h"

static void the_users_own_limit(void **state)
{
    (void)state;
    sample_shared(&s); /* a neighbour holds more than is missing */
    s.device.gpu.free_bytes = 5 * VG_GIB;
    s.device.limit_bytes = 8 * VG_GIB;
    s.device.limit_left_bytes = VG_GIB;
    s.refused_by = VG_REFUSED_BY_LIMIT;
    use_torch();
    expect_row("limit");
    expect_text(cause,
                "VRAMGUARD_LIMIT allows this process 8.00 GiB of this GPU, of which 7.00 GiB "
                "are taken; the GPU itself has 5.00 GiB free.");
    expect_text(advice, "raise or unset VRAMGUARD_LIMIT; or, to fit into it, keep less on the GPU");
    s.device.limit_shared = 1;
    s.device.gpu.free_bytes = VG_BYTES_UNKNOWN;
    expect_row("limit");
    expect_text(cause,
                "allows the processes that share it 8.00 GiB of this GPU, of which 7.00 GiB "
                "are taken.");
    s.asked_bytes = 9 * VG_GIB;
    s.torch.loaded = false;
    expect_row("limit");
    expect_text(cause, "of this GPU, less than the 9.00 GiB asked for at once.");
    expect_no_text(advice, "torch");
    s.asked_bytes = 2 * VG_GIB;
    s.device.gpu.free_bytes = VG_GIB;
    s.refused_by = VG_REFUSED_BY_DRIVER; /* though there is one */
    expect_row("co-tenant");
}

static void request_above_the_device(void **state)
{
    (void)state;
    sample_alone(&s);
    s.asked_bytes = 13 * VG_GIB;
    use_torch();
    expect_row("impossible");
    expect_text(cause, "13.00 GiB");
    expect_text(cause, "12.00 GiB");
    expect_text(advice, "look whether the sizes of this tensor are as meant");
    expect_no_text(advice, "batch");
    s.torch.loaded = false;
    expect_row("impossible");
    expect_no_text(advice, "torch");
    /* PyTorch's first call: it holds nothing yet. */
    memset(s.torch.bytes, 0, sizeof s.torch.bytes);
    s.torch.reserved_bytes = 0;
    s.torch.loaded = true;
    expect_row("impossible");
    expect_no_text(advice, "torch");
    s.torch.is_caller = true;
    expect_row("impossible");
    expect_text(advice, "look whether the sizes of this tensor are as meant");
}

static void what_helps_with_one_tensor_depends_on_what_asks_for_it(void **state)
{
    (void)state;
    static struct vg_run_frame frame = { .module = "",
                                         .flags = VG_FRAME_PYTHON | VG_FRAME_LIBRARY };
    sample_alone(&s);
    use_torch();
    s.stack.frames = &frame;
    s.stack.frame_count = 1;
    s.asked_bytes = 13 * VG_GIB;
    frame.file = "/lib/torch/nn/modules/sparse.py";
    frame.function = "Embedding.__init__";
    expect_row("impossible");
    expect_text(advice, "one tensor of a model");
    expect_text(advice, "dtype=torch.bfloat16, which halves it");
    expect_no_text(advice, "batch");
    s.asked_bytes = 26 * VG_GIB; /* half would not fit */
    expect_row("impossible");
    expect_no_text(advice, "bfloat16");
    frame.file = "/lib/torch/nn/modules/module.py";
    frame.function = "Module._call_impl";
    expect_row("impossible");
    expect_text(advice,
                "if its size follows the batch or the length of the input, a smaller batch");
    frame.file = "/lib/torch/serialization.py";
    frame.function = "load";
    expect_row("impossible");
    expect_text(advice, "map_location=\"cpu\"");
}

static void a_framework_has_its_own_words_for_a_request_that_is_too_large(void **state)
{
    (void)state;
    static const struct vg_run_frame frame = { .module = "libggml-cuda.so",
                                               .function = "f",
                                               .file = "" };
    sample_alone(&s);
    s.asked_bytes = s.device.gpu.total_bytes + VG_GIB;
    expect_row("impossible");
    expect_text(advice, "ask for less at once");
    s.stack.frames = &frame;
    s.stack.frame_count = 1;
    expect_row("impossible");
    expect_text(advice, "fewer layers on the GPU (-ngl)");
}

static void request_above_the_device_less_context(void **state)
{
    (void)state;
    sample_alone(&s);
    s.asked_bytes = 12 * VG_GIB - VG_GIB / 4;
    expect_row("impossible");
    expect_text(cause, "512 MiB");
}

static void enough_was_free(void **state)
{
    (void)state;
    sample_alone(&s);
    s.asked_bytes = VG_GIB / 2;
    expect_row("other-limit");
    expect_text(cause, "MPS");
    s.host.cgroup_limit_bytes = 4 * VG_GIB;
    s.host.cgroup_used_bytes = 4 * VG_GIB - 4096;
    expect_row("other-limit");
    expect_text(cause, "host memory");
}

static void one_neighbour_would_suffice(void **state)
{
    (void)state;
    sample_shared(&s);
    struct vg_run_other *const large = add_process(&s, 5000, 4 * VG_GIB, "python big.py");
    s.device.live_bytes -= 4 * VG_GIB;
    s.device.self_bytes -= 4 * VG_GIB;
    large->uid = 1001;
    expect_row("co-tenant");
    /* The smaller of the two suffices. */
    expect_text(cause, "pid 4711 (python3 train.py) holds 3.00 GiB");
    s.asked_bytes = 5 * VG_GIB;
    expect_row("co-tenant");
    expect_text(cause, "pid 5000 (python big.py, uid 1001) holds 4.00 GiB");
}

static void several_neighbours_together(void **state)
{
    (void)state;
    sample_shared(&s);
    s.asked_bytes = 5 * VG_GIB + VG_GIB / 2;
    add_process(&s, 5000, 2 * VG_GIB, "python other.py");
    s.device.live_bytes -= 2 * VG_GIB;
    s.device.self_bytes -= 2 * VG_GIB;
    expect_row("co-tenant");
    expect_text(cause, "5.00 GiB together");
    expect_text(cause, "pid 4711");
    expect_text(advice, "some of them");
}

static void neighbours_that_do_not_suffice_are_not_blamed(void **state)
{
    (void)state;
    sample_shared(&s);
    s.asked_bytes = 6 * VG_GIB;
    expect_row("own-total");
    expect_no_text(cause, "4711");
}

static void unlisted_neighbours_count(void **state)
{
    (void)state;
    sample_shared(&s);
    s.device.process_count = 0;
    s.device.rest_process_count = 40;
    expect_row("co-tenant");
    expect_text(cause, "3.00 GiB together; without");
}

static void neighbours_of_another_container(void **state)
{
    (void)state;
    sample_shared(&s);
    processes[0].flags = VG_PROCESS_INVISIBLE;
    processes[0].command = "";
    expect_row("co-tenant");
    expect_text(cause, "not visible here");
    expect_no_text(cause, "()");
}

/* In a container this process is in NVML's list under a pid it does not know. */
static void this_process_is_not_its_own_neighbour(void **state)
{
    (void)state;
    sample_alone(&s);
    s.device.self_bytes = VG_BYTES_UNKNOWN;
    add_process(&s, 98765, 10 * VG_GIB + VG_GIB / 2, "")->flags = VG_PROCESS_INVISIBLE;
    expect_row("own-total");
    assert_null(vg_advice_largest_process(&s));
    expect_no_text(cause, "98765");
    expect_text(cause, "this process itself holds 10.50 GiB");
}

static void frameworks_are_known_by_their_command(void **state)
{
    (void)state;
    sample_shared(&s);
    processes[0].command = "python -m vllm.entrypoints.api_server";
    expect_row("co-tenant");
    expect_text(advice, "--gpu-memory-utilization");
    processes[0].command = "python train_jax.py";
    expect_row("co-tenant");
    expect_text(advice, "XLA_PYTHON_CLIENT_PREALLOCATE=false");
}

static void another_gpu_with_room(void **state)
{
    (void)state;
    sample_shared(&s);
    add_device(&s, 1, 12 * VG_GIB, 9 * VG_GIB); /* 7.5 + 2 GiB are needed */
    expect_row("co-tenant");
    expect_no_text(advice, "GPU 1");
    gpus[0].free_bytes = 10 * VG_GIB;
    expect_row("co-tenant");
    expect_text(advice, "GPU 1, which has 10.00 GiB free: CUDA_VISIBLE_DEVICES=1");
    add_device(&s, 2, 12 * VG_GIB, 11 * VG_GIB);
    expect_row("co-tenant");
    expect_text(advice, "CUDA_VISIBLE_DEVICES=2");
}

/* The program sees only some devices, so its numbers are not CUDA's. */
static void hidden_gpus_are_named_by_uuid(void **state)
{
    (void)state;
    sample_shared(&s);
    add_device(&s, 1, 12 * VG_GIB, 11 * VG_GIB);
    add_device(&s, -1, 12 * VG_GIB, 3 * VG_GIB);
    expect_row("co-tenant");
    expect_text(advice, "GPU 1, which has 11.00 GiB free: CUDA_VISIBLE_DEVICES=GPU-aabbccdd");
    gpus[0].uuid = "";
    expect_row("co-tenant");
    expect_no_text(advice, "CUDA_VISIBLE_DEVICES");
}

static void a_reordered_gpu_is_named_as_it_can_be_typed(void **state)
{
    (void)state;
    sample_shared(&s);
    add_device(&s, 2, 12 * VG_GIB, 11 * VG_GIB);
    s.outer.has_visible = 1;
    strcpy(s.outer.visible, "2,0,1");
    expect_row("co-tenant");
    expect_text(advice, "GPU 2, which has 11.00 GiB free: CUDA_VISIBLE_DEVICES=1");
}

/* What takes host memory is not the GPU's other users' fault. */
static void owner_without_nvml(void **state)
{
    (void)state;
    sample_shared(&s);
    s.device.others_known = 0;
    s.device.process_count = 0;
    s.device.self_bytes = s.device.others_bytes = VG_BYTES_UNKNOWN;
    expect_row("unknown-owner");
    expect_text(cause, "4.00 GiB");
    expect_text(cause, "NVML (libnvidia-ml.so.1) is not available");
    /* A rest that contexts explain is no neighbour. */
    s.device.live_bytes = 10 * VG_GIB + VG_GIB / 4;
    s.asked_bytes = VG_GIB + VG_GIB / 4;
    expect_row("own-total");
}

static void owner_that_nvml_does_not_list(void **state)
{
    (void)state;
    sample_shared(&s);
    s.device.process_count = 0;
    s.device.others_bytes = 0;
    expect_row("unknown-owner");
    expect_text(cause, "no process that NVML lists");
    expect_text(advice, "/dev/nvidia*");
}

static void guarded_neighbours_that_wait(void **state)
{
    (void)state;
    sample_shared(&s);
    processes[0].flags = VG_PROCESS_GUARDED;
    expect_row("co-tenant");
    processes[0].flags |= VG_PROCESS_WAITING;
    expect_row("load-race");
    expect_text(cause, "1 of them waits");
}

static void context_without_room(void **state)
{
    (void)state;
    sample_shared(&s);
    s.asked_bytes = VG_BYTES_UNKNOWN;
    s.api = "cuDevicePrimaryCtxRetain";
    s.device.gpu.free_bytes = 100 * VG_MIB;
    expect_row("no-headroom");
    expect_text(cause, "cuDevicePrimaryCtxRetain");
    expect_text(cause, "100 MiB are free; pid 4711");
    assert_true(strncmp(advice, "leave 0.5", 9) == 0);
    processes[0].command = "python train_jax.py";
    expect_row("no-headroom");
    assert_true(strncmp(advice, "start JAX there with", 20) == 0);
    expect_text(advice, "; or leave 0.5 to 1 GiB");
    s.device.gpu.free_bytes = 5 * VG_GIB;
    expect_row("other-limit");
}

static void pinning_makes_a_context(void **state)
{
    (void)state;
    sample_shared(&s);
    s.asked_bytes = VG_BYTES_UNKNOWN;
    s.api = "cuDevicePrimaryCtxRetain";
    s.where = "load.py:8 main > libcudart.so.13 cudaHostAlloc";
    s.device.gpu.free_bytes = 100 * VG_MIB;
    expect_row("pinning-context");
    expect_text(cause, "cudaHostAlloc pins host memory");
    expect_text(cause, "100 MiB are free; pid 4711");
    expect_text(advice, "before memory is pinned: cudaSetDevice()");
    s.torch.loaded = true;
    expect_row("pinning-context");
    expect_text(advice, "torch.cuda.set_device()");
    s.api = "cuModuleLoadData"; /* there is a context by then */
    expect_row("no-headroom");
    s.api = "cuDevicePrimaryCtxRetain";
    s.where = "load.py:8 main > libcudart.so.13 cudaMalloc";
    expect_row("no-headroom");
}

static void contexts_outweigh_allocations(void **state)
{
    (void)state;
    sample_alone(&s);
    s.device.live_bytes = VG_GIB;
    expect_row("own-context");
    expect_text(cause, "9.50 GiB are contexts");
    expect_text(advice, "CUDA_MODULE_LOADING=LAZY");
    strcpy(s.outer.bypass, "libdeep.so");
    expect_row("bypass");
    expect_text(cause, "9.50 GiB that vramguard has not seen allocated. libdeep.so goes past it");
    s.outer.bypass[0] = '\0';
    /* With managed memory it is not known to be contexts. */
    const struct vg_run_kind managed = { .kind = VG_KIND_MANAGED,
                                         .bytes = 20 * VG_GIB,
                                         .count = 1 };
    s.device.kinds = &managed;
    s.device.kind_count = 1;
    expect_row("own-site");
    s.torch.tells_blocks = true; /* the place is one of its segments */
    assert_string_not_equal(vg_advice_find(&s)->name, "own-site");
    s.torch.tells_blocks = false;
    s.device.kinds = NULL;
    s.device.kind_count = 0;
}

static void pools_keep_what_is_missing(void **state)
{
    (void)state;
    sample_alone(&s);
    s.device.pool_reserved_bytes = 3 * VG_GIB;
    s.device.pool_used_bytes = 2 * VG_GIB - VG_MIB;
    expect_row("idle-pool");
    expect_text(cause, "keep 1.00 GiB");
    expect_text(advice, "VRAMGUARD_POLICY=trim");
    s.action_count = 1;
    SET(actions[0].name, "trim");
    expect_row("idle-pool");
    expect_no_text(advice, "POLICY"); /* it was tried */
    vg_outcome_add(&actions[0], (struct vg_outcome){ .code = VG_OUTCOME_ASKED }, "pools");
    expect_row("own-total"); /* what is left lies between allocations */
    actions[0].outcome_count = 0;
    SET(actions[0].name, "flush");
    expect_row("idle-pool");
    s.torch.count[VG_TORCH_ASYNC] = 1; /* whose flush trims the pool */
    expect_row("own-total");
    s.device.graph_reserved_bytes = 2 * VG_GIB; /* and not what graphs keep */
    s.device.graph_used_bytes = 0;
    expect_row("idle-pool");
    s.device.graph_reserved_bytes = 0;
    s.torch.count[VG_TORCH_ASYNC] = 0;
    s.device.pool_used_bytes = 2 * VG_GIB + VG_MIB; /* less than what is missing */
    expect_row("own-total");
}

static void one_place_holds_most(void **state)
{
    (void)state;
    sample_alone(&s);
    sites[0].live_bytes = 6 * VG_GIB;
    expect_row("own-site");
    expect_text(cause, "6.00 GiB of its 10.00 GiB: main (train.c:12) > load (load.c:7)");
    sites[0].live_bytes = s.device.live_bytes;
    s.device.sites[VG_LEVEL_ALLOCATIONS].count = 1; /* a sole holder */
    s.device.sites[VG_LEVEL_ALLOCATIONS].rest_stack_count = 0;
    expect_row("own-site");
    expect_text(cause, "one place holds all of its 10.00 GiB: main (train.c:12) > load (load.c:7)");
}

static void an_allocator_is_plugged_into_pytorch(void **state)
{
    (void)state;
    static const char *const modules[] = { "libcudart.so.13", "librmm_torch.so", "librmm_torch.so",
                                           "libtorch_cuda.so", "libtorch_cpu.so" };
    static struct vg_run_frame frames[5];
    for (size_t i = 0; i < 5; i++)
        frames[i] = (struct vg_run_frame){ .module = modules[i], .function = "", .file = "" };
    sample_alone(&s);
    sites[0].live_bytes = 6 * VG_GIB;
    s.stack.frames = frames;
    s.stack.frame_count = 5;
    s.torch.loaded = true;
    expect_row("own-site");
    expect_text(advice, "PyTorch allocates through librmm_torch.so, which was plugged into it");
    frames[2].module = "libother.so"; /* who calls it is not PyTorch */
    expect_row("own-site");
    expect_no_text(advice, "plugged");
    frames[2].module = "librmm_torch.so";
    frames[1].module = frames[2].module = "libc10_cuda.so"; /* PyTorch's own */
    expect_row("own-site");
    expect_no_text(advice, "plugged");
    s.stack.frame_count = 0;
}

static void all_in_all(void **state)
{
    (void)state;
    sample_alone(&s);
    expect_row("own-total");
    expect_text(cause, "this process itself holds 10.50 GiB of 12.00 GiB");
    expect_text(cause, " are missing.");
    expect_text(advice, "allocate less or free earlier");
    expect_row("own-total");
    expect_no_text(advice, "torch");
    add_device(&s, 1, 24 * VG_GIB, 23 * VG_GIB);
    expect_row("own-total");
    expect_text(advice, "CUDA_VISIBLE_DEVICES=1");
}

static void nothing_is_known(void **state)
{
    (void)state;
    sample_alone(&s);
    s.device.gpu.free_bytes = s.device.gpu.total_bytes = VG_BYTES_UNKNOWN;
    expect_row("unknown");
    expect_text(cause, "unknown");
}

/* Every sentence on random numbers: bounded, and never an amount that nobody measured. */
static void any_numbers_give_sentences(void **state)
{
    (void)state;
    srand(3);
    for (int round = 0; round < 20000; round++) {
        sample_shared(&s);
        uint64_t *const amounts[] = {
            &s.asked_bytes,           &s.device.gpu.free_bytes,      &s.device.live_bytes,
            &s.device.self_bytes,     &s.device.others_bytes,        &s.device.gpu.total_bytes,
            &s.device.peak_bytes,     &s.host.cgroup_used_bytes,     &s.host.cgroup_limit_bytes,
            &processes[0].bytes,      &s.device.pool_reserved_bytes, &s.device.graph_used_bytes,
            &s.device.limit_bytes,    &s.device.limit_left_bytes,    &s.checkpoint.f32_bytes,
            &s.checkpoint.half_bytes, &s.checkpoint.other_bytes,     &actions[0].recovered_bytes
        };
        SET(actions[0].name, "flush");
        s.action_count = rand() % 2;
        sites[0].growth.kind = rand() % 2 ? VG_GROWTH_STEADY : VG_GROWTH_NONE;
        sites[0].oldest_ns = (uint64_t)rand() << 10;
        s.refused_by = (uint32_t)rand() % 4;
        s.device.limit_bytes = (uint64_t)(rand() % 3) * VG_GIB;
        for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++)
            if (rand() % 3 == 0)
                *amounts[i] = rand() % 3
                                  ? ((uint64_t)rand() << 31 | (uint64_t)rand()) >> (6 + rand() % 34)
                                  : VG_BYTES_UNKNOWN;
        s.device.others_known = rand() % 2;
        processes[0].flags = (uint32_t)rand() % 8;
        const struct vg_advice_row *const row = vg_advice_find(&s);
        expect_row(row->name);
        expect_no_text(cause, "EiB");
        if (strcmp(row->name, "other-limit") != 0 && strcmp(row->name, "unknown") != 0)
            expect_no_text(cause, "unknown are");
    }
}

static void a_larger_gpu_is_larger(void **state)
{
    (void)state;
    char words[256];
    sample_alone(&s);
    s.asked_bytes = s.device.live_bytes = s.device.self_bytes = VG_GIB;
    gpus[0] = (struct vg_run_gpu){ .ordinal = 1,
                                   .total_bytes = 8 * VG_GIB,
                                   .free_bytes = 7 * VG_GIB,
                                   .name = "",
                                   .uuid = "",
                                   .pci_bus_id = "" };
    s.other_gpus = gpus;
    s.other_gpu_count = 1;
    struct vg_text text = vg_text_over(words, sizeof words);
    vg_advice_add_other_gpu(&text, &s);
    expect_text(words, "; or GPU 1, which has 7.00 GiB free");
    text = vg_text_over(words, sizeof words);
    vg_advice_add_larger_gpu(&text, &s); /* of 12 GiB is this one */
    assert_string_equal(words, "");
    gpus[0].total_bytes = 12 * VG_GIB + 1;
    vg_advice_add_larger_gpu(&text, &s);
    expect_text(words, "; or GPU 1");
}

static void memory_beside_pytorch_is_told_where_it_is_most(void **state)
{
    (void)state;
    static const struct vg_run_frame frame = { .module = "xla_extension.so",
                                               .function = "grow",
                                               .file = "" };
    sample_alone(&s);
    use_torch();
    sites[0].owner = VG_OWNER_OTHER;
    sites[0].live_bytes = 3 * VG_GIB;
    sites[0].label = "both.py:6 main > xla_extension.so grow";
    s.torch.reserved_bytes = 2 * VG_GIB;
    assert_true(vg_advice_beside_torch.applies(&s));
    assert_true(vg_advice_other_arena.applies(&s));
    s.torch.reserved_bytes = 4 * VG_GIB;
    assert_false(vg_advice_beside_torch.applies(&s));
    s.torch.reserved_bytes = 2 * VG_GIB;
    s.stack.frames = &frame; /* its own call fails: it is no other one */
    s.stack.frame_count = 1;
    assert_false(vg_advice_other_arena.applies(&s));
    sites[0].owner = VG_OWNER_UNKNOWN;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_users_own_limit),
        cmocka_unit_test(request_above_the_device),
        cmocka_unit_test(what_helps_with_one_tensor_depends_on_what_asks_for_it),
        cmocka_unit_test(a_framework_has_its_own_words_for_a_request_that_is_too_large),
        cmocka_unit_test(request_above_the_device_less_context),
        cmocka_unit_test(enough_was_free),
        cmocka_unit_test(one_neighbour_would_suffice),
        cmocka_unit_test(several_neighbours_together),
        cmocka_unit_test(neighbours_that_do_not_suffice_are_not_blamed),
        cmocka_unit_test(unlisted_neighbours_count),
        cmocka_unit_test(neighbours_of_another_container),
        cmocka_unit_test(this_process_is_not_its_own_neighbour),
        cmocka_unit_test(frameworks_are_known_by_their_command),
        cmocka_unit_test(another_gpu_with_room),
        cmocka_unit_test(hidden_gpus_are_named_by_uuid),
        cmocka_unit_test(a_reordered_gpu_is_named_as_it_can_be_typed),
        cmocka_unit_test(owner_without_nvml),
        cmocka_unit_test(owner_that_nvml_does_not_list),
        cmocka_unit_test(guarded_neighbours_that_wait),
        cmocka_unit_test(context_without_room),
        cmocka_unit_test(pinning_makes_a_context),
        cmocka_unit_test(contexts_outweigh_allocations),
        cmocka_unit_test(pools_keep_what_is_missing),
        cmocka_unit_test(one_place_holds_most),
        cmocka_unit_test(an_allocator_is_plugged_into_pytorch),
        cmocka_unit_test(all_in_all),
        cmocka_unit_test(nothing_is_known),
        cmocka_unit_test(any_numbers_give_sentences),
        cmocka_unit_test(a_larger_gpu_is_larger),
        cmocka_unit_test(memory_beside_pytorch_is_told_where_it_is_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

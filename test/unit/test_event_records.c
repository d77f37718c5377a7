/* Failures, rescues and marks in the run file: what was written is read again, by this version and
 * by one that knows less or more, and hostile records do no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/census.h"
#include "analyze/sites.h"
#include "base/text.h"
#include "event_fixture.h"
#include "record/event_parts.h"
#include "record/parts.h"
#include "record/version3.h"
#include "view/event_text.h"
#include "view/render.h"

/* ---- marks ---- */

static void marks_are_read_again(void **state)
{
    (void)state;
    char long_text[300], line[512];
    struct vg_file_device *const devices = recorder->header->devices;
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_int_equal(vg_mark_record_append(recorder, 4711, "before anything"), 0);
    devices[0].live_bytes = 100 << 20;
    devices[0].peak_bytes = 200 << 20;
    devices[VG_FILE_HOST].peak_bytes = 1 << 20;
    assert_int_equal(vg_mark_record_append(recorder, 4712, "epoch\t1 \x1b[31m"), 0);
    assert_int_equal(vg_mark_record_append(recorder, 4713, long_text), 0);
    read_back();
    assert_int_equal(run.mark_count, 3);
    assert_int_equal(run.mark_total, 3);
    struct vg_text text = vg_text_over(line, sizeof line);
    vg_event_add_mark(&text, &run.marks[0]);
    assert_string_equal(line, "before anything");
    assert_int_equal(run.marks[0].thread_id, 4711);
    text = vg_text_over(line, sizeof line);
    vg_event_add_mark(&text, &run.marks[1]);
    assert_string_equal(line,
                        "epoch?1 ?[31m: 100 MiB live on GPU 0, peak 200 MiB; 0 B live of "
                        "pinned host memory, peak 1.00 MiB");
    assert_int_equal(strlen(run.marks[2].text), VG_MARK_TEXT_CAP - 1);
    assert_string_equal(run.marks[2].text + VG_MARK_TEXT_CAP - 6, "xx...");
    release();
}

static void marks_are_bounded(void **state)
{
    (void)state;
    for (int i = 0; i < VG_MARK_RECORDS_MAX; i++)
        assert_int_equal(vg_mark_record_append(recorder, 1, "step"), 0);
    assert_int_equal(vg_mark_record_append(recorder, 1, "step"), -ENOSPC);
    read_back();
    assert_int_equal(run.mark_count, VG_MARK_RECORDS_MAX);
    assert_int_equal(run.mark_total, VG_MARK_RECORDS_MAX + 1);
    release();
}

/* ---- rescues ---- */

static void rescues_are_read_again(void **state)
{
    (void)state;
    char line[512];
    memset(actions, 0, sizeof actions);
    SET(actions[0].name, "wait");
    vg_outcome_add(&actions[0], (struct vg_outcome){ .code = VG_OUTCOME_GOT_IT }, NULL);
    actions[0].recovered_bytes = 3 * VG_GIB;
    const struct vg_run_rescue rescue = { .device = 1,
                                          .action_count = 1,
                                          .realtime_ns = 5,
                                          .asked_bytes = 2 * VG_GIB,
                                          .duration_ns = UINT64_C(3100000000),
                                          .stack_id = 7,
                                          .api = "cuMemAlloc_v2",
                                          .actions = actions };
    for (int i = 0; i < VG_RESCUE_RECORDS_MAX + 1; i++)
        vg_rescue_record_append(recorder, &rescue);
    read_back();
    assert_int_equal(run.rescue_count, VG_RESCUE_RECORDS_MAX);
    assert_int_equal(run.rescue_total, VG_RESCUE_RECORDS_MAX + 1);
    const struct vg_run_rescue *const read = &run.rescues[0];
    assert_int_equal(read->stack_id, 7);
    assert_int_equal(read->realtime_ns, 5);
    assert_string_equal(read->api, "cuMemAlloc_v2");
    struct vg_text text = vg_text_over(line, sizeof line);
    vg_event_add_rescue(&text, read);
    assert_string_equal(line, "2.00 GiB on GPU 1 after 3.1 s; wait: got it, +3.00 GiB");
    release();
}

/* Records without the part that they are of: damage, and no events. */
static void parts_that_are_missing_are_damage(void **state)
{
    (void)state;
    struct vg_part_writer writer = vg_part_write(buffer, sizeof buffer);
    const uint64_t other = 7;
    vg_part_add(&writer, 999, &other, sizeof other);
    const uint32_t size = vg_part_finish(&writer, VG_PART_TEXTS);
    static const enum vg_journal_type types[] = { VG_JOURNAL_FAILURE_PARTS, VG_JOURNAL_RESCUE_PARTS,
                                                  VG_JOURNAL_MARK_PARTS };
    for (int i = 0; i < 3; i++)
        assert_int_equal(vg_recorder_append(recorder, types[i], buffer, size, NULL), 0);
    read_back();
    assert_int_equal(run.failure_count + run.rescue_count + run.mark_count, 0);
    assert_int_equal(reader.damage.records, 3);
    release();
}

/* ---- failures ---- */

static const struct vg_run_frame frames[] = {
    { .address = 0x7000, .module_offset = 0x10, .module = "libc10_cuda.so", .function = "alloc" },
    { .function = "Net.forward",
      .file = "/p/net.py",
      .line = 11,
      .module = "",
      .flags = VG_FRAME_PYTHON },
};

/* A failure in which every field says something, and so says another thing than its neighbours. */
static void sample_everything(void)
{
    static struct vg_run_frame named[2];
    static struct vg_stack_sum sums[3];
    memcpy(named, frames, sizeof named);
    named[0].file = "";
    sample_shared(&s);
    add_device(&s, 1, 24 * VG_GIB, 20 * VG_GIB);
    set_kind(&s, VG_KIND_DEVICE, 6 * VG_GIB, 30);
    set_kind(&s, VG_KIND_ARRAY, VG_GIB, 10);
    SET(actions[0].name, "trim");
    vg_outcome_add(&actions[0], (struct vg_outcome){ .code = VG_OUTCOME_GAVE, .bytes = VG_MIB },
                   "pools");
    s.action_count = 1;
    s.realtime_ns = 77;
    s.survived = true;
    s.refused_by = VG_REFUSED_BY_LIMIT;
    s.injected_number = 9;
    s.injected_rule = "nth=9";
    s.alloc_count = 100;
    s.free_count = 60;
    process.rank = 3;
    process.world_size = 8;
    s.stack = (struct vg_run_stack){ .frames = named, .frame_count = 2, .truncated = true };
    s.device.limit_bytes = 8 * VG_GIB;
    s.device.limit_left_bytes = VG_GIB;
    s.device.limit_shared = 1;
    s.device.pool_reserved_bytes = 4096;
    s.device.graph_used_bytes = 512;
    s.torch.loaded = s.torch.tells_blocks = true;
    s.torch.settings = "PYTORCH_CUDA_ALLOC_CONF=x:y";
    s.torch.bytes[VG_TORCH_EXPANDABLE] = 11;
    s.torch.count[VG_TORCH_ASYNC] = 12;
    s.torch.largest_hole_bytes = 13;
    s.checkpoint.file_count = 2;
    s.checkpoint.f32_bytes = 14;
    s.checkpoint.name = "model.safetensors";
    s.host.spilled_bytes = 15;
    s.host.spill_cap_bytes = 16;
    processes[0].flags = VG_PROCESS_GUARDED | VG_PROCESS_WAITING;
    processes[0].container = "docker/abc";
    sums[0] = (struct vg_stack_sum){ .bytes = 3 * VG_GIB, .count = 20, .oldest_ns = 900 };
    sums[1] = (struct vg_stack_sum){ .bytes = 4 * VG_GIB, .count = 10, .stack_id = 3 };
    sums[2] = (struct vg_stack_sum){ .bytes = VG_GIB, .count = 5, .stack_id = 4 };
    sums[0].made[7] = 20;
    s.device.sites[VG_LEVEL_ALLOCATIONS].stacks = sums;
    s.device.sites[VG_LEVEL_ALLOCATIONS].stack_count = 2;
    s.device.sites[VG_LEVEL_BLOCKS] =
        (struct vg_run_sites){ .is_known = true, .stacks = &sums[2], .stack_count = 1 };
}

static void failures_are_read_again(void **state)
{
    (void)state;
    sample_everything();
    assert_int_equal(vg_failure_record_append(recorder, &s, buffer), 0);
    atomic_store(&recorder->header->failure_count, 1);
    read_back();
    assert_int_equal(run.failure_count, 1);
    const struct vg_run_failure *const f = &run.failures[0];
    assert_ptr_equal(f->process, &run.process);
    assert_int_equal(f->realtime_ns, 77);
    assert_true(f->survived);
    assert_int_equal(f->asked_bytes, 2 * VG_GIB);
    assert_int_equal(f->refused_by, VG_REFUSED_BY_LIMIT);
    assert_int_equal(f->injected_number, 9);
    assert_string_equal(f->injected_rule, "nth=9");
    assert_string_equal(f->api, "cuMemAlloc_v2");
    assert_string_equal(f->driver_version, "580.159.04");
    assert_int_equal(f->cuda_version, 13000);
    assert_int_equal(f->alloc_count, 100);
    assert_int_equal(run.process.rank, 3);
    assert_int_equal(run.process.world_size, 8);
    assert_true(f->stack.truncated);
    assert_int_equal(f->stack.frame_count, 2);
    assert_string_equal(f->stack.frames[0].module, "libc10_cuda.so");
    assert_string_equal(f->stack.frames[1].file, "/p/net.py");
    assert_int_equal(f->stack.frames[1].flags, VG_FRAME_PYTHON);
    assert_string_equal(f->where, "net.py:11 forward > PyTorch's allocator");
    assert_string_equal(f->device.gpu.name, "Tesla K80");
    assert_int_equal(f->device.gpu.free_bytes, VG_GIB);
    assert_int_equal(f->device.live_bytes, 7 * VG_GIB);
    assert_int_equal(f->device.limit_left_bytes, VG_GIB);
    assert_int_equal(f->device.limit_shared, 1);
    assert_true(f->device.others_known);
    assert_int_equal(f->device.pool_reserved_bytes, 4096);
    assert_int_equal(f->device.graph_used_bytes, 512);
    assert_int_equal(f->device.size_class_count[28], 40);
    assert_int_equal(f->device.kind_count, 2);
    assert_int_equal(f->device.kinds[1].kind, VG_KIND_ARRAY);
    assert_int_equal(f->device.kinds[1].bytes, VG_GIB);
    assert_int_equal(f->device.process_count, 1);
    assert_string_equal(f->device.processes[0].command, "/usr/bin/python3 /srv/jobs/train.py");
    assert_string_equal(f->device.processes[0].container, "docker/abc");
    assert_int_equal(f->device.processes[0].flags, VG_PROCESS_GUARDED | VG_PROCESS_WAITING);
    assert_int_equal(f->other_gpu_count, 1);
    assert_int_equal(f->other_gpus[0].free_bytes, 20 * VG_GIB);
    assert_int_equal(f->action_count, 1);
    assert_string_equal(vg_outcome_subject(&f->actions[0], &f->actions[0].outcomes[0]), "pools");
    assert_string_equal(f->torch.settings, "PYTORCH_CUDA_ALLOC_CONF=x:y");
    assert_true(f->torch.loaded && f->torch.tells_blocks && !f->torch.unjudged);
    assert_int_equal(f->torch.bytes[VG_TORCH_EXPANDABLE], 11);
    assert_int_equal(f->torch.count[VG_TORCH_ASYNC], 12);
    assert_int_equal(f->torch.largest_hole_bytes, 13);
    assert_int_equal(f->checkpoint.f32_bytes, 14);
    assert_string_equal(f->checkpoint.name, "model.safetensors");
    assert_int_equal(f->host.available_bytes, 50 * VG_GIB);
    assert_int_equal(f->host.cgroup_limit_bytes, VG_BYTES_UNKNOWN);
    assert_int_equal(f->host.spilled_bytes, 15);
    release();
}

/* The id of a stack that ends in line `line` of the program's own code. */
static uint32_t python_stack(uint32_t line)
{
    const uint32_t code = vg_recorder_add_code(recorder, 0xc0de, 1, "/p/train.py", "Trainer.step");
    const struct vg_journal_python frame = { .code_id = code, .line = line };
    const struct vg_recorder_frames stack = { .python = &frame, .python_depth = 1 };
    return vg_recorder_add_stack(recorder, 1000 + line, &stack);
}

/* The numbers of a structure from member `first` to member `last`. */
#define NUMBERS(object, first, last)                                                               \
    (uint64_t *)&(object).first, (size_t)(&(object).last - &(object).first) + 1

static void fill_numbers(uint64_t *numbers, size_t count)
{
    static uint64_t next = 1000;
    for (size_t i = 0; i < count; i++)
        numbers[i] = next++;
}

static void same_numbers(const uint64_t *a, size_t count, const uint64_t *b, size_t other_count)
{
    assert_int_equal(count, other_count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(a[i], b[i]);
}

static void every_number_comes_back(void **state)
{
    (void)state;
    sample_everything();
    fill_numbers(NUMBERS(s.torch, bytes[0], count[VG_TORCH_BACKENDS - 1]));
    fill_numbers(NUMBERS(s.torch, allocated_bytes, graph_bytes));
    s.torch.graph_count = 7;
    s.settings = "CUPY_GPU_MEMORY_LIMIT=50%|";
    s.main_line = (struct vg_run_line){
        .path = "/p/load.py", .file = "load.py", .line = 9, .function = "load", .text = ""
    };
    s.torch.graph_reuser_count = 5;
    s.torch.is_caller = true;
    fill_numbers(NUMBERS(s.host, total_bytes, spill_cap_bytes));
    fill_numbers(NUMBERS(s.device, pool_reserved_bytes, limit_left_bytes));
    fill_numbers(NUMBERS(s.checkpoint, f32_bytes, other_bytes));
    fill_numbers(NUMBERS(s.outer.host, locked_limit_bytes, cgroup_room_bytes));
    assert_int_equal(vg_failure_record_append(recorder, &s, buffer), 0);
    read_back();
    struct vg_run_failure *const f = &run.failures[0];
    same_numbers(NUMBERS(s.torch, bytes[0], count[VG_TORCH_BACKENDS - 1]),
                 NUMBERS(f->torch, bytes[0], count[VG_TORCH_BACKENDS - 1]));
    same_numbers(NUMBERS(s.torch, allocated_bytes, graph_bytes),
                 NUMBERS(f->torch, allocated_bytes, graph_bytes));
    assert_int_equal(f->torch.graph_count, 7);
    assert_string_equal(f->settings, "CUPY_GPU_MEMORY_LIMIT=50%|");
    assert_string_equal(f->main_line.file, "load.py");
    assert_string_equal(f->main_line.function, "load");
    assert_int_equal(f->main_line.line, 9);
    assert_int_equal(f->torch.graph_reuser_count, 5);
    assert_true(f->torch.is_caller);
    same_numbers(NUMBERS(s.host, total_bytes, spill_cap_bytes),
                 NUMBERS(f->host, total_bytes, spill_cap_bytes));
    same_numbers(NUMBERS(s.device, pool_reserved_bytes, limit_left_bytes),
                 NUMBERS(f->device, pool_reserved_bytes, limit_left_bytes));
    same_numbers(NUMBERS(s.checkpoint, f32_bytes, other_bytes),
                 NUMBERS(f->checkpoint, f32_bytes, other_bytes));
    same_numbers(NUMBERS(s.outer.host, locked_limit_bytes, cgroup_room_bytes),
                 NUMBERS(f->outer.host, locked_limit_bytes, cgroup_room_bytes));
    release();
}

/* Values that cannot be, as a damaged file or a later version may have them. */
static void what_cannot_be_is_unknown(void **state)
{
    (void)state;
    sample_everything();
    s.device.live_bytes = UINT64_C(1) << 60;
    s.device.self_bytes = UINT64_MAX - 1;
    s.outer.host_shortage = VG_HOST_SHORTAGE_COUNT;
    assert_int_equal(vg_failure_record_append(recorder, &s, buffer), 0);
    struct vg_part_writer writer = vg_part_write(buffer, sizeof buffer);
    const struct vg_part_call bare = { .number = 2 };
    vg_part_add(&writer, VG_PART_CALL, &bare, sizeof bare);
    const uint32_t size = vg_part_finish(&writer, VG_PART_TEXTS);
    assert_int_equal(vg_recorder_append(recorder, VG_JOURNAL_FAILURE_PARTS, buffer, size, NULL), 0);
    read_back();
    assert_int_equal(run.failure_count, 2);
    assert_true(run.failures[0].device.live_bytes == VG_BYTES_UNKNOWN);
    assert_true(run.failures[0].device.self_bytes == VG_BYTES_UNKNOWN);
    assert_int_equal(run.failures[0].outer.host_shortage, VG_HOST_SHORTAGE_NONE);
    assert_true(run.failures[1].host.total_bytes == VG_BYTES_UNKNOWN);
    assert_true(run.failures[1].host.cgroup_limit_bytes == VG_BYTES_UNKNOWN);
    assert_true(run.failures[1].outer.mps_bytes == VG_BYTES_UNKNOWN);
    release();
}

/* The file knows the modules of its addresses only; what the process could name stays named. */
static void names_that_the_process_knew_are_kept(void **state)
{
    (void)state;
    static struct vg_run_frame known[1];
    const uint64_t address = 0x7000;
    sample_everything();
    const uint32_t id = vg_recorder_stack(recorder, &address, 1, false);
    known[0] = (struct vg_run_frame){
        .address = address, .module = "libx.so", .function = "make_it", .file = ""
    };
    s.stack = (struct vg_run_stack){ .id = id, .frames = known, .frame_count = 1 };
    assert_int_equal(vg_failure_record_append(recorder, &s, buffer), 0);
    read_back();
    assert_int_equal(run.failures[0].stack.frame_count, 1);
    assert_string_equal(run.failures[0].stack.frames[0].function, "make_it");
    assert_string_equal(run.failures[0].stack.frames[0].module, "libx.so");
    release();
}

static void frames_keep_their_modules(void **state)
{
    (void)state;
    static const char *const modules[] = { "liba.so", "libb.so", "libb.so", "", "liba.so" };
    enum { FRAMES = sizeof modules / sizeof modules[0] };
    static struct vg_run_frame made[FRAMES];
    sample_everything();
    for (uint32_t i = 0; i < FRAMES; i++)
        made[i] = (struct vg_run_frame){
            .address = i, .module = modules[i], .function = "f", .file = ""
        };
    s.stack = (struct vg_run_stack){ .frames = made, .frame_count = FRAMES };
    assert_int_equal(vg_failure_record_append(recorder, &s, buffer), 0);
    read_back();
    assert_int_equal(run.failures[0].stack.frame_count, FRAMES);
    for (uint32_t i = 0; i < FRAMES; i++)
        assert_string_equal(run.failures[0].stack.frames[i].module, modules[i]);
    release();
}

static void sites_of_a_failure_are_read_again(void **state)
{
    (void)state;
    sample_everything();
    for (uint32_t id = 1; id <= 4; id++)
        assert_int_equal(python_stack(id), id);
    assert_int_equal(vg_failure_record_append(recorder, &s, buffer), 0);
    read_back();
    const struct vg_run_sites *const allocations =
        &run.failures[0].device.sites[VG_LEVEL_ALLOCATIONS];
    assert_int_equal(allocations->count, 2);
    assert_int_equal(allocations->entries[0].live_bytes, 4 * VG_GIB);
    assert_int_equal(allocations->entries[0].stack_id, 3);
    assert_int_equal(allocations->entries[1].live_count, 20);
    assert_int_equal(allocations->entries[1].oldest_ns, 900);
    assert_int_equal(allocations->entries[1].made[7], 20);
    assert_string_equal(allocations->entries[0].label, "train.py:3 step");
    assert_string_equal(allocations->entries[0].own.path, "/p/train.py");
    assert_string_equal(allocations->entries[1].label, "(no stack was recorded)");
    assert_int_equal(allocations->rest_bytes, VG_GIB); /* as the sample has it */
    assert_int_equal(allocations->rest_stack_count, 2);
    const struct vg_run_sites *const blocks = &run.failures[0].device.sites[VG_LEVEL_BLOCKS];
    assert_true(blocks->is_known);
    assert_int_equal(blocks->count, 1);
    assert_int_equal(blocks->entries[0].live_bytes, VG_GIB);
    release();
}

/* More of everything than a record has room for: the largest are kept, the rest is told as sums. */
static void too_much_is_told_as_sums(void **state)
{
    (void)state;
    enum { STACKS = 5000 };
    struct vg_stack_sum *const sums = calloc(STACKS, sizeof *sums);
    assert_non_null(sums);
    uint64_t all_bytes = 0, told_bytes, told_count;
    sample_alone(&s);
    for (uint32_t i = 0; i < STACKS; i++) {
        sums[i] =
            (struct vg_stack_sum){ .stack_id = i + 1, .bytes = i * 7919 % 5000 + 1, .count = 1 };
        all_bytes += sums[i].bytes;
    }
    for (int i = 0; i < SAMPLE_CAP; i++)
        add_process(&s, 100 + i, VG_MIB, "python train.py");
    struct vg_run_sites *const sites_of = s.device.sites;
    sites_of[VG_LEVEL_ALLOCATIONS] =
        (struct vg_run_sites){ .is_known = true, .stacks = sums, .stack_count = STACKS };
    sites_of[VG_LEVEL_BLOCKS] = sites_of[VG_LEVEL_ALLOCATIONS];
    static char census[20000];
    memset(census, 'c', sizeof census);
    s.census = census;
    s.census_bytes = sizeof census;
    s.census_format = 77;
    assert_int_equal(vg_failure_record_append(recorder, &s, buffer), 0);
    free(sums);
    read_back();
    assert_int_equal(run.failure_count, 1);
    assert_int_equal(reader.damage.records, 0);
    const struct vg_run_failure *const f = &run.failures[0];
    for (int level = 0; level < VG_LEVELS; level++) {
        const struct vg_run_sites *const list = &f->device.sites[level];
        told_bytes = list->rest_bytes;
        told_count = list->rest_count;
        assert_true(list->entries[0].live_bytes >= 5000);
        for (uint32_t i = 0; i < list->count; i++) {
            told_bytes += list->entries[i].live_bytes;
            told_count += list->entries[i].live_count;
        }
        assert_int_equal(told_bytes, all_bytes);
        assert_int_equal(told_count, STACKS);
    }
    assert_int_equal(f->device.process_count + f->device.rest_process_count, SAMPLE_CAP);
    assert_int_equal(f->census_format, 77);
    assert_int_equal(f->census_bytes, sizeof census);
    assert_memory_equal(f->census, census, sizeof census);
    release();
}

/* ---- other versions ---- */

/* One that knew fewer fields, and one that knows more and writes parts that are not known here. */
static void other_versions_are_read(void **state)
{
    (void)state;
    static uint64_t payload[512];
    const struct vg_part_call call = { .asked_bytes = 5 * VG_GIB, .number = 3, .error = 2 };
    char longer[sizeof call + 64];
    memset(longer, 0x5a, sizeof longer);
    memcpy(longer, &call, sizeof call);
    struct vg_part_writer w = vg_part_write(payload, sizeof payload);
    vg_part_add(&w, VG_PART_CALL, &call, offsetof(struct vg_part_call, refused_by));
    vg_recorder_append(recorder, VG_JOURNAL_FAILURE_PARTS, payload, vg_part_finish(&w, 1), NULL);
    w = vg_part_write(payload, sizeof payload);
    vg_part_add(&w, 999, "unheard of", 10);
    vg_part_add(&w, VG_PART_CALL, longer, sizeof longer);
    struct wide_kind {
        struct vg_part_kind kind;
        uint64_t more[3];
    } *const wide = vg_part_add_array(&w, VG_PART_KINDS, sizeof *wide, 2);
    wide[1].kind = (struct vg_part_kind){ .kind = VG_KIND_ARRAY, .bytes = 9, .count = 1 };
    vg_recorder_append(recorder, VG_JOURNAL_FAILURE_PARTS, payload, vg_part_finish(&w, 1), NULL);
    vg_recorder_append(recorder, 250, "a record of a later version", 27, NULL);
    read_back();
    assert_int_equal(run.failure_count, 2);
    assert_int_equal(reader.damage.unknown, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run.failures[i].asked_bytes, 5 * VG_GIB);
        assert_int_equal(run.failures[i].number, 3);
        assert_string_equal(run.failures[i].api, "");
        assert_int_equal(run.failures[i].refused_by, VG_REFUSED_BY_DRIVER);
    }
    assert_int_equal(run.failures[0].device.kind_count, 0);
    assert_int_equal(run.failures[0].host.available_bytes, VG_BYTES_UNKNOWN);
    assert_int_equal(run.failures[1].device.kind_count, 2);
    assert_int_equal(run.failures[1].device.kinds[1].bytes, 9);
    release();
}

static void version_3_is_read(void **state)
{
    (void)state;
    static struct vg_version3_snapshot old;
    memset(&old, 0, sizeof old);
    old.version = VG_VERSION3_SNAPSHOT;
    old.size_bytes = sizeof old;
    old.asked_bytes = 3 * VG_GIB;
    old.site_count = 2;
    old.sites[0].bytes = 2 * VG_GIB;
    old.sites[0].count = 20;
    old.sites[0].steady = 1;
    old.sites[0].span_ns = UINT64_C(5000000000);
    old.sites[1].bytes = VG_GIB;
    old.sites[1].count = 1;
    old.sites[1].stack_id = 9;
    old.other_site_count = 4;
    old.process_count = UINT32_MAX;
    old.torch.loaded = 1;
    old.torch.bytes[1] = 17;
    old.action_count = 1;
    old.frame_count = 2;
    old.kind_count[VG_KIND_ARRAY] = 3;
    old.kind_bytes[VG_KIND_ARRAY] = 33;
    SET(old.frames[1].function, "main");
    SET(old.frames[1].location, "main.c"); /* without a line */
    SET(old.frames[0].module, "train");
    SET(old.frames[0].function, "load");
    SET(old.frames[0].location, "train.c:12");
    SET(old.sites[0].label, "main > load");
    SET(old.sites[1].label, "a \x1b[31m label");
    SET(old.actions[0].name, "wait");
    SET(old.actions[0].outcome, "got it; pid 4711 freed 3.20 GiB");
    vg_recorder_append(recorder, VG_JOURNAL_FAILURE, &old, sizeof old, NULL);
    old.version++;
    vg_recorder_append(recorder, VG_JOURNAL_FAILURE, &old, sizeof old, NULL);
    read_back();
    assert_int_equal(run.failure_count, 1);
    assert_int_equal(reader.damage.records, 1);
    const struct vg_run_failure *const f = &run.failures[0];
    const struct vg_run_sites *const list = &f->device.sites[VG_LEVEL_ALLOCATIONS];
    assert_int_equal(f->asked_bytes, 3 * VG_GIB);
    assert_string_equal(f->where, "main > load (train.c:12)");
    assert_string_equal(f->stack.frames[1].file, "main.c");
    assert_int_equal(f->stack.frames[1].line, 0);
    assert_int_equal(f->device.kind_count, 1);
    assert_int_equal(f->device.kinds[0].kind, VG_KIND_ARRAY);
    assert_int_equal(f->device.kinds[0].bytes, 33);
    assert_int_equal(list->count, 2);
    assert_string_equal(list->entries[0].label, "main > load");
    assert_int_equal(list->entries[0].growth.kind, VG_GROWTH_STEADY);
    assert_int_equal(list->entries[0].oldest_ns, UINT64_C(5000000000));
    assert_string_equal(list->entries[1].label, "a ?[31m label");
    assert_int_equal(list->rest_stack_count, 4);
    assert_int_equal(f->device.process_count, VG_VERSION3_PROCESSES);
    assert_int_equal(f->torch.bytes[VG_TORCH_EXPANDABLE], 17);
    assert_int_equal(f->actions[0].outcomes[0].code, VG_OUTCOME_TEXT);
    assert_string_equal(vg_outcome_subject(&f->actions[0], &f->actions[0].outcomes[0]),
                        "got it; pid 4711 freed 3.20 GiB");
    release();
}

/* ---- hostile records ---- */

static void check_texts(void)
{
    static char text[VG_REPORT_TEXT_CAP];
    for (uint32_t i = 0; i < run.failure_count; i++) {
        struct vg_text out = vg_text_over(text, sizeof text);
        vg_report_render(&run.failures[i], (struct vg_report_style){ .columns = 80 }, &out);
        for (const char *p = text; *p; p++)
            assert_true((unsigned char)*p >= 0x20 || *p == '\n');
    }
}

/* Whole payloads of any bytes, and good ones of which some are wrong. */
static void hostile_records_do_no_harm(void **state)
{
    (void)state;
    static const enum vg_journal_type types[] = { VG_JOURNAL_FAILURE,      VG_JOURNAL_RESCUE,
                                                  VG_JOURNAL_MARK,         VG_JOURNAL_FAILURE_PARTS,
                                                  VG_JOURNAL_RESCUE_PARTS, VG_JOURNAL_MARK_PARTS };
    static char good[VG_EVENT_RECORD_CAP] __attribute__((aligned(8)));
    sample_everything();
    assert_int_equal(vg_failure_record_append(recorder, &s, good), 0);
    srand(7);
    for (int round = 0; round < 400; round++) {
        char *const at = buffer;
        size_t size = (size_t)rand() % VG_EVENT_RECORD_CAP;
        memcpy(at, good, sizeof good);
        if (round % 2)
            for (size_t i = 0; i < sizeof buffer; i++)
                at[i] = (char)rand();
        for (int i = 0; i < 40; i++)
            at[(size_t)rand() % 8192] = (char)rand();
        const enum vg_journal_type type = round % 2 ? types[rand() % 6] : VG_JOURNAL_FAILURE_PARTS;
        if (type == VG_JOURNAL_FAILURE) {
            struct vg_version3_snapshot *const old = (void *)at;
            size = sizeof *old;
            old->version = VG_VERSION3_SNAPSHOT;
            old->size_bytes = sizeof *old;
        }
        vg_recorder_append(recorder, type, at, (uint32_t)size, NULL);
    }
    read_back();
    assert_true(run.failure_count > 50);
    check_texts();
    release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVENT_TEST(marks_are_read_again),
        EVENT_TEST(marks_are_bounded),
        EVENT_TEST(rescues_are_read_again),
        EVENT_TEST(failures_are_read_again),
        EVENT_TEST(every_number_comes_back),
        EVENT_TEST(sites_of_a_failure_are_read_again),
        EVENT_TEST(too_much_is_told_as_sums),
        EVENT_TEST(other_versions_are_read),
        EVENT_TEST(version_3_is_read),
        EVENT_TEST(hostile_records_do_no_harm),
        EVENT_TEST(parts_that_are_missing_are_damage),
        EVENT_TEST(what_cannot_be_is_unknown),
        EVENT_TEST(names_that_the_process_knew_are_kept),
        EVENT_TEST(frames_keep_their_modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

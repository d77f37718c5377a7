#include "analyze/collect.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>

#include "analyze/account.h"
#include "analyze/census_read.h"
#include "analyze/checkpoint.h"
#include "analyze/collect_gpus.h"
#include "analyze/label.h"
#include "analyze/process_source.h"
#include "analyze/run_build.h"
#include "analyze/torch_facts.h"
#include "base/amount.h"
#include "base/clock.h"
#include "driver/driver.h"
#include "os/family.h"
#include "os/process.h"

/* ---- the call ---- */

/* Of the report that is made; its texts are in the region of that. */
static struct vg_stack_names report_lines;

void vg_collect_census(struct vg_run_failure *out, const struct vg_census *census)
{
    out->census_format = census ? VG_CENSUS_FORMAT : 0;
    out->census_bytes = census ? sizeof *census : 0;
    out->census = census;
    out->census_lines = census ? vg_census_name_lines(&report_lines, census) : NULL;
}

static void collect_call(const struct vg_failure *failure, struct vg_region *region,
                         struct vg_run_failure *out)
{
    char name[17] = "";
    prctl(PR_GET_NAME, name);
    out->number = failure->failure_number;
    out->error = failure->error;
    out->realtime_ns = failure->realtime_ns ? failure->realtime_ns : vg_clock_ns(CLOCK_REALTIME);
    out->api = failure->api;
    out->asked_bytes = failure->asked_bytes;
    out->refused_by = (uint32_t)failure->refused_by;
    out->thread_id = failure->thread_id;
    out->thread_name = vg_region_string(region, name);
    out->survived = failure->survived;
    out->injected_number = failure->injected_number;
    out->injected_rule = vg_region_string(region, failure->injected_rule);
    out->actions = failure->actions;
    out->action_count = failure->action_count;
    vg_live_index_counts(failure->tables.track, &out->alloc_count, &out->free_count);
}

/* ---- the device, as the driver tells ---- */

/* Total and free as the driver tells the program; needs no name or UUID. */
static void collect_device_memory(const struct vg_failure *failure, struct vg_run_gpu *out)
{
    size_t free_bytes, total_bytes;
    out->total_bytes = out->free_bytes = VG_BYTES_UNKNOWN;
    if (failure->realtime_ns) {
        out->total_bytes = failure->total_bytes;
        out->free_bytes = failure->free_bytes;
    } else if (failure->device >= 0 && vg_driver.cuMemGetInfo_v2 &&
               vg_driver.cuMemGetInfo_v2(&free_bytes, &total_bytes) == CUDA_SUCCESS) {
        out->total_bytes = total_bytes;
        out->free_bytes = free_bytes;
    }
}

static void collect_gpu(const struct vg_failure *failure, struct vg_region *region,
                        struct vg_run_gpu *out)
{
    char text[96] = "";
    *out =
        (struct vg_run_gpu){ .ordinal = failure->device, .name = "", .uuid = "", .pci_bus_id = "" };
    collect_device_memory(failure, out);
    if (failure->device < 0)
        return;
    if (vg_driver.cuDeviceGetName &&
        vg_driver.cuDeviceGetName(text, sizeof text, failure->device) == CUDA_SUCCESS)
        out->name = vg_region_string(region, text);
    vg_driver_device_uuid(failure->device, text, sizeof text);
    out->uuid = vg_region_string(region, text);
    if (vg_driver.cuDeviceGetPCIBusId &&
        vg_driver.cuDeviceGetPCIBusId(text, sizeof text, failure->device) == CUDA_SUCCESS)
        out->pci_bus_id = vg_region_string(region, text);
}

size_t vg_collect_pools(struct vg_pools *made, int device, CUmemoryPool *out)
{
    uint64_t handles[VG_POOLS_MAX];
    size_t used = 0;
    const size_t count = vg_pools_on_device(made, device, handles, VG_POOLS_MAX);
    if (vg_driver.cuDeviceGetDefaultMemPool &&
        vg_driver.cuDeviceGetDefaultMemPool(&out[used], device) == CUDA_SUCCESS)
        used++;
    for (size_t i = 0; i < count; i++)
        out[used++] = (CUmemoryPool)(uintptr_t)handles[i];
    return used;
}

/* What pools and graphs keep. These calls neither allocate nor synchronise. */
static void collect_reserves(const struct vg_failure *failure, struct vg_run_device *out)
{
    CUmemoryPool pools[VG_COLLECT_POOLS_MAX];
    out->pool_reserved_bytes = out->pool_used_bytes = 0;
    out->graph_reserved_bytes = out->graph_used_bytes = 0;
    if (failure->device < 0)
        return;
    const size_t count = vg_collect_pools(failure->tables.pools, failure->device, pools);
    for (size_t i = 0; i < count; i++) {
        out->pool_reserved_bytes +=
            vg_driver_pool_value(pools[i], CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT);
        out->pool_used_bytes += vg_driver_pool_value(pools[i], CU_MEMPOOL_ATTR_USED_MEM_CURRENT);
    }
    if (!vg_driver.cuDeviceGetGraphMemAttribute)
        return;
    vg_driver.cuDeviceGetGraphMemAttribute(failure->device, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT,
                                           &out->graph_reserved_bytes);
    vg_driver.cuDeviceGetGraphMemAttribute(failure->device, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT,
                                           &out->graph_used_bytes);
}

/* ---- CUDA graphs ---- */

enum { CAPTURES_TOLD_APART = 4096 };

struct graph_memory {
    int device;
    uint64_t bytes;
    uint32_t capture_count;
    uint8_t seen[CAPTURES_TOLD_APART / 8]; /* of the captures, by their number */
};

static void add_graph_memory(const struct vg_allocation *allocation, void *argument)
{
    struct graph_memory *const memory = argument;
    const uint64_t place = allocation->capture % CAPTURES_TOLD_APART;
    const uint8_t bit = (uint8_t)(1 << place % 8);
    if (allocation->capture == 0 || allocation->device != memory->device)
        return;
    memory->bytes += allocation->bytes;
    memory->capture_count += !(memory->seen[place / 8] & bit);
    memory->seen[place / 8] |= bit;
}

static void collect_graph_pools(const struct vg_failure *failure, struct vg_run_torch *out)
{
    struct graph_memory memory = { .device = failure->device };
    if (!failure->tables.graph_pools || failure->tables.graph_pools->capture == 0)
        return;
    vg_live_index_each(failure->tables.track, add_graph_memory, &memory);
    out->graph_bytes = memory.bytes;
    out->graph_count = memory.capture_count;
    out->graph_reuser_count = failure->tables.graph_pools->reuser_count;
}

/* ---- the host ---- */

static void add_host_memory(const struct vg_allocation *allocation, void *argument)
{
    struct vg_run_host *const out = argument;
    if (allocation->kind == VG_KIND_SPILLED || allocation->kind == VG_KIND_SPILLED_VIRTUAL) {
        out->spilled_bytes += allocation->bytes;
        out->spilled_count++;
    } else if (allocation->device == VG_FILE_HOST) {
        out->pinned_bytes += allocation->bytes;
        out->pinned_count++;
    }
}

static void collect_host(const struct vg_failure *failure, struct vg_run_host *out)
{
    *out = (struct vg_run_host){ .total_bytes = VG_BYTES_UNKNOWN,
                                 .available_bytes = VG_BYTES_UNKNOWN,
                                 .cgroup_limit_bytes = VG_BYTES_UNKNOWN,
                                 .cgroup_used_bytes = VG_BYTES_UNKNOWN };
    vg_process_host_memory(&out->total_bytes, &out->available_bytes);
    vg_process_cgroup_memory(&out->cgroup_limit_bytes, &out->cgroup_used_bytes);
    vg_live_index_each(failure->tables.track, add_host_memory, out);
    if (failure->tables.spilled)
        out->spill_cap_bytes = failure->tables.spilled->cap_bytes;
}

/* ---- the process's own tables ---- */

/* Too large for a thread's stack. One report is made at a time (emit.c). */
static struct vg_process_source report_source;
static struct vg_native_names report_names;

static struct vg_run_stack name_call(struct vg_stack_names *names, const struct vg_failure *failure)
{
    struct vg_run_stack stack = vg_stack_names_get(names, failure->stack_id);
    if (stack.frame_count == 0)
        stack = vg_stack_names_of_addresses(names, failure->frames, failure->frame_count);
    stack.id = failure->stack_id;
    stack.truncated = failure->stack_truncated != 0;
    return stack;
}

void vg_collect_main_line(struct vg_run_failure *out, const struct vg_program_line *line,
                          struct vg_region *region)
{
    if (out->own.file[0] || line->line == 0)
        return;
    out->main_line.path = vg_region_string(region, line->path);
    out->main_line.file = vg_text_base_name(out->main_line.path);
    out->main_line.function = vg_region_string(region, line->function);
    out->main_line.line = line->line;
}

/* The failing call's addresses are looked up with those of the sites. */
static void note_call(struct vg_stack_names *names, const struct vg_failure *failure)
{
    vg_stack_names_note(names, failure->stack_id);
    for (uint32_t i = 0; failure->stack_id == 0 && i < failure->frame_count; i++)
        names->source->note_address(names->source->context, failure->frames[i]);
}

static void collect_stack(struct vg_stack_names *names, const struct vg_failure *failure,
                          struct vg_run_failure *out)
{
    const struct vg_run_source *const source = names->source;
    const struct vg_journal_stack *const stack = source->stack(source->context, failure->stack_id);
    const struct vg_own_frame own = vg_stack_names_own(names, stack, 0);
    char label[VG_LABEL_CAP];
    out->stack = name_call(names, failure);
    vg_label_from_frames(out->stack.frames, out->stack.frame_count, label, sizeof label);
    out->where = vg_region_string(names->region, label);
    out->own = own.key ? vg_stack_names_line(names, stack, own.index) : vg_run_line_none();
    out->main_line = vg_run_line_none();
    vg_collect_main_line(out, &failure->main_line, names->region);
}

/* Read once: a process does not change its job. */
static void collect_rank(struct vg_run_process *out)
{
    static int32_t pid; /* that the others are of; one report is made at a time */
    static int32_t rank, world_size;
    static uint64_t job_hash;
    if (pid != out->pid) {
        struct vg_family family;
        vg_family_read_job(&family);
        rank = family.rank;
        world_size = family.world_size;
        job_hash = family.job_hash;
        pid = out->pid;
    }
    out->rank = rank;
    out->world_size = world_size;
    out->job_hash = job_hash;
}

/* cudaMallocAsync and allocators plugged into PyTorch keep no blocks of its own: there each tensor
 * is an allocation that is known. */
static enum vg_torch_silence torch_silence(const struct vg_blocks *blocks,
                                           const struct vg_run_torch *torch)
{
    if (torch->tells_blocks ||
        torch->count[VG_TORCH_NATIVE] + torch->count[VG_TORCH_EXPANDABLE] == 0)
        return VG_TORCH_TELLS;
    if (!blocks)
        return VG_TORCH_UNHEARD;
    return vg_blocks_seen(blocks) ? VG_TORCH_TELLS : VG_TORCH_SILENT;
}

static void collect_own(const struct vg_failure *failure, struct vg_region *region,
                        struct vg_run_process *process, struct vg_run_failure *out)
{
    struct vg_stack_names *const names = &report_lines;
    struct vg_run_gpu gpu;
    collect_gpu(failure, region, &gpu);
    vg_collect_gpus_begin(&gpu);
    vg_process_source_init(&report_source, failure->tables.recorder, failure->tables.track,
                           failure->tables.blocks, &report_names, region);
    if (failure->monotonic_ns > 0) /* PyTorch takes its time until it gives up */
        report_source.source.now_ns = failure->monotonic_ns;
    vg_stack_names_init(names, &report_source.source, region);
    vg_run_describe_process(&report_source.source, region, process);
    collect_rank(process);
    note_call(names, failure);
    out->torch.loaded = report_source.callers.pytorch;
    out->settings = vg_region_string(region, failure->tables.settings);
    out->torch.settings = vg_region_string(region, failure->tables.torch_settings);
    out->torch.fraction_bytes = failure->torch_limit_bytes;
    out->torch.is_caller = failure->caller == VG_CALLER_PYTORCH;
    if (failure->device >= 0)
        vg_run_build_device(names, (uint32_t)failure->device % VG_FILE_DEVICES, &out->device,
                            &out->torch);
    else
        out->device = (struct vg_run_device){ .self_bytes = VG_BYTES_UNKNOWN,
                                              .others_bytes = VG_BYTES_UNKNOWN };
    collect_graph_pools(failure, &out->torch);
    out->torch.silence = torch_silence(failure->tables.blocks, &out->torch);
    out->device.gpu = gpu;
    out->device.untracked_bytes = failure->tables.track->lost_bytes;
    out->device.limit_bytes = failure->limit_bytes;
    out->device.limit_left_bytes = failure->limit_left_bytes;
    out->device.limit_shared = failure->limit_shared;
    collect_stack(names, failure, out);
    vg_collect_census(out, failure->census);
}

/* Is more of the process's memory unseen than seen, and as much as is missing? */
static bool may_lack_unseen(const struct vg_run_failure *failure)
{
    struct vg_report_account account;
    const uint64_t deficit = vg_report_deficit(failure);
    vg_report_account_compute(failure, &account);
    return vg_amount_known(deficit) && deficit > 0 && vg_amount_known(account.context_bytes) &&
           account.context_bytes >= deficit &&
           (!vg_amount_known(account.tracked_bytes) ||
            account.context_bytes > account.tracked_bytes);
}

static void collect_outer(struct vg_run_failure *out)
{
    const struct vg_run_device *const device = &out->device;
    const struct vg_refused_call call = {
        .api = out->api,
        .ordinal = device->gpu.ordinal,
        .uuid = device->gpu.uuid,
        .is_instance = out->outer.is_instance != 0, /* of vg_collect_gpus */
        .asked_bytes = out->asked_bytes,
        .own_bytes = vg_amount_known(device->self_bytes) ? device->self_bytes : device->live_bytes,
        .unseen_may_lack = may_lack_unseen(out),
    };
    vg_outer_limits_collect(&call, &out->outer);
}

void vg_collect(const struct vg_failure *failure, struct vg_region *region,
                struct vg_run_process *process, struct vg_run_failure *out)
{
    *out = (struct vg_run_failure){ .process = process, .driver_version = "" };
    out->checkpoint.name = "";
    collect_call(failure, region, out);
    collect_own(failure, region, process, out);
    if (vg_driver.cuDriverGetVersion && vg_driver.cuDriverGetVersion(&out->cuda_version) != 0)
        out->cuda_version = 0;
    collect_reserves(failure, &out->device);
    collect_host(failure, &out->host);
    if (vg_torch_runs_python(out))
        vg_checkpoint_find(region, &out->checkpoint);
    vg_collect_gpus(failure, region, out);
    collect_outer(out);
}

void vg_collect_where(const struct vg_failure *failure, char *out, size_t cap)
{
    static atomic_flag busy = ATOMIC_FLAG_INIT;
    static struct vg_process_source source; /* too large for a thread's stack, like the next */
    static struct vg_native_names native;
    struct vg_stack_names names;
    struct vg_region region = vg_region_over(NULL, 0);
    out[0] = '\0';
    if (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire))
        return;
    vg_process_source_init(&source, failure->tables.recorder, failure->tables.track, NULL, &native,
                           &region);
    vg_stack_names_init(&names, &source.source, &region);
    note_call(&names, failure);
    const struct vg_run_stack stack = name_call(&names, failure);
    vg_label_from_frames(stack.frames, stack.frame_count, out, cap);
    vg_region_release(&region);
    atomic_flag_clear_explicit(&busy, memory_order_release);
}

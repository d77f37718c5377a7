#include "oom/action_spill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/collect.h"
#include "analyze/label.h"
#include "base/log.h"
#include "base/size.h"
#include "driver/driver.h"
#include "oom/policy.h"
#include "os/process.h"

enum {
    ALIGNMENT_BYTES = 512, /* of what cuMemAlloc returns; measured, the manual promises 256 */
    PLACE_WIDTH = 120,     /* columns of the line's "at ..." */
};

/* ---- how much ---- */

uint64_t vg_spill_reserve_bytes(uint64_t total_bytes)
{
    const uint64_t part_bytes = total_bytes / 20;
    return part_bytes > VG_GIB ? part_bytes : VG_GIB;
}

int vg_spill_check_cap(const char *text, char *why, size_t why_cap)
{
    uint64_t bytes;
    unsigned percent;
    const bool is_share = strchr(text, '%') != NULL;
    if (is_share ? vg_percent_parse(text, &percent) == 0 : vg_size_parse(text, &bytes) == 0)
        return 0;
    snprintf(why, why_cap, "%s",
             is_share ? "not a percentage from 1 to 100" : vg_size_complaint(text));
    return -EINVAL;
}

uint64_t vg_spill_cap_bytes(const char *text, uint64_t total_bytes)
{
    uint64_t bytes = 0;
    unsigned percent;
    if (vg_percent_parse(text, &percent) != 0)
        return vg_size_parse(text, &bytes) == 0 ? bytes : 0;
    return total_bytes == VG_BYTES_UNKNOWN ? 0 : total_bytes / 100 * percent;
}

/* What the host has to spare: its available memory, or what the control groups leave. */
struct host {
    uint64_t total_bytes, available_bytes, group_bytes;
};

static void measure_host(struct vg_rescue *rescue, struct host *host, struct vg_spilled_room *room)
{
    /* Before the measurement: what is taken meanwhile is then counted twice rather than never. */
    room->settled_bytes = vg_spilled_settled(rescue->failure->tables.spilled);
    vg_process_host_memory(&host->total_bytes, &host->available_bytes);
    host->group_bytes = vg_process_cgroup_room(vg_spill_reserve_bytes);
    room->cap_bytes = vg_spill_cap_bytes(rescue->options->spill_cap.text, host->total_bytes);
    room->host_bytes = 0;
    if (host->total_bytes == VG_BYTES_UNKNOWN || host->available_bytes == VG_BYTES_UNKNOWN)
        return;
    const uint64_t kept_bytes = vg_spill_reserve_bytes(host->total_bytes);
    if (host->available_bytes > kept_bytes)
        room->host_bytes = host->available_bytes - kept_bytes;
    if (host->group_bytes < room->host_bytes)
        room->host_bytes = host->group_bytes;
}

/* ---- the timeline ---- */

static enum vg_verdict pass_because(struct vg_oom_action *attempt, struct vg_outcome outcome)
{
    vg_outcome_add(attempt, outcome, NULL);
    return VG_VERDICT_PASS;
}

static enum vg_verdict pass_with_reason(struct vg_oom_action *attempt, enum vg_outcome_code code)
{
    return pass_because(attempt, (struct vg_outcome){ .code = (uint16_t)code });
}

static enum vg_verdict pass_bound(struct vg_oom_action *attempt, int error,
                                  const struct vg_spilled *spilled, const struct host *host,
                                  const struct vg_spilled_room *room)
{
    if (error == -EDQUOT && room->cap_bytes == 0)
        return pass_with_reason(attempt, VG_OUTCOME_SPILL_HOST_UNKNOWN);
    if (error == -EDQUOT)
        return pass_because(attempt, (struct vg_outcome){ .code = VG_OUTCOME_SPILL_CAP,
                                                          .bytes = spilled->bytes,
                                                          .more_bytes = room->cap_bytes });
    if (host->available_bytes == VG_BYTES_UNKNOWN)
        return pass_with_reason(attempt, VG_OUTCOME_SPILL_ROOM_UNKNOWN);
    if (room->host_bytes == host->group_bytes)
        return pass_because(attempt, (struct vg_outcome){ .code = VG_OUTCOME_SPILL_CGROUP,
                                                          .bytes = room->host_bytes });
    return pass_because(
        attempt, (struct vg_outcome){ .code = VG_OUTCOME_SPILL_HOST_KEEPS,
                                      .bytes = host->available_bytes,
                                      .more_bytes = vg_spill_reserve_bytes(host->total_bytes) });
}

/* ---- where ---- */

/* What is to be placed. */
struct placement {
    struct vg_request *request;
    struct vg_spilled_range range;
    size_t pitch_bytes;
    CUmemAllocationProp
        properties; /* of physical memory: the program's, with a place on the host */
    CUmemGenericAllocationHandle handle;
};

static int device_attribute_value(CUdevice device, CUdevice_attribute which)
{
    int value = 0;
    if (!vg_driver.cuDeviceGetAttribute ||
        vg_driver.cuDeviceGetAttribute(&value, which, device) != CUDA_SUCCESS)
        return 0;
    return value;
}

/* Rows as far apart as cuMemAllocPitch puts them: textures over them work. */
static size_t row_alignment(CUdevice device)
{
    size_t alignment = ALIGNMENT_BYTES;
    const int texture = device_attribute_value(device, CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT);
    const int pitch = device_attribute_value(device, CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT);
    if (texture > 0 && (size_t)texture > alignment)
        alignment = (size_t)texture;
    if (pitch > 0 && (size_t)pitch > alignment)
        alignment = (size_t)pitch;
    return alignment;
}

/* Can pinned host memory stand for a linear allocation? Returns VG_OUTCOME_NONE, or why not.
 */
static enum vg_outcome_code plan_linear(struct placement *out, const struct vg_failure *failure)
{
    const struct vg_request *const request = out->request;
    uint64_t bytes = request->bytes;
    if (!vg_driver.cuMemHostAlloc || !vg_driver.cuMemFreeHost ||
        !vg_driver.cuMemHostGetDevicePointer_v2 ||
        device_attribute_value(failure->device, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING) != 1 ||
        device_attribute_value(failure->device, CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY) != 1)
        return VG_OUTCOME_SPILL_NO_ADDRESS;
    if (request->shape == VG_REQUEST_PITCHED) {
        const size_t alignment = row_alignment(failure->device);
        if (!request->pitch_bytes || request->width_bytes > SIZE_MAX - alignment)
            return VG_OUTCOME_SPILL_BAD_ARGUMENTS;
        out->pitch_bytes = (request->width_bytes + alignment - 1) / alignment * alignment;
        if (__builtin_mul_overflow(out->pitch_bytes, request->height, &bytes))
            return VG_OUTCOME_SPILL_BAD_ARGUMENTS;
    }
    out->range = (struct vg_spilled_range){ .bytes = bytes,
                                            .device = failure->device,
                                            .what = VG_SPILLED_LINEAR };
    return bytes == 0 ? VG_OUTCOME_SPILL_BAD_ARGUMENTS : VG_OUTCOME_NONE;
}

static size_t allocation_granularity(const CUmemAllocationProp *properties)
{
    size_t bytes = 0;
    if (vg_driver.cuMemGetAllocationGranularity(&bytes, properties,
                                                CU_MEM_ALLOC_GRANULARITY_MINIMUM) != CUDA_SUCCESS)
        return 0;
    return bytes;
}

/* Nothing that only device memory can be: shareable, compressed, fit for other devices' direct
 * access.
 */
static bool is_plain(const struct vg_request *request)
{
    const CUmemAllocationProp *const p = request->properties;
    return p && p->type == CU_MEM_ALLOCATION_TYPE_PINNED && p->requestedHandleTypes == 0 &&
           p->location.type == CU_MEM_LOCATION_TYPE_DEVICE && p->allocFlags.compressionType == 0 &&
           p->allocFlags.gpuDirectRDMACapable == 0 && p->allocFlags.usage == 0 &&
           request->flags == 0;
}

/* Can physical memory on the host's nearest NUMA node stand for the device's? The program maps it
 * at addresses that are aligned for the device, so the host's granularity must not be coarser. */
static enum vg_outcome_code plan_physical(struct placement *out)
{
    const struct vg_request *const request = out->request;
    if (!is_plain(request))
        return VG_OUTCOME_SPILL_SPECIAL;
    const CUdevice device = request->properties->location.id;
    if (!vg_driver.cuMemCreate || !vg_driver.cuMemRelease ||
        !vg_driver.cuMemGetAllocationGranularity ||
        device_attribute_value(
            device, CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED) != 1)
        return VG_OUTCOME_SPILL_NO_HOST_MAPPING;
    /* -1 where the system has no NUMA; the node is 0 then (CUDA Driver API, cuMemCreate). */
    const int node = device_attribute_value(device, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID);
    out->properties = *request->properties;
    out->properties.location =
        (CUmemLocation){ .type = CU_MEM_LOCATION_TYPE_HOST_NUMA, .id = node > 0 ? node : 0 };
    const size_t on_host = allocation_granularity(&out->properties);
    if (on_host == 0 || request->bytes == 0 || request->bytes % on_host != 0 ||
        allocation_granularity(request->properties) % on_host != 0)
        return VG_OUTCOME_SPILL_GRANULARITY;
    out->range = (struct vg_spilled_range){ .address = request->key,
                                            .bytes = request->bytes,
                                            .device = device,
                                            .what = VG_SPILLED_PHYSICAL };
    return VG_OUTCOME_NONE;
}

static enum vg_outcome_code plan_placement(struct placement *out, const struct vg_failure *failure)
{
    if (atomic_load(&vg_spilled_exported))
        return VG_OUTCOME_SPILL_EXPORTED;
    if (!out->request || !out->request->answer)
        return VG_OUTCOME_SPILL_NO_STAND_IN;
    if (failure->capturing)
        return VG_OUTCOME_SPILL_CAPTURE;
    if (out->request->shape == VG_REQUEST_PHYSICAL)
        return plan_physical(out);
    return failure->device >= 0 ? plan_linear(out, failure) : VG_OUTCOME_SPILL_NO_CONTEXT;
}

/* ---- taking it ---- */

/* Not portable: under unified addressing all devices reach it anyway (CUDA Driver API, section
 * Unified Addressing), and as the device's memory would it ends with its context. */
static CUresult take_linear(struct placement *place)
{
    void *host = NULL;
    CUdeviceptr address = 0;
    const CUresult result =
        vg_driver.cuMemHostAlloc(&host, place->range.bytes, CU_MEMHOSTALLOC_DEVICEMAP);
    if (result != CUDA_SUCCESS)
        return result;
    const CUresult mapped = vg_driver.cuMemHostGetDevicePointer_v2(&address, host, 0);
    place->range.address = (uint64_t)(uintptr_t)host;
    place->range.context = vg_driver_context();
    if (mapped == CUDA_SUCCESS && address == place->range.address && address % ALIGNMENT_BYTES == 0)
        return CUDA_SUCCESS;
    vg_driver.cuMemFreeHost(host);
    return mapped == CUDA_SUCCESS ? CUDA_ERROR_NOT_SUPPORTED : mapped;
}

static CUresult take_host_memory(struct placement *place)
{
    CUstreamCaptureMode mode;
    const bool relaxed = vg_driver_relax(&mode) == 0;
    const CUresult result =
        place->range.what == VG_SPILLED_LINEAR
            ? take_linear(place)
            : vg_driver.cuMemCreate(&place->handle, place->range.bytes, &place->properties, 0);
    if (relaxed)
        vg_driver_restore(mode);
    return result;
}

static void give_back(const struct placement *place)
{
    if (place->range.what == VG_SPILLED_LINEAR)
        vg_driver.cuMemFreeHost((void *)(uintptr_t)place->range.address);
    else
        vg_driver.cuMemRelease(place->handle);
}

static void answer_caller(const struct placement *place)
{
    const struct vg_request *const request = place->request;
    *request->answer =
        place->range.what == VG_SPILLED_LINEAR ? place->range.address : place->handle;
    if (request->shape == VG_REQUEST_PITCHED)
        *request->pitch_bytes = place->pitch_bytes;
}

/* ---- telling ---- */

/* A line is due when nothing has been said yet, and when the total has doubled since. */
static bool claim_line(struct vg_spilled *spilled, uint64_t total_bytes, bool *out_first)
{
    uint64_t told_bytes = atomic_load(&spilled->told_bytes);
    do {
        if (told_bytes > 0 && total_bytes / 2 < told_bytes)
            return false;
    } while (!atomic_compare_exchange_strong(&spilled->told_bytes, &told_bytes, total_bytes));
    *out_first = told_bytes == 0;
    return true;
}

static void tell_first(const struct vg_failure *failure, const struct placement *place)
{
    char bytes[VG_SIZE_TEXT_CAP], cap[VG_SIZE_TEXT_CAP], label[VG_LABEL_CAP], at[PLACE_WIDTH + 1];
    vg_collect_where(failure, label, sizeof label);
    vg_label_fit(at, sizeof at, label, PLACE_WIDTH);
    vg_log_line(
        "GPU %d: %s (%s%s%s) did not fit and went to host memory (spill): the GPU reaches "
        "it over the bus, roughly 10 to 50 times slower than its own memory; at most %s "
        "may go there (VRAMGUARD_SPILL_CAP)",
        place->range.device, vg_size_format(bytes, place->range.bytes), failure->api,
        at[0] ? " at " : "", at, vg_size_format(cap, failure->tables.spilled->cap_bytes));
}

static void log_spilled(const struct vg_failure *failure, const struct placement *place)
{
    char total[VG_SIZE_TEXT_CAP], cap[VG_SIZE_TEXT_CAP];
    struct vg_spilled *const spilled = failure->tables.spilled;
    const uint64_t total_bytes = spilled->bytes;
    bool first;
    if (!claim_line(spilled, total_bytes, &first))
        return;
    if (first)
        tell_first(failure, place);
    else
        vg_log_line("GPU %d: %s are in host memory now instead of the GPU's, of at most %s",
                    place->range.device, vg_size_format(total, total_bytes),
                    vg_size_format(cap, spilled->cap_bytes));
}

/* For the tool, which has only the file. */
static void note_peak(const struct vg_tables *tables)
{
    _Atomic uint64_t *const noted = &tables->recorder->header->spill_peak_bytes;
    const uint64_t peak = tables->spilled->peak_bytes;
    uint64_t before = atomic_load(noted);
    while (before < peak && !atomic_compare_exchange_weak(noted, &before, peak))
        ;
    atomic_store(&tables->recorder->header->spill_cap_bytes, tables->spilled->cap_bytes);
}

void vg_spill_finish(const struct vg_spilled *spilled)
{
    char peak[VG_SIZE_TEXT_CAP];
    const unsigned long long count = spilled->count;
    if (count > 0)
        vg_log_line(
            "up to %s of this program's GPU memory were in host memory (%llu "
            "allocation%s); what used them was slow",
            vg_size_format(peak, spilled->peak_bytes), count, count == 1 ? "" : "s");
}

/* ---- the action ---- */

static enum vg_verdict place_reserved(struct vg_rescue *rescue, struct vg_oom_action *attempt,
                                      struct placement *place)
{
    const struct vg_tables *const tables = &rescue->failure->tables;
    const uint64_t bytes = place->range.bytes;
    const CUresult result = take_host_memory(place);
    if (result != CUDA_SUCCESS) {
        vg_spilled_cancel(tables->spilled, bytes);
        return pass_because(attempt, (struct vg_outcome){ .code = VG_OUTCOME_SPILL_DRIVER_REFUSED,
                                                          .number = result });
    }
    if (vg_spilled_put(tables->spilled, &place->range) != 0) {
        give_back(place);
        vg_spilled_cancel(tables->spilled, bytes);
        return pass_with_reason(attempt, VG_OUTCOME_SPILL_NO_RECORD);
    }
    answer_caller(place);
    note_peak(tables);
    attempt->recovered_bytes = bytes;
    vg_outcome_add(attempt, (struct vg_outcome){ .code = VG_OUTCOME_PLACED }, NULL);
    log_spilled(rescue->failure, place);
    return VG_VERDICT_PLACED;
}

static enum vg_verdict spill_allocation(struct vg_rescue *rescue, struct vg_oom_action *attempt)
{
    struct vg_spilled *const spilled = rescue->failure->tables.spilled;
    struct placement place = { .request = rescue->request };
    struct vg_spilled_room room;
    struct host host;
    const enum vg_outcome_code why_not = plan_placement(&place, rescue->failure);
    if (why_not)
        return pass_with_reason(attempt, why_not);
    vg_spill_reap(spilled);
    measure_host(rescue, &host, &room);
    const int error = vg_spilled_reserve(spilled, place.range.bytes, &room);
    if (error)
        return pass_bound(attempt, error, spilled, &host, &room);
    return place_reserved(rescue, attempt, &place);
}

const struct vg_action vg_action_spill = {
    .name = "spill",
    .help = "run slowly instead of failing: place the allocation in host memory",
    .run = spill_allocation,
};

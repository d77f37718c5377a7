#include "analyze/run_build.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "analyze/sites.h"
#include "analyze/torch_build.h"
#include "base/amount.h"
#include "os/process.h"
#include "record/run_file.h"

/* ---- the process ---- */

static bool is_same_boot(const struct vg_file_header *header)
{
    char boot_id[sizeof header->boot_id] = "";
    if (vg_process_read_file("/proc/sys/kernel/random/boot_id", boot_id, sizeof boot_id) <= 0)
        return true; /* cannot tell: pid and start time must do */
    boot_id[strcspn(boot_id, "\n")] = '\0';
    return header->boot_id[0] == '\0' || strcmp(boot_id, header->boot_id) == 0;
}

/* The process is one of another pid namespace of this machine, a container's say: what the file
 * system knows of its file. */
static enum vg_run_state state_by_file(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const int has_writer = fd >= 0 ? vg_run_file_has_writer(fd) : -errno;
    if (fd >= 0)
        close(fd);
    if (has_writer < 0)
        return VG_RUN_ELSEWHERE;
    return has_writer ? VG_RUN_ALIVE : VG_RUN_GONE;
}

enum vg_run_state vg_run_state_of(const struct vg_file_header *header, const char *path)
{
    char host[sizeof header->host] = "";
    const struct vg_process_id id = { .pid = header->pid, .start_ticks = header->start_ticks };
    const bool same_boot = is_same_boot(header);
    if (header->end == VG_END_EXIT)
        return VG_RUN_EXITED;
    const uint64_t own = vg_process_pid_namespace();
    if (same_boot && own != 0 && header->pid_namespace != 0 && own != header->pid_namespace)
        return state_by_file(path);
    if (same_boot)
        return vg_process_alive(&id) ? VG_RUN_ALIVE : VG_RUN_GONE;
    gethostname(host, sizeof host - 1);
    return strcmp(host, header->host) == 0 ? VG_RUN_GONE : VG_RUN_ELSEWHERE;
}

void vg_run_describe_process(const struct vg_run_source *source, struct vg_region *region,
                             struct vg_run_process *out)
{
    const struct vg_file_header *const header = source->header;
    *out = (struct vg_run_process){
        .pid = header->pid,
        .uid = header->uid,
        .start_realtime_ns = header->start_realtime_ns,
        .state = source->is_live ? VG_RUN_ALIVE : vg_run_state_of(header, source->path),
        .rank = -1,
        .world_size = -1,
        .command = vg_region_string(region, header->command),
        .exe = vg_region_string(region, header->exe),
        .host = vg_region_string(region, header->host),
        .path = vg_region_string(region, source->path),
    };
    if (out->state != VG_RUN_EXITED)
        return;
    out->end_realtime_ns = header->end_realtime_ns;
    out->exit_status = header->exit_status;
}

/* ---- what is live on a device ---- */

struct device_sums {
    const struct vg_run_source *source;
    struct vg_run_device *out;
    struct vg_run_torch *torch;
    struct vg_stack_sum *sums; /* [stack id], or NULL when there was no memory for them */
    struct vg_run_site *sites; /* once they are known */
    uint32_t sum_count;
    uint16_t device;
    uint64_t kind_bytes[VG_KIND_COUNT], kind_count[VG_KIND_COUNT]; /* [NONE]: unknown kinds */
};

static struct vg_stack_sum *sum_of_stack(const struct device_sums *d, uint32_t stack_id)
{
    return &d->sums[stack_id < d->sum_count ? stack_id : 0];
}

static uint64_t age_of(const struct device_sums *d, uint64_t monotonic_ns)
{
    return monotonic_ns < d->source->now_ns ? d->source->now_ns - monotonic_ns : 0;
}

static enum vg_run_torch_backend backend_of_kind(uint16_t kind)
{
    switch (kind) {
    case VG_KIND_DEVICE: return VG_TORCH_NATIVE;
    case VG_KIND_VIRTUAL: return VG_TORCH_EXPANDABLE;
    case VG_KIND_ASYNC: return VG_TORCH_ASYNC;
    default: return VG_TORCH_BACKENDS;
    }
}

/* Whose allocations a stack makes is asked once, at its first one. */
static void add_owner(struct device_sums *d, const struct vg_run_live *live,
                      struct vg_stack_sum *sum)
{
    const struct vg_run_source *const source = d->source;
    const enum vg_run_torch_backend backend = backend_of_kind(live->kind);
    if (!source->judge_stack || backend == VG_TORCH_BACKENDS)
        return;
    if (sum->owner == VG_OWNER_UNKNOWN && sum->count == 0)
        sum->owner =
            source->judge_stack(source->context, source->stack(source->context, live->stack_id));
    if (!d->torch)
        return;
    d->torch->unjudged = d->torch->unjudged || sum->owner == VG_OWNER_UNKNOWN;
    if (sum->owner != VG_OWNER_PYTORCH)
        return;
    d->torch->bytes[backend] += live->bytes;
    d->torch->count[backend]++;
}

/* Ages in allocations: what the device has given out since. */
static void add_count_age(const struct device_sums *d, const struct vg_run_live *live,
                          struct vg_stack_sum *sum)
{
    const uint64_t given = d->source->header->blocks[d->device].allocations;
    const uint64_t age = live->device_number > 0 && live->device_number <= given
                             ? given - live->device_number
                             : VG_COUNT_UNKNOWN;
    if (sum->count == 0) {
        sum->oldest_count = sum->newest_count = age;
    } else if (age == VG_COUNT_UNKNOWN || sum->oldest_count == VG_COUNT_UNKNOWN) {
        sum->oldest_count = sum->newest_count = VG_COUNT_UNKNOWN;
    } else {
        sum->oldest_count = age > sum->oldest_count ? age : sum->oldest_count;
        sum->newest_count = age < sum->newest_count ? age : sum->newest_count;
    }
}

static void add_to_sum(struct device_sums *d, const struct vg_run_live *live)
{
    struct vg_stack_sum *const sum = sum_of_stack(d, live->stack_id);
    const uint64_t age_ns = age_of(d, live->monotonic_ns);
    sum->stack_id = (uint32_t)(sum - d->sums);
    add_owner(d, live, sum);
    if (sum->count == 0 || age_ns < sum->newest_ns)
        sum->newest_ns = age_ns;
    if (age_ns > sum->oldest_ns)
        sum->oldest_ns = age_ns;
    add_count_age(d, live, sum);
    sum->bytes += live->bytes;
    sum->count++;
}

/* What need not be on the device is no reason why something else did not fit there: at a failure it
 * is among the kinds alone. */
static bool is_left_out(const struct device_sums *d, const struct vg_run_live *live)
{
    return d->source->is_live && (vg_kind_traits(live->kind) & VG_TRAIT_MOVES);
}

static void add_allocation(const struct vg_run_live *live, void *argument)
{
    struct device_sums *const d = argument;
    if (live->device != d->device || live->bytes == 0)
        return;
    const uint16_t kind = live->kind < VG_KIND_COUNT ? live->kind : VG_KIND_NONE;
    d->kind_bytes[kind] += live->bytes;
    d->kind_count[kind]++;
    if (is_left_out(d, live))
        return;
    d->out->live_bytes += live->bytes;
    d->out->live_count++;
    d->out->size_class_count[63 - __builtin_clzll(live->bytes)]++;
    if (d->sums)
        add_to_sum(d, live);
}

static void add_block(const struct vg_run_live *live, void *argument)
{
    struct device_sums *const d = argument;
    if (live->device == d->device && live->bytes > 0 && d->sums)
        add_to_sum(d, live);
}

static void add_counter(const struct vg_run_counter *counter, void *argument)
{
    struct device_sums *const d = argument;
    if (counter->device != d->device)
        return;
    struct vg_stack_sum *const sum = sum_of_stack(d, counter->stack_id);
    sum->stack_id = (uint32_t)(sum - d->sums);
    sum->allocation_count += counter->allocation_count;
    sum->free_count += counter->free_count;
    sum->peak_bytes += counter->peak_bytes;
    sum->peak_count += counter->peak_count;
}

/* In which eighth of its stack's allocations one came or, where these are not counted, of the time
 * since the oldest of its site; VG_RUN_EIGHTHS: it came just now. */
static uint64_t eighth_of(const struct device_sums *d, const struct vg_run_live *live,
                          const struct vg_stack_sum *sum, const struct vg_run_site *site)
{
    const uint64_t age_ns = age_of(d, live->monotonic_ns);
    if (live->number > 0 && sum->allocation_count != VG_COUNT_UNKNOWN)
        return live->number <= sum->allocation_count
                   ? (live->number - 1) * VG_RUN_EIGHTHS / sum->allocation_count
                   : VG_RUN_EIGHTHS;
    if (age_ns > site->oldest_ns)
        return VG_RUN_EIGHTHS;
    return (site->oldest_ns - age_ns) / (site->oldest_ns / VG_RUN_EIGHTHS + 1);
}

/* With all that there is known: when did the survivors come? */
static void add_time(const struct vg_run_live *live, void *argument)
{
    const struct device_sums *const d = argument;
    if (live->device != d->device || live->bytes == 0 || is_left_out(d, live))
        return;
    struct vg_stack_sum *const sum = sum_of_stack(d, live->stack_id);
    if (sum->site == 0)
        return;
    struct vg_run_site *const site = &d->sites[sum->site - 1];
    const uint64_t eighth = eighth_of(d, live, sum, site);
    if (eighth == VG_RUN_EIGHTHS)
        return;
    site->made[eighth]++;
    sum->made[eighth]++;
}

/* Without counters their numbers are unknown, not 0. */
static void forget_counters(struct device_sums *d)
{
    for (uint32_t i = 0; i < d->sum_count; i++)
        d->sums[i].allocation_count = d->sums[i].free_count = d->sums[i].peak_bytes =
            d->sums[i].peak_count = VG_COUNT_UNKNOWN;
}

static void build_level(struct vg_stack_names *names, struct device_sums *d,
                        enum vg_run_level level)
{
    const struct vg_run_source *const source = d->source;
    struct vg_run_sites *const sites = &d->out->sites[level];
    vg_run_live_visit *const add = level == VG_LEVEL_BLOCKS ? add_block : add_allocation;
    d->sums = vg_region_array(names->region, d->sum_count, sizeof *d->sums);
    if (source->each_live(source->context, level, add, d) != 0 || !d->sums)
        return;
    if (source->each_counter(source->context, level, add_counter, d) != 0)
        forget_counters(d);
    vg_sites_group(names, level, d->sums, d->sum_count, sites);
    d->sites = sites->entries;
    source->each_live(source->context, level, add_time, d);
    vg_sites_order(names, sites);
    vg_sites_label(names, sites, VG_RUN_LABELLED);
}

static void take_kinds(struct vg_region *region, const struct device_sums *d)
{
    uint32_t used = 0;
    for (uint32_t kind = 0; kind < VG_KIND_COUNT; kind++)
        used += d->kind_count[kind] > 0;
    struct vg_run_kind *const kinds = vg_region_array(region, used, sizeof *kinds);
    d->out->kinds = kinds;
    for (uint32_t kind = 0; kinds && kind < VG_KIND_COUNT; kind++)
        if (d->kind_count[kind] > 0)
            kinds[d->out->kind_count++] = (struct vg_run_kind){ .kind = kind,
                                                                .bytes = d->kind_bytes[kind],
                                                                .count = d->kind_count[kind] };
}

bool vg_run_uses_device(const struct vg_run_source *source, uint32_t index)
{
    const struct vg_file_device *const device = &source->header->devices[index];
    return device->total_bytes > 0 || device->peak_bytes > 0;
}

static uint64_t known_or_not(uint64_t bytes)
{
    return vg_amount_known(bytes) ? bytes : VG_BYTES_UNKNOWN;
}

/* What the header says of the device. */
static void describe_device(const struct vg_run_source *source, struct vg_region *region,
                            uint32_t index, struct vg_run_device *out)
{
    const struct vg_file_device *const device = &source->header->devices[index];
    *out = (struct vg_run_device){
        .gpu = { .ordinal = index == VG_FILE_HOST ? -1 : (int32_t)index,
                 .total_bytes =
                     device->total_bytes > 0 ? known_or_not(device->total_bytes) : VG_BYTES_UNKNOWN,
                 .free_bytes = VG_BYTES_UNKNOWN,
                 .name = vg_region_string(region, device->name),
                 .uuid = vg_region_string(region, device->uuid),
                 .pci_bus_id = "" },
        .is_host = index == VG_FILE_HOST,
        .counted_bytes = known_or_not(device->live_bytes),
        .peak_bytes = known_or_not(device->peak_bytes),
        .peak_realtime_ns = device->peak_realtime_ns,
        .failed_count = device->failed_count,
        .pool_reserved_bytes = VG_BYTES_UNKNOWN,
        .pool_used_bytes = VG_BYTES_UNKNOWN,
        .graph_reserved_bytes = VG_BYTES_UNKNOWN,
        .graph_used_bytes = VG_BYTES_UNKNOWN,
        .self_bytes = VG_BYTES_UNKNOWN,
        .others_bytes = VG_BYTES_UNKNOWN,
    };
}

void vg_run_build_device(struct vg_stack_names *names, uint32_t index, struct vg_run_device *out,
                         struct vg_run_torch *torch)
{
    const struct vg_run_source *const source = names->source;
    struct device_sums d = { .source = source,
                             .out = out,
                             .torch = torch,
                             .sum_count = source->stack_count + 1,
                             .device = (uint16_t)index };
    describe_device(source, names->region, index, out);
    for (int level = 0; level < VG_LEVELS; level++)
        build_level(names, &d, (enum vg_run_level)level);
    take_kinds(names->region, &d);
    if (torch)
        vg_torch_build(source, names->region, index, torch);
}

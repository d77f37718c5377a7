#include "wait/deadlock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/size.h"
#include "machine/machine.h"
#include "os/process.h"
#include "wait/wait_graph.h"

/* A second is the promise; the picture takes some tens of milliseconds on a real machine. */
enum { STILL_MS = 300, LOOK_MS = 150, GUESSED_CONTEXT_MIB = 600 };

/* Too large for a stack; one thread at a time, whoever has the flag. */
static atomic_flag drawing = ATOMIC_FLAG_INIT;
static struct vg_wait_graph picture;
/* What each process's context takes, which comes free when it ends. */
static uint64_t context_bytes[VG_WAIT_GRAPH_PROCESSES][VG_WAIT_GRAPH_GPUS];
static uint32_t freed_seen[VG_WAIT_GRAPH_GPUS]; /* of each queue, when it was drawn */
static char uuids[VG_WAIT_GRAPH_GPUS][64];
static struct vg_queue_slot places[VG_WAIT_GRAPH_WAITS]; /* of each wait */

/* The process's place in the picture, new if need be; -1 when there is no room. */
static int process_index(uint64_t owner)
{
    for (size_t i = 0; i < picture.process_count; i++)
        if (picture.processes[i].owner == owner)
            return (int)i;
    if (picture.process_count == VG_WAIT_GRAPH_PROCESSES)
        return -1;
    picture.processes[picture.process_count] =
        (struct vg_wait_graph_process){ .owner = owner, .since_ns = UINT64_MAX };
    return (int)picture.process_count++;
}

/* Only of processes of this pid namespace: what another container's hold beyond their allocations,
 * and whether they run at all, is not seen from here. To the picture they are unguarded ones, who
 * may free what they hold. */
static size_t keep_those_here(struct vg_registry_entry *members, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!vg_process_owner_is_elsewhere(members[i].owner))
            members[kept++] = members[i];
    return kept;
}

/* Returns whether there was room. */
static bool draw_wait(const struct vg_queue *queue, uint32_t index, uint16_t gpu)
{
    const struct vg_waiter *const waiter = &queue->waiters[index];
    const uint64_t ticket = atomic_load(&waiter->ticket);
    const uint64_t owner = atomic_load(&waiter->owner);
    if (ticket == 0 || owner == 0 || vg_process_owner_is_elsewhere(owner))
        return true; /* it has left meanwhile, or is not looked at */
    const int process = process_index(owner);
    if (process < 0 || picture.wait_count == VG_WAIT_GRAPH_WAITS)
        return false;
    struct vg_wait_graph_process *const drawn = &picture.processes[process];
    const uint64_t since_ns = atomic_load(&waiter->since_ns);
    if (since_ns < drawn->since_ns)
        drawn->since_ns = since_ns;
    drawn->priority = atomic_load(&waiter->priority);
    drawn->chosen = drawn->chosen || atomic_load(&waiter->victim_ticket) == ticket;
    places[picture.wait_count] = (struct vg_queue_slot){ .index = index, .ticket = ticket };
    picture.waits[picture.wait_count++] = (struct vg_wait_graph_wait){
        .process = (uint16_t)process, .gpu = gpu, .wanted_bytes = atomic_load(&waiter->wanted_bytes)
    };
    return true;
}

/* Returns whether there was room. */
static bool draw_holdings(uint16_t gpu, const struct vg_registry_entry *members, size_t count,
                          const struct vg_machine_gpu *others)
{
    for (size_t i = 0; i < count; i++) {
        const int process = process_index(members[i].owner);
        if (process < 0)
            return false;
        picture.processes[process].held_bytes[gpu] = members[i].held_bytes;
        const struct vg_machine_process *const seen =
            vg_machine_find(others, vg_process_owner_pid(members[i].owner));
        if (others->known && seen && seen->bytes != VG_BYTES_UNKNOWN &&
            seen->bytes > members[i].held_bytes)
            context_bytes[process][gpu] = seen->bytes - members[i].held_bytes;
    }
    return true;
}

/* Whoever runs may end, and its contexts with it. */
static void add_contexts(void)
{
    for (size_t i = 0; i < picture.process_count; i++)
        for (size_t gpu = 0; gpu < picture.gpu_count; gpu++)
            if (picture.processes[i].since_ns == UINT64_MAX) /* it does not wait */
                picture.processes[i].held_bytes[gpu] += context_bytes[i][gpu];
}

/* Does NVML tell pids that are ours? Seen by this process, or, on a GPU that it does not use, by
 * any other of the guarded ones. */
static bool knows_pids(const struct vg_machine_gpu *others)
{
    bool known = others->self_seen;
    for (size_t i = 0; i < others->process_count && !known; i++)
        known = others->processes[i].flags & VG_PROCESS_GUARDED && others->processes[i].bytes > 0;
    return known;
}

/* What unguarded processes hold. Where NVML tells other pids than ours (containers), the guarded
 * ones cannot be told from others: then all that is used and not tracked by a guarded one, less
 * what contexts may take. Without NVML it is unknown, which is as good as all. */
static uint64_t outside_bytes(const struct vg_machine_gpu *others,
                              const struct vg_registry_entry *members, size_t member_count)
{
    uint64_t bytes = 0;
    if (!others->known || others->free_bytes == VG_BYTES_UNKNOWN)
        return VG_BYTES_UNKNOWN;
    if (knows_pids(others)) {
        for (size_t i = 0; i < others->process_count; i++)
            if (!(others->processes[i].flags & VG_PROCESS_GUARDED) &&
                others->processes[i].bytes != VG_BYTES_UNKNOWN)
                bytes += others->processes[i].bytes;
        return bytes;
    }
    uint64_t guarded = 0;
    for (size_t i = 0; i < member_count; i++)
        guarded += members[i].held_bytes + GUESSED_CONTEXT_MIB * VG_MIB;
    bytes = others->total_bytes - others->free_bytes;
    return bytes > guarded ? bytes - guarded : 0;
}

static void draw_gpu(const char *uuid, struct vg_registry_file *file, void *argument)
{
    struct vg_region region = vg_region_over(NULL, 0);
    struct vg_machine_gpu others;
    const uint64_t now_ns = *(const uint64_t *)argument;
    const struct vg_queue *const queue = vg_registry_queue(file);
    const uint16_t gpu = (uint16_t)picture.gpu_count;
    const size_t waits_before = picture.wait_count;
    bool is_whole = true;
    if (gpu == VG_WAIT_GRAPH_GPUS || !vg_queue_is_waited_for(queue))
        return;
    freed_seen[gpu] = atomic_load(&queue->freed);
    snprintf(uuids[gpu], sizeof uuids[gpu], "%s", uuid);
    for (uint32_t i = 0; i < VG_QUEUE_WAITERS; i++)
        if (vg_queue_is_waiting(&queue->waiters[i], now_ns))
            is_whole = draw_wait(queue, i, gpu) && is_whole;
    if (picture.wait_count == waits_before)
        return;
    struct vg_registry_entry *const members =
        vg_region_array(&region, VG_REGISTRY_SLOTS, sizeof *members);
    const size_t all = members ? vg_registry_members(file, true, members, VG_REGISTRY_SLOTS) : 0;
    const size_t count = keep_those_here(members, all);
    const struct vg_machine_question question = { .uuid = uuid, .pci_bus_id = "", .file = file };
    vg_machine_measure_gpu(&question, &region, &others);
    is_whole = draw_holdings(gpu, members, count, &others) && members && is_whole;
    /* Who is not in the picture may free all that is missing. */
    picture.outside_bytes[gpu] =
        is_whole ? outside_bytes(&others, members, count) : VG_BYTES_UNKNOWN;
    picture.free_bytes[gpu] = others.free_bytes;
    picture.gpu_count++;
    vg_region_release(&region);
}

/* Tells the victims' youngest waits to end, unless something has come free since the picture. */
static void tell_victims(const char *uuid, struct vg_registry_file *file, void *argument)
{
    const bool *const chosen = argument;
    struct vg_queue *const queue = vg_registry_queue(file);
    for (size_t i = 0; i < picture.wait_count; i++)
        if (chosen[i] && strcmp(uuids[picture.waits[i].gpu], uuid) == 0 &&
            atomic_load(&queue->freed) == freed_seen[picture.waits[i].gpu])
            vg_queue_choose_victim(queue, places[i].index, places[i].ticket);
}

static void find_deadlocks(uint64_t now_ns)
{
    uint16_t victims[VG_WAIT_GRAPH_PROCESSES];
    bool chosen[VG_WAIT_GRAPH_WAITS] = { false };
    picture.gpu_count = picture.process_count = picture.wait_count = 0;
    memset(picture.processes, 0, sizeof picture.processes);
    memset(context_bytes, 0, sizeof context_bytes);
    if (vg_registry_each_waited_for(draw_gpu, &now_ns) != 0)
        return;
    add_contexts();
    const size_t count = vg_wait_graph_find_victims(&picture, victims);
    for (size_t v = 0; v < count; v++) {
        size_t last = picture.wait_count;
        for (size_t i = 0; i < picture.wait_count; i++)
            if (picture.waits[i].process == victims[v] &&
                (last == picture.wait_count || places[i].ticket > places[last].ticket))
                last = i;
        if (last < picture.wait_count)
            chosen[last] = true;
    }
    if (count > 0)
        vg_registry_each_waited_for(tell_victims, chosen);
}

void vg_deadlock_watch_start(struct vg_deadlock_watch *watch, const struct vg_queue *queue,
                             uint64_t now_ns)
{
    *watch = (struct vg_deadlock_watch){ .still_since_ns = now_ns,
                                         .freed_seen = atomic_load(&queue->freed) };
}

void vg_deadlock_watch_check(struct vg_deadlock_watch *watch, const struct vg_queue *queue)
{
    const uint64_t now_ns = vg_clock_monotonic_ns();
    const uint32_t freed = atomic_load(&queue->freed);
    if (freed != watch->freed_seen) {
        watch->freed_seen = freed;
        watch->still_since_ns = now_ns;
    }
    if (now_ns - watch->still_since_ns < STILL_MS * VG_MS_NS ||
        now_ns - watch->looked_ns < LOOK_MS * VG_MS_NS || atomic_flag_test_and_set(&drawing))
        return;
    const int decision = vg_registry_lock_decision();
    if (decision >= 0) {
        watch->looked_ns = now_ns;
        find_deadlocks(now_ns);
        close(decision);
    }
    atomic_flag_clear(&drawing);
}

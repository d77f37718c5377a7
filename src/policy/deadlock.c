#include "policy/deadlock.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "base/size.h"
#include "policy/knot.h"
#include "policy/neighbours.h"

/* A second is the promise; the picture takes some tens of milliseconds on a real machine. */
enum { STILL_MS = 300, LOOK_MS = 150, GUESSED_CONTEXT_MIB = 600 };

#define MS_NS UINT64_C(1000000)

/* Too large for a stack; one thread at a time. */
static atomic_flag drawing = ATOMIC_FLAG_INIT;
static struct vg_knot_picture picture;
static struct place {
    char uuid[48];
    uint32_t index; /* of the waiter */
    uint64_t ticket;
    uint16_t process;
} places[VG_KNOT_WAITS];

/* The process's place in the picture, new if need be; -1 when there is no room. */
static int process_index(uint64_t owner)
{
    for (size_t i = 0; i < picture.process_count; i++)
        if (picture.processes[i].owner == owner)
            return (int)i;
    if (picture.process_count == VG_KNOT_PROCESSES)
        return -1;
    picture.processes[picture.process_count] =
        (struct vg_knot_process){ .owner = owner, .since_ns = UINT64_MAX };
    return (int)picture.process_count++;
}

static void draw_wait(const char *uuid, const struct vg_queue *queue, uint32_t index, uint16_t gpu)
{
    const struct vg_waiter *const waiter = &queue->waiters[index];
    const uint64_t ticket = atomic_load(&waiter->ticket);
    const int process = process_index(atomic_load(&waiter->owner));
    if (process < 0 || picture.wait_count == VG_KNOT_WAITS)
        return;
    struct vg_knot_process *const drawn = &picture.processes[process];
    const uint64_t since_ns = atomic_load(&waiter->since_ns);
    if (since_ns < drawn->since_ns)
        drawn->since_ns = since_ns;
    drawn->priority = atomic_load(&waiter->priority);
    drawn->chosen = drawn->chosen || atomic_load(&waiter->victim_ticket) == ticket;
    struct place *const place = &places[picture.wait_count];
    *place = (struct place){ .index = index, .ticket = ticket, .process = (uint16_t)process };
    strncpy(place->uuid, uuid, sizeof place->uuid - 1);
    picture.waits[picture.wait_count++] = (struct vg_knot_wait){
        .process = (uint16_t)process, .gpu = gpu, .wanted_bytes = atomic_load(&waiter->wanted_bytes)
    };
}

/* What unguarded processes hold. Where NVML tells other pids than ours (containers), the guarded
 * ones cannot be told from others: then all that is used and not tracked by a guarded one, less
 * what contexts may take. Without NVML it is unknown, which is as good as all. */
static uint64_t outside_bytes(const struct vg_neighbours *others,
                              const struct vg_registry_entry *members, size_t member_count)
{
    uint64_t bytes = 0;
    if (!others->known || others->free_bytes == VG_BYTES_UNKNOWN)
        return VG_BYTES_UNKNOWN;
    if (others->self_seen) {
        for (size_t i = 0; i < others->count; i++)
            if (!others->list[i].guarded)
                bytes += others->list[i].bytes == VG_BYTES_UNKNOWN ? 0 : others->list[i].bytes;
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
    static struct vg_registry_entry members[VG_KNOT_PROCESSES];
    static struct vg_neighbours others;
    const uint64_t now_ns = *(const uint64_t *)argument;
    const struct vg_queue *const queue = vg_registry_queue(file);
    const uint16_t gpu = (uint16_t)picture.gpu_count;
    const size_t waits_before = picture.wait_count;
    if (gpu == VG_KNOT_GPUS || !vg_queue_is_waited_for(queue))
        return;
    for (uint32_t i = 0; i < VG_QUEUE_WAITERS; i++)
        if (vg_queue_in_line(&queue->waiters[i], now_ns) &&
            vg_queue_owner_alive(atomic_load(&queue->waiters[i].owner)))
            draw_wait(uuid, queue, i, gpu);
    if (picture.wait_count == waits_before)
        return;
    const size_t count = vg_registry_members(file, true, members, VG_KNOT_PROCESSES);
    for (size_t i = 0; i < count; i++) {
        const int process = process_index(members[i].owner);
        if (process >= 0)
            picture.processes[process].held_bytes[gpu] = members[i].held_bytes;
    }
    vg_neighbours_measure(uuid, file, &others);
    picture.outside_bytes[gpu] = outside_bytes(&others, members, count);
    picture.free_bytes[gpu] = others.free_bytes;
    picture.gpu_count++;
}

/* Tells the victims' youngest waits to end. */
static void tell_victims(const char *uuid, struct vg_registry_file *file, void *argument)
{
    const bool *const chosen = argument;
    for (size_t i = 0; i < picture.wait_count; i++)
        if (chosen[i] && strcmp(places[i].uuid, uuid) == 0)
            vg_queue_choose_victim(vg_registry_queue(file), places[i].index, places[i].ticket);
}

static void look(uint64_t now_ns)
{
    uint16_t victims[VG_KNOT_PROCESSES];
    bool chosen[VG_KNOT_WAITS] = { false };
    picture.gpu_count = picture.process_count = picture.wait_count = 0;
    memset(picture.processes, 0, sizeof picture.processes);
    if (vg_registry_each_waited_for(draw_gpu, &now_ns) != 0)
        return;
    const size_t count = vg_knot_find(&picture, victims);
    for (size_t v = 0; v < count; v++) {
        size_t last = picture.wait_count;
        for (size_t i = 0; i < picture.wait_count; i++)
            if (places[i].process == victims[v] &&
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

void vg_deadlock_watch(struct vg_deadlock_watch *watch, const struct vg_queue *queue)
{
    const uint64_t now_ns = vg_clock_monotonic_ns();
    const uint32_t freed = atomic_load(&queue->freed);
    if (freed != watch->freed_seen) {
        watch->freed_seen = freed;
        watch->still_since_ns = now_ns;
    }
    if (now_ns - watch->still_since_ns < STILL_MS * MS_NS ||
        now_ns - watch->looked_ns < LOOK_MS * MS_NS || atomic_flag_test_and_set(&drawing))
        return;
    const int decision = vg_registry_lock_decision();
    if (decision >= 0) {
        watch->looked_ns = now_ns;
        look(now_ns);
        close(decision);
    }
    atomic_flag_clear(&drawing);
}

#include "wait/wait_graph.h"

/* What is found out about each process. */
struct finding {
    bool stuck;
    uint16_t knot; /* index of a process that stands for it */
};

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* All of `gpu` that may yet come free. */
static uint64_t obtainable_bytes(const struct vg_wait_graph *p, const struct finding *findings,
                                 uint16_t gpu)
{
    uint64_t bytes = add_saturating(p->free_bytes[gpu], p->outside_bytes[gpu]);
    for (size_t i = 0; i < p->process_count; i++)
        if (!findings[i].stuck)
            bytes = add_saturating(bytes, p->processes[i].held_bytes[gpu]);
    return bytes;
}

/* From "everybody who waits is stuck" down to those who really are. */
static void find_stuck(const struct vg_wait_graph *p, struct finding *findings)
{
    for (size_t i = 0; i < p->process_count; i++)
        findings[i] = (struct finding){ .stuck = false, .knot = (uint16_t)i };
    for (size_t i = 0; i < p->wait_count; i++)
        findings[p->waits[i].process].stuck = true;
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < p->wait_count; i++) {
            const struct vg_wait_graph_wait *const wait = &p->waits[i];
            if (findings[wait->process].stuck &&
                obtainable_bytes(p, findings, wait->gpu) >= wait->wanted_bytes) {
                findings[wait->process].stuck = false;
                changed = true;
            }
        }
    }
}

static void merge_groups(const struct vg_wait_graph *p, struct finding *findings, uint16_t a,
                         uint16_t b)
{
    const uint16_t from = findings[a].knot, to = findings[b].knot;
    for (size_t i = 0; i < p->process_count; i++)
        if (findings[i].knot == from)
            findings[i].knot = to;
}

/* Who waits for a GPU belongs together with who holds memory of it. */
static void find_knots(const struct vg_wait_graph *p, struct finding *findings)
{
    for (size_t i = 0; i < p->wait_count; i++) {
        const struct vg_wait_graph_wait *const wait = &p->waits[i];
        for (size_t k = 0; findings[wait->process].stuck && k < p->process_count; k++)
            if (findings[k].stuck && p->processes[k].held_bytes[wait->gpu] > 0)
                merge_groups(p, findings, wait->process, (uint16_t)k);
    }
}

/* How much good it does when `candidate` gives way: 0 nobody waits for what it holds, 1 somebody
 * does, 2 somebody could go on at once. */
static int rate_usefulness(const struct vg_wait_graph *p, const struct finding *findings,
                           uint16_t candidate)
{
    int best = 0;
    for (size_t i = 0; i < p->wait_count; i++) {
        const struct vg_wait_graph_wait *const wait = &p->waits[i];
        const uint64_t held = p->processes[candidate].held_bytes[wait->gpu];
        if (wait->process == candidate || !findings[wait->process].stuck || held == 0)
            continue;
        if (add_saturating(obtainable_bytes(p, findings, wait->gpu), held) >= wait->wanted_bytes)
            return 2;
        best = 1;
    }
    return best;
}

static uint64_t held_total_bytes(const struct vg_wait_graph *p, uint16_t process)
{
    uint64_t bytes = 0;
    for (size_t gpu = 0; gpu < p->gpu_count; gpu++)
        bytes = add_saturating(bytes, p->processes[process].held_bytes[gpu]);
    return bytes;
}

/* Is `a` to give way rather than `b`, both being as useful? */
static bool gives_way(const struct vg_wait_graph *p, uint16_t a, uint16_t b)
{
    const struct vg_wait_graph_process *const x = &p->processes[a], *const y = &p->processes[b];
    if (x->priority != y->priority)
        return x->priority < y->priority;
    if (x->since_ns != y->since_ns)
        return x->since_ns > y->since_ns;
    if (held_total_bytes(p, a) != held_total_bytes(p, b))
        return held_total_bytes(p, a) < held_total_bytes(p, b);
    return x->owner > y->owner;
}

/* The one of `knot` that gives way; -1 when nobody can or somebody already does. */
static int choose_victim(const struct vg_wait_graph *p, const struct finding *findings,
                         uint16_t knot)
{
    int best = -1, best_use = 0;
    for (uint16_t i = 0; i < p->process_count; i++) {
        if (!findings[i].stuck || findings[i].knot != knot)
            continue;
        if (p->processes[i].chosen)
            return -1;
        const int use = rate_usefulness(p, findings, i);
        if (use > best_use || (use > 0 && use == best_use && gives_way(p, i, (uint16_t)best))) {
            best = i;
            best_use = use;
        }
    }
    return best;
}

size_t vg_wait_graph_find_victims(const struct vg_wait_graph *p, uint16_t *out)
{
    struct finding findings[VG_WAIT_GRAPH_PROCESSES];
    size_t count = 0;
    find_stuck(p, findings);
    find_knots(p, findings);
    for (uint16_t i = 0; i < p->process_count; i++) {
        const int victim =
            findings[i].stuck && findings[i].knot == i ? choose_victim(p, findings, i) : -1;
        if (victim >= 0)
            out[count++] = (uint16_t)victim;
    }
    return count;
}

#include "cli/waiting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/command_name.h"
#include "base/size.h"
#include "cli/command.h"
#include "cli/complain.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/table.h"
#include "machine/machine.h"
#include "os/process.h"
#include "shared/alive.h"
#include "shared/registry.h"

enum column { GPU, PLACE, PID, COMMAND, WANTS, FOR, SINCE, LEFT, HOLDS, COLUMNS };

/* One who waits, copied while it may come and go. */
struct entry {
    uint64_t owner, ticket, wanted_bytes, held_bytes;
    int64_t order_ns;
    uint64_t since_ns, deadline_ns;
    uint16_t kind, priority;
    bool stopped;
};

struct listing {
    struct vg_table table;
    json_t *json; /* NULL: the table is wanted */
    size_t count;
    uint64_t now_ns;
};

static const char *kind_text(uint16_t kind)
{
    switch (kind) {
    case VG_WAIT_NEED: return "VRAMGUARD_NEED";
    case VG_WAIT_NEWCOMER: return "its turn";
    default: return "an allocation";
    }
}

static int by_order(const void *a, const void *b)
{
    const struct entry *const x = a, *const y = b;
    if (x->order_ns != y->order_ns)
        return x->order_ns < y->order_ns ? -1 : 1;
    return (x->ticket > y->ticket) - (x->ticket < y->ticket);
}

static size_t copy_line(struct vg_registry_file *file, uint64_t now_ns, struct entry *out)
{
    static struct vg_registry_entry members[VG_REGISTRY_SLOTS];
    const struct vg_queue *const queue = vg_registry_queue(file);
    const size_t member_count = vg_registry_members(file, true, members, VG_REGISTRY_SLOTS);
    size_t count = 0;
    for (int i = 0; i < VG_QUEUE_WAITERS; i++) {
        const struct vg_waiter *const waiter = &queue->waiters[i];
        const uint64_t owner = waiter->owner;
        if (owner == 0 || !vg_queue_is_waiting(waiter, now_ns))
            continue;
        const enum vg_process_activity activity = vg_alive_activity(owner);
        struct entry *const entry = &out[count++];
        *entry = (struct entry){ .owner = owner,
                                 .ticket = waiter->ticket,
                                 .wanted_bytes = waiter->wanted_bytes,
                                 .order_ns = waiter->order_ns,
                                 .since_ns = waiter->since_ns,
                                 .deadline_ns = waiter->deadline_ns,
                                 .kind = waiter->kind,
                                 .priority = waiter->priority,
                                 .stopped = activity == VG_PROCESS_STOPPED };
        for (size_t k = 0; k < member_count; k++)
            if (members[k].owner == owner)
                entry->held_bytes = members[k].held_bytes;
    }
    qsort(out, count, sizeof *out, by_order);
    return count;
}

static uint64_t ms_between(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (to_ns - from_ns) / 1000000 : 0;
}

static void add_row(struct listing *listing, const char *uuid, size_t place,
                    const struct entry *entry, const char *command)
{
    struct vg_table_row *const row = vg_table_add(&listing->table);
    snprintf(row->cells[GPU], VG_TABLE_CELL_CAP, "%.12s", uuid);
    snprintf(row->cells[PLACE], VG_TABLE_CELL_CAP, entry->stopped ? "%zu, stopped" : "%zu", place);
    const pid_t pid = vg_process_owner_pid(entry->owner);
    snprintf(row->cells[PID], VG_TABLE_CELL_CAP, pid > 0 ? "%d" : "-", pid);
    vg_command_short(row->cells[COMMAND], VG_TABLE_CELL_CAP, command);
    vg_size_format(row->cells[WANTS], entry->wanted_bytes);
    snprintf(row->cells[FOR], VG_TABLE_CELL_CAP, "%s", kind_text(entry->kind));
    vg_duration_format(row->cells[SINCE], ms_between(entry->since_ns, listing->now_ns));
    vg_duration_format(row->cells[LEFT], ms_between(listing->now_ns, entry->deadline_ns));
    vg_size_format(row->cells[HOLDS], entry->held_bytes);
}

static json_t *waiting_object(const struct listing *listing, const char *uuid, size_t place,
                              const struct entry *entry, const char *command)
{
    json_t *const object = vg_json_object();
    vg_json_set_text(object, "gpu", uuid);
    vg_json_set_amount(object, "place", place);
    vg_json_set_flag(object, "stopped", entry->stopped);
    const pid_t pid = vg_process_owner_pid(entry->owner);
    vg_json_set_known(object, "pid", pid > 0, pid);
    vg_json_set_text(object, "command", command);
    vg_json_set_amount(object, "wanted_bytes", entry->wanted_bytes);
    vg_json_set_text(object, "for", kind_text(entry->kind));
    vg_json_set_amount(object, "priority", entry->priority);
    vg_json_set_amount(object, "waited_ms", ms_between(entry->since_ns, listing->now_ns));
    vg_json_set_amount(object, "left_ms", ms_between(listing->now_ns, entry->deadline_ns));
    vg_json_set_amount(object, "held_bytes", entry->held_bytes);
    return object;
}

static void show_gpu(const char *uuid, struct vg_registry_file *file, void *argument)
{
    static struct entry entries[VG_QUEUE_WAITERS];
    struct listing *const listing = argument;
    const size_t count = copy_line(file, listing->now_ns, entries);
    for (size_t i = 0; i < count; i++) {
        char command[1024];
        const pid_t pid = vg_process_owner_pid(entries[i].owner);
        if (pid < 0)
            snprintf(command, sizeof command, "(%s)", VG_MACHINE_ELSEWHERE);
        else if (vg_process_command(pid, command, sizeof command) != 0)
            continue; /* it has just ended */
        if (listing->json)
            vg_json_append(listing->json,
                           waiting_object(listing, uuid, i + 1, &entries[i], command));
        else
            add_row(listing, uuid, i + 1, &entries[i], command);
        listing->count++;
    }
}

int vg_waiting_show(bool json)
{
    static const char *const titles[COLUMNS] = { "GPU", "PLACE", "PID",  "COMMAND", "WANTS",
                                                 "FOR", "SINCE", "LEFT", "HOLDS" };
    struct listing listing = { .json = json ? vg_json_array() : NULL,
                               .now_ns = vg_clock_monotonic_ns() };
    if (!json)
        vg_table_start(&listing.table, titles, COLUMNS, COMMAND);
    const int error = vg_registry_each(show_gpu, &listing);
    if (error) {
        vg_complain("vramguard list", "cannot read the registry of guarded processes: %s",
                    strerror(-error));
        return VG_EXIT_FAILED;
    }
    if (json)
        vg_json_print(listing.json);
    else if (listing.count == 0)
        puts("No guarded program of yours waits for GPU memory.");
    else
        vg_table_print(&listing.table, vg_console_columns());
    return 0;
}

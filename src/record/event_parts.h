/* The parts (parts.h) of failures, rescues and marks in a run file. What the fields mean stands in
 * analyze/run.h, whose structures have the same names. `text` fields are offsets of texts. */
#ifndef VRAMGUARD_RECORD_EVENT_PARTS_H
#define VRAMGUARD_RECORD_EVENT_PARTS_H

#include <stdint.h>

/* Never renumbered. */
enum vg_event_tag {
    VG_PART_TEXTS = 1,
    VG_PART_CALL = 2,   /* struct vg_part_call; a record of a failure without it belongs to
                           the failure before */
    VG_PART_FRAMES = 3, /* array of struct vg_part_frame: the failing call's, innermost first */
    VG_PART_DEVICE = 4, /* struct vg_part_device */
    VG_PART_KINDS = 5,  /* array of struct vg_part_kind */
    VG_PART_SIZES = 6,  /* array of uint64_t */
    VG_PART_STACKS = 7, /* array of struct vg_part_stack: what is live, by stack */
    VG_PART_STACK_RESTS = 8,   /* array of struct vg_part_stack_rest, by level */
    VG_PART_PROCESSES = 9,     /* array of struct vg_part_process */
    VG_PART_GPUS = 10,         /* array of struct vg_part_gpu: the machine's others */
    VG_PART_ACTIONS = 11,      /* array of struct vg_oom_action of analyze/outcome.h */
    VG_PART_TORCH = 12,        /* struct vg_part_torch */
    VG_PART_CHECKPOINT = 13,   /* struct vg_part_checkpoint */
    VG_PART_HOST = 14,         /* struct vg_part_host */
    VG_PART_CENSUS = 15,       /* struct vg_part_census and what follows it */
    VG_PART_RESCUE = 16,       /* struct vg_part_rescue */
    VG_PART_MARK = 17,         /* struct vg_part_mark */
    VG_PART_MARK_DEVICES = 18, /* array of struct vg_run_mark_device */
    VG_PART_OUTER = 19,        /* struct vg_outer_limits of analyze/outer_limits.h */
};

enum vg_part_call_flag { VG_CALL_TRUNCATED = 1, VG_CALL_SURVIVED = 2 };

struct vg_part_call {
    uint64_t realtime_ns, asked_bytes, injected_number, alloc_count, free_count;
    uint32_t number;
    int32_t error;
    uint32_t refused_by, thread_id, stack_id, flags;
    uint32_t api_text, thread_name_text, injected_rule_text, driver_version_text;
    int32_t cuda_version;
    uint32_t reserved;
    int32_t rank_plus_one, world_size_plus_one; /* 0 unknown */
    uint32_t settings_text;
    uint32_t main_path_text, main_function_text, main_line;
};

struct vg_part_frame {
    uint64_t address, module_offset;
    uint32_t module_text, function_text, file_text;
    uint32_t line, flags;
    uint32_t reserved;
};

struct vg_part_gpu {
    uint64_t total_bytes, free_bytes;
    int32_t ordinal;
    uint32_t name_text, uuid_text, pci_bus_id_text;
};

struct vg_part_device {
    uint64_t total_bytes, free_bytes;
    int32_t ordinal;
    uint32_t name_text, uuid_text, pci_bus_id_text;
    uint64_t live_bytes, live_count, peak_bytes, peak_realtime_ns, failed_count, untracked_bytes;
    uint64_t pool_reserved_bytes, pool_used_bytes, graph_reserved_bytes, graph_used_bytes;
    uint64_t limit_bytes, limit_left_bytes, self_bytes, others_bytes;
    uint32_t limit_shared, others_known, rest_process_count;
    uint32_t reserved;
};

struct vg_part_kind {
    uint32_t kind, reserved;
    uint64_t bytes, count;
};

struct vg_part_stack {
    uint32_t level, stack_id, owner, reserved;
    uint64_t bytes, count, oldest_ns, newest_ns;
    uint64_t allocation_count, free_count, peak_bytes, peak_count;
    uint32_t made[8];
    uint64_t oldest_count, newest_count; /* both 0: not counted */
};

struct vg_part_stack_rest {
    uint32_t is_known, stack_count;
    uint64_t bytes, count;
};

struct vg_part_process {
    int32_t pid;
    uint32_t uid, flags;
    uint32_t command_text, user_text, job_text, container_text;
    int32_t rank_plus_one; /* 0 unknown */
    uint64_t bytes, start_ns, unchanged_ns, idle_bytes;
};

struct vg_part_torch {
    uint64_t bytes[3], count[3];
    uint64_t allocated_bytes, reserved_bytes, block_count, unused_bytes;
    uint64_t hole_count, largest_hole_bytes, empty_bytes, empty_count, fraction_bytes;
    uint32_t loaded, unjudged, tells_blocks, settings_text;
    uint64_t allocation_count, free_count;
    uint32_t silence, is_caller;
    uint64_t graph_bytes;
    uint32_t graph_count, graph_reuser_count;
};

struct vg_part_checkpoint {
    uint64_t f32_bytes, half_bytes, other_bytes;
    uint32_t file_count, unread, name_text, reserved;
};

struct vg_part_host {
    uint64_t total_bytes, available_bytes, cgroup_limit_bytes, cgroup_used_bytes;
    uint64_t pinned_bytes, pinned_count, spilled_bytes, spilled_count, spill_cap_bytes;
};

struct vg_part_census {
    uint32_t format, reserved;
};

struct vg_part_rescue {
    uint64_t realtime_ns, asked_bytes, duration_ns;
    int32_t device;
    uint32_t stack_id, api_text, reserved;
};

struct vg_part_mark {
    uint64_t realtime_ns, monotonic_ns;
    uint32_t thread_id, text;
};

#endif

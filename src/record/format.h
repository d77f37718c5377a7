/* The recorder file: one per CUDA process, written through shared memory mappings so that it is
 * complete up to the last instruction before a SIGKILL. The writer and every reader include this
 * header; nothing else knows the layout.
 *
 *   offset 0            struct vg_file_header (VG_FILE_HEADER_BYTES)
 *   then                extents, each belonging to one area, in the order of header.extents
 *
 * Areas grow by appending extents: LIVE is an array of struct vg_live_slot, BLOCKS of struct
 * vg_block_slot, SITES of struct vg_site_slot, JOURNAL a sequence of records {struct
 * vg_journal_record, payload, padding to 8 bytes}. An area is the concatenation of its extents; a
 * journal record never crosses the end of an extent.
 *
 * A later version reads what an earlier one wrote. Slots have the size that they have; failures,
 * rescues and marks are sequences of tagged parts, each with its size (record/parts.h), which may
 * grow and of which there may be more. Enums are never renumbered. `version` counts up when a
 * reader of the version before would be misled.
 *
 * A file is bounded: 4 GiB of live allocations and of blocks, 64 MiB of sites, 1 GiB of journal, of
 * which the last 8 MiB are kept for failures. What is given up first: of a failure, stacks and
 * processes behind the largest (their sums stay); marks after 10000 and rescues after 1000 (they
 * are counted); then stacks, code and modules; failures last.
 *
 * Integers are in the machine's byte order (`byte_order` tells). All that a reader takes from a
 * file may be torn or hostile: it checks every offset, count and length. */
#ifndef VRAMGUARD_RECORD_FORMAT_H
#define VRAMGUARD_RECORD_FORMAT_H

#include <stdatomic.h>
#include <stdint.h>

#include "record/kind.h"

#define VG_FILE_MAGIC "VRAMGRD\n"

enum {
    VG_FILE_VERSION = 4,
    VG_FILE_OLDEST_VERSION = 3, /* readable, too: without blocks and sites, whose counts are 0 */
    VG_FILE_BYTE_ORDER = 0x01020304,
    VG_FILE_HEADER_BYTES = 65536,
    VG_FILE_EXTENTS = 1024,
    VG_FILE_DEVICES = 32,
    VG_FILE_HOST = VG_FILE_DEVICES - 1, /* the entry that counts pinned host memory */
};

/* Frames kept of one stack, the innermost ones: of native code, and of Python code. */
enum { VG_STACK_FRAMES = 64, VG_PYTHON_FRAMES = 64 };

enum vg_file_area {
    VG_AREA_NONE,
    VG_AREA_LIVE,
    VG_AREA_JOURNAL,
    VG_AREA_BLOCKS,
    VG_AREA_SITES,
    VG_AREA_COUNT
};

struct vg_file_extent {
    uint32_t area; /* enum vg_file_area; written last, with release order */
    uint32_t reserved;
    uint64_t offset_bytes; /* in the file */
    uint64_t size_bytes;
};

/* Totals of one device, updated in place. Its own cache lines: two devices do not disturb each
 * other. */
struct vg_file_device {
    _Atomic uint64_t live_bytes, peak_bytes;
    _Atomic uint64_t peak_realtime_ns;
    _Atomic uint64_t failed_count;
    uint64_t total_bytes; /* as cuDeviceTotalMem says; 0 = this entry is unused */
    char uuid[48];
    char name[64];
    _Atomic uint64_t peak_epoch; /* how often peak_bytes has risen */
    char padding[64 - 32];
};

/* PyTorch's caching allocator on one device, as it tells of itself (heap/blocks.h). Its blocks lie
 * inside allocations that struct vg_file_device counts: the two are never added. Written under a
 * lock of the device, so that a killed process leaves at most one call half counted. */
struct vg_file_blocks {
    uint64_t allocated_bytes; /* of the live blocks */
    uint64_t peak_bytes;      /* the most of it at a time */
    uint64_t peak_epoch;      /* how often the peak has risen */
    uint64_t peak_monotonic_ns;
    uint64_t allocations, frees;
    uint64_t told_allocated_bytes, told_reserved_bytes; /* PyTorch's own sums, at its last call */
    uint64_t lost_count, lost_bytes; /* blocks there was no memory to record; in no other sum */
    uint64_t refused_count;          /* how often the allocator has given up for want of memory */
    uint64_t reserved[5];
};

_Static_assert(sizeof(struct vg_file_blocks) == 128, "its own cache lines");

enum { VG_FILE_HOLDERS = 3 };

/* Another process that holds memory of a device. */
struct vg_file_holder {
    int32_t pid;        /* 0: this entry is unused */
    uint32_t invisible; /* 1: the pid does not exist in this pid namespace */
    uint64_t bytes;
    char command[112]; /* "" unknown */
};

/* What the program was told when it asked how much memory a device has (cuMemGetInfo). A program
 * that then gives up by itself leaves no failed call. */
struct vg_file_memory_read {
    uint64_t realtime_ns; /* of the last time; 0: it has not asked */
    uint64_t free_bytes, total_bytes;
    uint64_t own_bytes; /* its live allocations at that time */
    /* Who held the rest, when less than half was free for the first time; without NVML nobody is
     * known. */
    uint64_t low_realtime_ns; /* 0: that did not happen, or is just being found out */
    uint64_t low_free_bytes, low_own_bytes;
    uint64_t low_others_bytes; /* VG_BYTES_UNKNOWN without NVML */
    uint32_t holder_count;     /* of all, of which the largest are here */
    _Atomic uint32_t writing; /* 1: one thread writes the first four, or wrote when it was killed */
    _Atomic uint32_t low_begun;
    uint32_t reserved;
    struct vg_file_holder holders[VG_FILE_HOLDERS];
};

enum vg_run_end { VG_END_NONE, VG_END_EXIT };

struct vg_file_header {
    char magic[8];
    uint32_t version;
    uint32_t byte_order;
    uint32_t header_bytes; /* VG_FILE_HEADER_BYTES */
    uint32_t slot_bytes;   /* sizeof(struct vg_live_slot) */
    uint32_t reserved0;    /* of version 3: the size of its failures */
    int32_t pid;
    uint64_t start_ticks; /* vg_process_id.start_ticks: pid and this identify the process */
    uint32_t uid;
    uint32_t writer_version;                        /* of the library, 0x00MMmmpp */
    uint64_t start_realtime_ns, start_monotonic_ns; /* both clocks at the same instant */
    char host[64];
    char exe[64];
    char command[1024];
    char boot_id[40]; /* /proc/sys/kernel/random/boot_id: pids of another boot are gone */

    /* The end of the run; NONE while it runs and for ever if it was killed. */
    _Atomic uint32_t end; /* enum vg_run_end, written after the other two */
    int32_t exit_status;
    uint64_t end_realtime_ns;

    _Atomic uint32_t failure_count; /* allocations that failed in the program's eyes */
    uint32_t memory_only;           /* 1: an area could not grow in the file (disk full) and goes
                                       on in memory: the tables below are incomplete */
    _Atomic uint64_t journal_bytes; /* committed length of the journal area */
    _Atomic uint64_t live_slots;    /* slots of the live area that were ever used */
    _Atomic uint32_t rescue_count;  /* calls that ran out of memory and succeeded after all */
    uint32_t reserved;

    struct vg_file_device devices[VG_FILE_DEVICES] __attribute__((aligned(64)));
    struct vg_file_extent extents[VG_FILE_EXTENTS];

    /* Memory that was spilled to the host: the most at a time, and the last cap; 0: none was. (At
     * the end: files of the same version from before have zeros here.) */
    _Atomic uint64_t spill_peak_bytes, spill_cap_bytes;

    _Atomic uint32_t mark_count; /* set by the program; likewise at the end */
    uint32_t reserved2;

    /* Since version 4. Slots of the two areas that were ever used, and how many allocations and
     * blocks are in no site because there was no room for one more. */
    _Atomic uint64_t block_slots, site_slots, site_overflow_count;
    struct vg_file_blocks blocks[VG_FILE_DEVICES] __attribute__((aligned(64)));

    /* Zeros in files of version 4 from before. */
    struct vg_file_memory_read memory_reads[VG_FILE_DEVICES];
    uint64_t pid_namespace;         /* in which `pid` is one: vg_process_pid_namespace; 0 unknown */
    _Atomic uint64_t dropped_count; /* records that the journal had no room for, mostly stacks */
    char folder[1024];              /* the current one when the record began: Python's relative
                                       file names start there; "" unknown */
};

_Static_assert(sizeof(struct vg_file_header) <= VG_FILE_HEADER_BYTES, "the header must fit");

/* One live allocation. A slot is in use when `address` is not 0; the writer stores `address` last
 * (release) and clears it first. 64 bytes: one cache line. */
struct vg_live_slot {
    _Atomic uint64_t address; /* device address; of kinds with VG_TRAIT_HANDLE a made-up number
                                 above all addresses */
    uint64_t bytes;           /* charged bytes */
    uint64_t monotonic_ns;    /* CLOCK_MONOTONIC_COARSE when it was made */
    uint32_t stack_id;        /* of a STACK record; 0 none */
    uint32_t thread_id;
    uint16_t device;         /* index into header.devices */
    uint16_t kind;           /* enum vg_kind */
    uint32_t site;           /* 1 + index of its slot in the area of sites, 0 none */
    uint64_t context;        /* the CUcontext of kinds with VG_TRAIT_OF_CONTEXT, else 0 */
    uint64_t mapped_address; /* of virtual memory: where it was mapped last; 0 nowhere yet */
    uint32_t next_free;      /* the writer's own: the link of one that has been given back, */
    uint32_t capture;        /* and for which capture it was made (driver/captures.h), 0 none */
};

_Static_assert(sizeof(struct vg_live_slot) == 64, "one cache line");

/* One live block of PyTorch's caching allocator: what a tensor's storage lies in. Used and cleared
 * as a live slot is. 64 bytes: one cache line. */
struct vg_block_slot {
    _Atomic uint64_t address;
    uint64_t bytes;        /* as PyTorch counts it: rounded up to 512 bytes, or to the rest of a
                              segment that is not worth splitting */
    uint64_t monotonic_ns; /* CLOCK_MONOTONIC_COARSE when it was given out */
    uint32_t stack_id;     /* Python frames, or where the thread began; 0 none */
    uint32_t thread_id;
    uint16_t device;    /* index into header.devices and header.blocks */
    uint16_t maker;     /* enum vg_block_maker (heap/passes.h): the writer's own */
    uint32_t site;      /* 1 + index of its slot in the area of sites, 0 none */
    uint64_t number;    /* which of its site's allocations it was, from 1 */
    uint32_t next_free; /* of a slot that is not in use: the writer's own */
    uint32_t reserved1;
    uint64_t device_number; /* which of its device's blocks it was, from 1; 0 unknown */
};

_Static_assert(sizeof(struct vg_block_slot) == 64, "one cache line");

/* What a site counts. */
enum vg_site_level { VG_SITE_NONE, VG_SITE_ALLOCATION, VG_SITE_BLOCK, VG_SITE_LEVELS };

/* What one stack has allocated on one device. Several slots may have the same key (different
 * threads may count in different ones): they are to be added up. In use when `level` is not 0,
 * which is written last.
 *
 * Live are `allocations - frees`. At the device's peak there were `peak_bytes` in `peak_count` if
 * `peak_epoch` is that of the device, else as much as is live now: nothing has changed here since
 * the peak rose. 64 bytes: one cache line. */
struct vg_site_slot {
    uint64_t allocations, frees;
    uint64_t live_bytes;
    uint64_t allocated_bytes; /* of all its allocations together */
    uint64_t peak_epoch, peak_bytes, peak_count;
    uint32_t stack_id; /* 0: without a stack */
    uint16_t device;
    _Atomic uint16_t level; /* enum vg_site_level */
};

_Static_assert(sizeof(struct vg_site_slot) == 64, "one cache line");

/* Journal records. Written to files: never renumber. */
enum vg_journal_type {
    VG_JOURNAL_NONE,
    VG_JOURNAL_PADDING, /* fills the end of an extent */
    VG_JOURNAL_MODULE,  /* struct vg_journal_module */
    VG_JOURNAL_STACK,   /* struct vg_journal_stack */
    VG_JOURNAL_FAILURE, /* of format version 3: struct vg_version3_snapshot */
    VG_JOURNAL_CODE,    /* struct vg_journal_code */
    VG_JOURNAL_RESCUE,  /* likewise: struct vg_version3_rescue */
    VG_JOURNAL_MARK,    /* likewise: struct vg_version3_mark */
    /* Parts (record/parts.h, record/event_parts.h). */
    VG_JOURNAL_FAILURE_PARTS,
    VG_JOURNAL_RESCUE_PARTS,
    VG_JOURNAL_MARK_PARTS,
};

struct vg_journal_record {
    _Atomic uint32_t type; /* enum vg_journal_type, written last with release order: 0 = the rest
                              was never committed */
    uint32_t size_bytes;   /* of the payload, without this header and without padding */
    uint32_t checksum;     /* FNV-1a of the payload */
    uint32_t reserved;
};

/* A loaded object, for turning addresses into names after the process is gone. */
struct vg_journal_module {
    uint64_t start, end; /* mapped range, end exclusive */
    uint64_t bias;       /* address in memory minus address in the file's own numbering */
    uint32_t build_id_bytes;
    uint8_t build_id[20];
    char path[]; /* NUL terminated */
};

struct vg_journal_stack {
    uint32_t id; /* from 1, dense */
    uint32_t depth;
    uint32_t truncated;    /* 1: the stack was deeper than what is recorded */
    uint32_t python_depth; /* frames of Python code */
    uint64_t frames[];     /* `depth` program counters, innermost first, without vramguard's own;
                              then `python_depth` times struct vg_journal_python, innermost first */
};

/* One frame of Python code. */
struct vg_journal_python {
    uint32_t code_id; /* of a CODE record, which comes before the stack */
    uint32_t line;    /* 0 unknown */
    uint32_t at;      /* index of the native frame that interprets it, `depth` for one that is not
                         recorded; never smaller than that of the Python frame before */
    uint32_t reserved;
};

/* A Python function (or module, class body, ...) that occurs in stacks. A later record with the
 * same id counts instead of the one before. */
struct vg_journal_code {
    uint32_t id; /* from 1, dense */
    uint32_t first_line;
    uint32_t file_bytes, name_bytes; /* of the two texts, each with its NUL */
    char texts[];                    /* file name as Python knows it, then the qualified name */
};

static inline const struct vg_journal_python *
vg_journal_stack_python(const struct vg_journal_stack *stack)
{
    return (const void *)(stack->frames + stack->depth);
}

static inline const char *vg_journal_code_name(const struct vg_journal_code *code)
{
    return code->texts + code->file_bytes;
}

#endif

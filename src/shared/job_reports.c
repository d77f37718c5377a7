#include "shared/job_reports.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hashing.h"
#include "base/signal_block.h"
#include "shared/shared_file.h"

/* An entry is one word, so that who tells, of what and when are taken together: a bit that is set,
 * a key, the rank, and the clock ticks, of which there are enough for eleven hours. 0: nobody. An
 * entry belongs to the job that asked last. */
enum { ENTRIES = 504, TICK_BITS = 22, RANK_BITS = 14, KEY_SHIFT = TICK_BITS + RANK_BITS };
enum { TICKS_MASK = (1 << TICK_BITS) - 1, RANK_MAX = (1 << RANK_BITS) - 1 };
enum { WINDOW_S = 3600, RACE_S = 60 };

struct reports_file {
    struct vg_shared_head head;
    _Atomic uint64_t entries[ENTRIES];
};

_Static_assert(sizeof(struct reports_file) == 4096, "one page");

static const struct vg_shared_layout layout = { .magic = "VGJOBS\n",
                                                .version = 1,
                                                .slot_bytes = sizeof(uint64_t),
                                                .size_bytes = sizeof(struct reports_file) };

uint64_t vg_job_reports_now_ticks(void)
{
    return vg_clock_ns(CLOCK_BOOTTIME) / (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
}

static uint64_t entry_of(uint64_t key, int32_t rank, uint64_t ticks)
{
    return UINT64_C(1) << 63 | key << KEY_SHIFT | (uint64_t)rank << TICK_BITS |
           (ticks & TICKS_MASK);
}

static int32_t rank_of(uint64_t entry)
{
    return (int32_t)(entry >> TICK_BITS & RANK_MAX);
}

/* Was the entry made since `start_ticks`, and in the window? Who looked at the clock a little later
 * may have been here before. */
static bool is_of_this_run(uint64_t entry, uint64_t start_ticks, uint64_t now_ticks)
{
    const uint64_t second = (uint64_t)sysconf(_SC_CLK_TCK);
    const uint64_t ago = (now_ticks - entry) & TICKS_MASK;
    const bool is_later = ago > TICKS_MASK - RACE_S * second;
    return is_later || (ago < WINDOW_S * second && ago <= now_ticks - start_ticks);
}

static bool claim_entry(_Atomic uint64_t *entry, uint64_t wanted, uint64_t start_ticks,
                        uint64_t now_ticks, int32_t *out_teller)
{
    uint64_t before = atomic_load(entry);
    do {
        const bool same = (before ^ wanted) >> KEY_SHIFT == 0;
        if (same && rank_of(before) != rank_of(wanted) &&
            is_of_this_run(before, start_ticks, now_ticks)) {
            *out_teller = rank_of(before);
            return false;
        }
    } while (!atomic_compare_exchange_weak(entry, &before, wanted));
    return true;
}

bool vg_job_reports_claim(const struct vg_job_rank *self, uint64_t cause_hash, uint64_t now_ticks,
                          int32_t *out_teller)
{
    const uint64_t words[] = { self->job_hash, cause_hash };
    const uint64_t key = vg_hash_words(words, 2);
    struct vg_signal_block shield;
    void *mapped;
    bool first = true;
    if (self->rank < 0 || self->rank > RANK_MAX)
        return true;
    if (vg_signal_block_begin(&shield) && vg_shared_map("jobs", &layout, &mapped) == 0) {
        struct reports_file *const file = mapped;
        first =
            claim_entry(&file->entries[(key >> 32) % ENTRIES], entry_of(key, self->rank, now_ticks),
                        self->start_ticks, now_ticks, out_teller);
        munmap(mapped, sizeof *file);
    }
    vg_signal_block_end(&shield);
    return first;
}

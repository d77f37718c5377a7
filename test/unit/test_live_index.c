/* The index of live allocations: contents and totals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "live_index_fixture.h"

static uint64_t peak_bytes(int device)
{
    return recorder.header->devices[device].peak_bytes;
}

/* May the header's total differ from `exact` by this much? */
static bool near_enough(uint64_t total, uint64_t exact)
{
    const uint64_t slack = (uint64_t)VG_LIVE_INDEX_SHARDS * VG_LIVE_INDEX_PENDING_BYTES;
    return total <= exact + slack && exact <= total + slack;
}

static void put_is_seen_with_all_it_said(void **state)
{
    (void)state;
    const struct vg_allocation one = allocation(0x7f0000000200, 12345, 3);
    assert_int_equal(vg_live_index_put(&track, &one), 0);
    const struct seen seen = look();
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.address, one.address);
    assert_int_equal(seen.last.bytes, one.bytes);
    assert_int_equal(seen.last.monotonic_ns, one.monotonic_ns);
    assert_int_equal(seen.last.stack_id, one.stack_id);
    assert_int_equal(seen.last.thread_id, one.thread_id);
    assert_int_equal(seen.last.device, one.device);
    assert_int_equal(seen.last.kind, one.kind);
    assert_int_equal(seen.last.context, one.context);
    assert_int_equal(seen.last.capture, one.capture);
    assert_int_equal(live_bytes(3), 12345);
    assert_int_equal(live_bytes(0), 0);
}

static void take_then_forget_ends_it(void **state)
{
    (void)state;
    put(0x1000, 100, 1);
    put(0x2000, 200, 1);
    struct vg_pending_free taken;
    assert_true(vg_live_index_begin_free(&track, 0x1000, &taken));
    assert_int_equal(taken.bytes, 100);
    assert_int_equal(taken.device, 1);
    assert_int_equal(live_bytes(1), 200);
    vg_live_index_commit_free(&track, &taken);
    assert_int_equal(look().count, 1);
    assert_int_equal(look().last.address, 0x2000);
    assert_false(vg_live_index_begin_free(&track, 0x1000, &taken));
    uint64_t puts, takes;
    vg_live_index_counts(&track, &puts, &takes);
    assert_int_equal(puts, 2);
    assert_int_equal(takes, 1);
}

static void unknown_address_is_not_taken(void **state)
{
    (void)state;
    struct vg_pending_free taken;
    put(0x1000, 100, 0);
    assert_false(vg_live_index_begin_free(&track, 0x1001, &taken));
    assert_false(vg_live_index_begin_free(&track, 0, &taken));
    assert_false(vg_live_index_begin_free(&track, UINT64_MAX, &taken));
    assert_int_equal(live_bytes(0), 100);
    assert_int_equal(look().count, 1);
}

/* Large enough not to be held back: the totals follow at once. */
enum { LARGE = VG_LIVE_INDEX_PENDING_BYTES };

static void refused_free_puts_back(void **state)
{
    (void)state;
    put(0x1000, LARGE, 2);
    struct vg_pending_free taken;
    for (int i = 0; i < 1000; i++) {
        assert_true(vg_live_index_begin_free(&track, 0x1000, &taken));
        vg_live_index_abort_free(&track, &taken);
    }
    assert_int_equal(live_bytes(2), LARGE);
    assert_int_equal(peak_bytes(2), LARGE);
    assert_int_equal(look().count, 1);
    assert_int_equal(look().last.bytes, LARGE);
    assert_true(take_and_forget(0x1000));
    assert_int_equal(live_bytes(2), 0);
}

static void peak_is_the_highest_total(void **state)
{
    (void)state;
    put(0x1000, 2 * LARGE, 0);
    put(0x2000, 4 * LARGE, 0);
    assert_true(take_and_forget(0x2000));
    put(0x3000, LARGE, 0);
    assert_int_equal(recorder.header->devices[0].live_bytes, 3 * LARGE);
    assert_int_equal(peak_bytes(0), 6 * LARGE);
    const uint64_t when = recorder.header->devices[0].peak_realtime_ns;
    assert_true(when >= recorder.header->start_realtime_ns - 1000000000);
    put(0x4000, 20 * LARGE, 1); /* another device's business */
    assert_int_equal(peak_bytes(0), 6 * LARGE);
    assert_int_equal(peak_bytes(1), 20 * LARGE);
}

static void stale_record_is_replaced(void **state)
{
    (void)state;
    put(0x1000, 100, 0);
    put(0x1000, 300, 1);
    assert_int_equal(live_bytes(0), 0);
    assert_int_equal(live_bytes(1), 300);
    assert_int_equal(look().count, 1);
    assert_int_equal(look().last.bytes, 300);
    uint64_t puts, takes;
    vg_live_index_counts(&track, &puts, &takes);
    assert_int_equal(puts - takes, 1);
    assert_true(take_and_forget(0x1000));
    assert_false(take_and_forget(0x1000));
}

/* Between the driver's free and vg_live_index_commit_free another thread may be given the address.
 */
static void address_reused_before_forget(void **state)
{
    (void)state;
    struct vg_pending_free old;
    put(0x1000, 100, 0);
    assert_true(vg_live_index_begin_free(&track, 0x1000, &old));
    put(0x1000, 300, 0);
    vg_live_index_commit_free(&track, &old);
    assert_int_equal(live_bytes(0), 300);
    assert_int_equal(look().count, 1);
    struct vg_pending_free taken;
    assert_true(vg_live_index_begin_free(&track, 0x1000, &taken));
    assert_int_equal(taken.bytes, 300);
    vg_live_index_commit_free(&track, &taken);
    assert_int_equal(look().count, 0);
}

/* Until the driver answers, a record stays as it was, whoever allocates meanwhile; also where
 * several wait in one shard and are answered in another order. */
static void records_stay_until_the_driver_answers(void **state)
{
    (void)state;
    enum { COUNT = 256 };
    static struct vg_pending_free taken[COUNT];
    for (uint64_t i = 1; i <= COUNT; i++)
        put(i << 12, 100 + i, 0);
    for (uint64_t i = 1; i <= COUNT; i++)
        assert_true(vg_live_index_begin_free(&track, i << 12, &taken[i - 1]));
    assert_int_equal(look().count, COUNT);
    assert_int_equal(look().captures, 7 * look().bytes);
    uint64_t live = 0;
    for (uint64_t i = 1; i <= COUNT; i++) {
        assert_int_equal(put(i << 30, i, 0), 0);
        live += i;
    }
    assert_int_equal(look().count, 2 * COUNT);
    for (uint64_t i = 1; i <= COUNT; i++)
        if (i % 3 == 0) {
            vg_live_index_abort_free(&track, &taken[i - 1]);
            live += 100 + i;
        } else {
            vg_live_index_commit_free(&track, &taken[i - 1]);
        }
    assert_int_equal(live_bytes(0), live);
    assert_int_equal(look().bytes, live);
    assert_int_equal(look().captures, 7 * live);
    assert_int_equal(look().count, COUNT + COUNT / 3);
    for (uint64_t i = 1; i <= COUNT; i++) {
        assert_int_equal(take_and_forget(i << 12), i % 3 == 0);
        assert_true(take_and_forget(i << 30));
    }
    assert_int_equal(look().count, 0);
    assert_int_equal(live_bytes(0), 0);
}

/* A slot whose free is not answered is no reason to take new ones while others are unused. */
static void slots_behind_one_being_freed_are_used(void **state)
{
    (void)state;
    struct vg_pending_free waiting, taken;
    for (uint64_t i = 1; i <= 4096; i++)
        put(i << 12, 1, 0);
    for (uint64_t i = 1; i <= 4096; i++)
        take_and_forget(i << 12);
    const uint64_t slots = recorder.header->live_slots;
    for (uint64_t i = 1; i <= 4096; i++) {
        put(i << 12, 1, 0);
        assert_true(vg_live_index_begin_free(&track, i << 12, &waiting));
        put(i << 12, 2, 0); /* the same address is in the same shard */
        assert_true(vg_live_index_begin_free(&track, i << 12, &taken));
        assert_int_equal(taken.bytes, 2);
        vg_live_index_commit_free(&track, &waiting);
        vg_live_index_commit_free(&track, &taken);
    }
    assert_int_equal(recorder.header->live_slots, slots);
}

/* Of a GPU's or a pool's own, say: threads that work there do not meet elsewhere. */
static void a_region_is_in_few_shards(void **state)
{
    (void)state;
    uint64_t regions_of[VG_LIVE_INDEX_SHARDS] = { 0 };
    for (uint64_t region = 1; region <= 4096; region++) {
        uint64_t seen = 0;
        for (uint64_t i = 0; i < 64; i++) {
            const uint64_t address = region << 30 | i * 2097152;
            seen |= UINT64_C(1) << vg_shard_of(address, vg_hash_u64(address));
        }
        assert_in_range(__builtin_popcountll(seen), 2, 4);
        for (unsigned shard = 0; shard < VG_LIVE_INDEX_SHARDS; shard++)
            regions_of[shard] += seen >> shard & 1;
    }
    for (unsigned shard = 0; shard < VG_LIVE_INDEX_SHARDS; shard++)
        assert_in_range(regions_of[shard], 4096 / 16, 4096 / 4);
}

static void small_ones_are_told_in_sums(void **state)
{
    (void)state;
    uint64_t exact = 0, highest = 0;
    uint32_t seed = 3;
    for (uint64_t i = 1; i <= 20000; i++) {
        const uint64_t bytes = 1 + i % 5000;
        assert_int_equal(put(i * 512, bytes, 5), 0);
        exact += bytes;
        const uint64_t victim = 1 + next_random(&seed) % i;
        struct vg_pending_free taken;
        if (i % 3 && vg_live_index_begin_free(&track, victim * 512, &taken)) {
            exact -= taken.bytes;
            vg_live_index_commit_free(&track, &taken);
        }
        highest = exact > highest ? exact : highest;
        assert_true(near_enough(recorder.header->devices[5].live_bytes, exact));
        assert_int_equal(live_bytes(5), exact);
    }
    assert_true(near_enough(peak_bytes(5), highest));
    for (uint64_t i = 1; i <= 20000; i++)
        take_and_forget(i * 512);
    assert_int_equal(live_bytes(5), 0);
    assert_true(near_enough(recorder.header->devices[5].live_bytes, 0));
}

static void a_context_ends_with_all_in_it(void **state)
{
    (void)state;
    uint64_t stay_bytes = 0;
    for (uint64_t i = 1; i <= 10000; i++) { /* even sizes are of context 0xc0 */
        assert_int_equal(put(i * 512, i, 0), 0);
        stay_bytes += i % 2 ? i : 0;
    }
    vg_live_index_drop_context(&track, 0);
    vg_live_index_drop_context(&track, 0xc1);
    assert_int_equal(look().count, 10000);
    vg_live_index_drop_context(&track, 0xc0);
    assert_int_equal(look().count, 5000);
    assert_int_equal(look().bytes, stay_bytes);
    assert_int_equal(live_bytes(0), stay_bytes);
    assert_false(take_and_forget(512 * 2));
    assert_true(take_and_forget(512 * 3));
}

/* For who keeps an account of what is in the index. */
static void bytes_that_end_unseen_are_told(void **state)
{
    (void)state;
    assert_int_equal(put(512, 100, 3), 0);
    assert_true(take_and_forget(512));
    assert_int_equal(vg_live_index_take_dropped(&track, 3), 0); /* seen */
    assert_int_equal(put(1024, 100, 3), 0);
    assert_int_equal(put(1024, 30, 5), 0); /* given out again */
    assert_int_equal(vg_live_index_take_dropped(&track, 5), 0);
    assert_int_equal(vg_live_index_take_dropped(&track, 3), 100);
    assert_int_equal(vg_live_index_take_dropped(&track, 3), 0);
    vg_live_index_drop_context(&track, 0xc0); /* all of even sizes */
    assert_int_equal(vg_live_index_take_dropped(&track, 5), 30);
}

static void slots_are_used_again(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 100000; i++) {
        assert_int_equal(put(i << 9, i, 0), 0);
        assert_true(take_and_forget(i << 9));
    }
    assert_true(recorder.header->live_slots <= 64 * VG_LIVE_INDEX_SHARDS);
    assert_int_equal(live_bytes(0), 0);
}

/* Against the simplest thing that could work: an array. */
static void same_as_a_plain_array(void **state)
{
    (void)state;
    enum { ADDRESSES = 4096, STEPS = 200000 };
    static uint64_t model[ADDRESSES];
    uint64_t total = 0, peak = 0, count = 0;
    uint32_t seed = 7;
    for (int step = 0; step < STEPS; step++) {
        const uint32_t i = next_random(&seed) % ADDRESSES;
        const uint64_t address = 0x7f0000000000 + (uint64_t)i * 512;
        struct vg_pending_free taken;
        if (next_random(&seed) % 2) {
            const uint64_t bytes = LARGE + next_random(&seed);
            assert_int_equal(put(address, bytes, 0), 0);
            total += bytes - model[i];
            count += model[i] == 0;
            model[i] = bytes;
        } else if (vg_live_index_begin_free(&track, address, &taken)) {
            assert_int_equal(taken.bytes, model[i]);
            if (next_random(&seed) % 4 == 0) {
                vg_live_index_abort_free(&track, &taken);
                continue;
            }
            vg_live_index_commit_free(&track, &taken);
            total -= model[i];
            count--;
            model[i] = 0;
        } else {
            assert_int_equal(model[i], 0);
        }
        peak = total > peak ? total : peak;
        assert_int_equal(recorder.header->devices[0].live_bytes, total);
    }
    const struct seen seen = look();
    assert_int_equal(seen.count, count);
    assert_int_equal(seen.bytes, total);
    assert_int_equal(peak_bytes(0), peak);
}

static void file_holds_the_live_ones(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 30000; i++)
        assert_int_equal(put(i * 256, i, 0), 0);
    for (uint64_t i = 1; i <= 30000; i += 3)
        assert_true(take_and_forget(i * 256));
    struct record record;
    uint64_t bytes;
    assert_true(read_record(recorder.path, &record));
    assert_int_equal(count_live(&record, &bytes), 20000);
    assert_int_equal(bytes, live_bytes(0));
    assert_true(near_enough(record.header->devices[0].live_bytes, bytes));
    free_record(&record);
}

static void more_than_there_is_room_for(void **state)
{
    (void)state;
    enum { ROOM = 1024, ASKED = 5000 };
    assert_int_equal(open_tables(ROOM * sizeof(struct vg_live_slot)), 0);
    uint64_t kept = 0, kept_bytes = 0, lost_bytes = 0;
    for (uint64_t i = 1; i <= ASKED; i++) {
        const int error = put(i * 512, i, 0);
        assert_true(error == 0 || error == -ENOMEM);
        kept += error == 0;
        kept_bytes += error == 0 ? i : 0;
        lost_bytes += error == 0 ? 0 : i;
    }
    assert_in_range(kept, ROOM / 2, ROOM); /* the index has its own, coarser steps */
    assert_int_equal(track.lost_count, ASKED - kept);
    assert_int_equal(track.lost_bytes, lost_bytes);
    assert_int_equal(live_bytes(0), kept_bytes);
    assert_int_equal(look().count, kept);
    uint64_t freed = 0;
    for (uint64_t i = 1; i <= ASKED; i++)
        freed += take_and_forget(i * 512);
    assert_int_equal(freed, kept);
    assert_int_equal(live_bytes(0), 0);
    assert_int_equal(put(512, 77, 0), 0); /* there is room again */
    assert_int_equal(look().bytes, 77);
}

/* A slot that is given out again says nothing of who had it before. */
static void a_slot_forgets_where_its_memory_was_mapped(void **state)
{
    (void)state;
    assert_int_equal(put(0x1000, 64, 0), 0);
    vg_live_index_note_mapped(&track, 0x1000, 0x7f0000000000);
    assert_int_equal(look().last.mapped_address, 0x7f0000000000);
    assert_true(take_and_forget(0x1000));
    assert_int_equal(put(0x1000, 64, 0), 0);
    assert_int_equal(look().count, 1);
    assert_int_equal(look().last.mapped_address, 0);
}

static void a_free_that_was_refused_is_not_counted(void **state)
{
    (void)state;
    uint64_t puts, takes;
    struct vg_pending_free taken;
    assert_int_equal(put(0x1000, 64, 0), 0);
    assert_int_equal(put(0x2000, 64, 0), 0);
    assert_true(vg_live_index_begin_free(&track, 0x1000, &taken));
    vg_live_index_abort_free(&track, &taken);
    assert_true(take_and_forget(0x2000));
    vg_live_index_counts(&track, &puts, &takes);
    assert_int_equal(puts, 2);
    assert_int_equal(takes, 1);
}

static void what_no_gpu_has_is_lost(void **state)
{
    (void)state;
    assert_int_equal(put(0x1000, (UINT64_C(1) << 48) - 1, 0), 0);
    assert_int_equal(put(0x2000, UINT64_C(1) << 48, 0), -ENOMEM);
    assert_int_equal(track.lost_count, 1);
    assert_int_equal(look().count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRACK_TEST(put_is_seen_with_all_it_said),
        TRACK_TEST(take_then_forget_ends_it),
        TRACK_TEST(unknown_address_is_not_taken),
        TRACK_TEST(refused_free_puts_back),
        TRACK_TEST(peak_is_the_highest_total),
        TRACK_TEST(stale_record_is_replaced),
        TRACK_TEST(address_reused_before_forget),
        TRACK_TEST(small_ones_are_told_in_sums),
        TRACK_TEST(a_context_ends_with_all_in_it),
        TRACK_TEST(slots_are_used_again),
        TRACK_TEST(bytes_that_end_unseen_are_told),
        TRACK_TEST(same_as_a_plain_array),
        TRACK_TEST(file_holds_the_live_ones),
        TRACK_TEST(more_than_there_is_room_for),
        TRACK_TEST(records_stay_until_the_driver_answers),
        TRACK_TEST(slots_behind_one_being_freed_are_used),
        TRACK_TEST(a_region_is_in_few_shards),
        cmocka_unit_test_setup_teardown(a_slot_forgets_where_its_memory_was_mapped, setup,
                                        remove_scratch),
        cmocka_unit_test_setup_teardown(a_free_that_was_refused_is_not_counted, setup,
                                        remove_scratch),
        cmocka_unit_test_setup_teardown(what_no_gpu_has_is_lost, setup, remove_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

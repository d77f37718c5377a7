/* analyze/torch_memory.h, against a map of single bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/torch_memory.h"

enum { SPACE = 4000, MOST = 200, ROUNDS = 3000, ASKED = 9 };

static struct vg_torch_segment segments[MOST];
static struct vg_torch_block blocks[MOST];
static size_t segment_count, block_count;
static int segment_of[SPACE + 1], block_of[SPACE]; /* 1 + index; 0 none */

static void add_segment(uint64_t address, uint64_t bytes, bool is_piece, bool is_judged)
{
    segments[segment_count++] = (struct vg_torch_segment){ address, bytes, is_piece, is_judged };
    for (uint64_t i = address; i < address + bytes; i++)
        segment_of[i] = (int)segment_count;
}

static void add_block(uint64_t address, uint64_t bytes)
{
    blocks[block_count++] = (struct vg_torch_block){ address, bytes };
    for (uint64_t i = address; i < address + bytes; i++)
        block_of[i] = (int)block_count;
}

static int start(void **state)
{
    (void)state;
    segment_count = block_count = 0;
    memset(segment_of, 0, sizeof segment_of);
    memset(block_of, 0, sizeof block_of);
    return 0;
}

static void shuffle(void)
{
    for (size_t i = 1; i < segment_count; i++) {
        const size_t j = (size_t)rand() % (i + 1);
        const struct vg_torch_segment other = segments[i];
        segments[i] = segments[j];
        segments[j] = other;
    }
    for (size_t i = 1; i < block_count; i++) {
        const size_t j = (size_t)rand() % (i + 1);
        const struct vg_torch_block other = blocks[i];
        blocks[i] = blocks[j];
        blocks[j] = other;
    }
}

/* Segments of the driver, some of them neighbours, with blocks at random places. */
static void make_up(void)
{
    uint64_t at = (uint64_t)(rand() % 20);
    while (segment_count < MOST / 4) {
        const uint64_t bytes = 1 + (uint64_t)(rand() % 60);
        if (at + bytes > SPACE)
            break;
        add_segment(at, bytes, false, rand() % 3 > 0);
        uint64_t inside = at + (uint64_t)(rand() % 3) * bytes / 2;
        while (block_count < MOST - 1 && inside < at + bytes) {
            const uint64_t most = at + bytes - inside;
            const uint64_t size = 1 + (uint64_t)rand() % most;
            add_block(inside, size);
            inside += size + (uint64_t)(rand() % 30);
        }
        at += bytes + (uint64_t)(rand() % 2 ? 0 : rand() % 40);
    }
}

/* Byte by byte, each segment on its own. */
static struct vg_torch_memory count_bytes(void)
{
    struct vg_torch_memory sum = { 0 };
    for (size_t s = 0; s < segment_count; s++) {
        uint64_t used = 0, run = 0, holes = 0, hole_bytes = 0, largest = 0, fit = 0, fit_bytes = 0;
        const uint64_t from = segments[s].address, end = from + segments[s].bytes;
        for (uint64_t i = from; i <= end; i++) {
            if (i < end && !block_of[i]) {
                run++;
                continue;
            }
            used += i < end;
            holes += run > 0;
            hole_bytes += run;
            largest = run > largest ? run : largest;
            fit += run >= ASKED;
            fit_bytes += run >= ASKED ? run : 0;
            run = 0;
        }
        if (used == 0 && !segments[s].is_judged)
            continue;
        sum.reserved_bytes += end - from;
        sum.allocated_bytes += used;
        sum.empty_count += used == 0;
        sum.empty_bytes += used == 0 ? end - from : 0;
        if (used == 0)
            continue;
        sum.hole_count += holes;
        sum.hole_bytes += hole_bytes;
        sum.fitting_count += fit;
        sum.fitting_bytes += fit_bytes;
        sum.largest_hole_bytes =
            largest > sum.largest_hole_bytes ? largest : sum.largest_hole_bytes;
    }
    sum.block_count = block_count;
    sum.unused_bytes = sum.reserved_bytes - sum.allocated_bytes;
    return sum;
}

static void segments_of_any_kind(void **state)
{
    uint64_t holes = 0, empty = 0;
    srand(5);
    for (int round = 0; round < ROUNDS; round++) {
        struct vg_torch_memory found;
        start(state);
        make_up();
        shuffle();
        const struct vg_torch_memory counted = count_bytes();
        vg_torch_memory_measure(segments, segment_count, blocks, block_count, ASKED, &found);
        assert_memory_equal(&found, &counted, sizeof found);
        holes += found.hole_count;
        empty += found.empty_count;
    }
    assert_true(holes > ROUNDS && empty > ROUNDS);
}

static void pieces_of_an_expandable_segment_are_one(void **state)
{
    (void)state;
    struct vg_torch_memory found;
    for (uint64_t i = 0; i < 5; i++)
        add_segment(100 + i * 20, 20, true, i == 3);
    add_segment(300, 20, true, true); /* apart, and empty */
    add_block(100, 5);
    add_block(115, 10); /* across a border */
    add_block(190, 4);
    vg_torch_memory_measure(segments, segment_count, blocks, block_count, 50, &found);
    assert_int_equal(found.reserved_bytes, 120);
    assert_int_equal(found.allocated_bytes, 19);
    assert_int_equal(found.unused_bytes, 101);
    assert_int_equal(found.hole_count, 3); /* 105-115, 125-190, 194-200 */
    assert_int_equal(found.largest_hole_bytes, 65);
    assert_int_equal(found.fitting_count, 1);
    assert_int_equal(found.empty_count, 2 + 1); /* 140-160, 160-180, and the one apart */
    assert_int_equal(found.empty_bytes, 60);
}

static void blocks_in_no_segment_are_told_apart(void **state)
{
    (void)state;
    struct vg_torch_memory found;
    add_segment(100, 20, false, true);
    add_block(50, 7);
    add_block(110, 10);
    add_block(130, 9);
    vg_torch_memory_measure(segments, segment_count, blocks, block_count, 1, &found);
    assert_int_equal(found.stray_count, 2);
    assert_int_equal(found.stray_bytes, 16);
    assert_int_equal(found.allocated_bytes, 26);
    assert_int_equal(found.unused_bytes, 10);
}

static void nothing_at_all(void **state)
{
    (void)state;
    struct vg_torch_memory found = { .unused_bytes = 7 };
    const struct vg_torch_memory none = { 0 };
    vg_torch_memory_measure(NULL, 0, NULL, 0, 1, &found);
    assert_memory_equal(&found, &none, sizeof found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(segments_of_any_kind, start),
        cmocka_unit_test_setup(pieces_of_an_expandable_segment_are_one, start),
        cmocka_unit_test_setup(blocks_in_no_segment_are_told_apart, start),
        cmocka_unit_test_setup(nothing_at_all, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

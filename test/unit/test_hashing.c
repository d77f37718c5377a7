/* Hashes, and the shards that they choose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hashing.h"
#include "base/shard.h"

/* FNV-1a as its authors wrote it: a byte at a time. */
static uint32_t fnv1a(const unsigned char *bytes, size_t length)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

static void checksums_are_fnv1a(void **state)
{
    (void)state;
    unsigned char bytes[64];
    uint32_t seed = 5;
    assert_int_equal(vg_hash_fnv1a("", 0), 2166136261u);
    assert_int_equal(vg_hash_fnv1a("a", 1), 0xe40c292cu);
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[i] = seed >> 30 ? 0 : (unsigned char)(seed >> 8); /* most are zero */
        }
        const size_t length = (seed >> 8) % (sizeof bytes + 1);
        assert_int_equal(vg_hash_fnv1a(bytes, length), fnv1a(bytes, length));
    }
}

/* What lies behind the end has no say, zero or not. */
static void checksums_end_at_the_end(void **state)
{
    (void)state;
    unsigned char bytes[16] = { 1 };
    const uint32_t hash = vg_hash_fnv1a(bytes, 5);
    for (int i = 5; i < 16; i++)
        bytes[i] = 0xff;
    assert_int_equal(vg_hash_fnv1a(bytes, 5), hash);
}

static void stacks_of_other_lengths_differ(void **state)
{
    (void)state;
    const uint64_t zeros[8] = { 0 }, ab[] = { 1, 2 }, ba[] = { 2, 1 };
    for (size_t i = 0; i < 8; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(vg_hash_words(zeros, i), vg_hash_words(zeros, k));
    assert_int_not_equal(vg_hash_words(ab, 2), vg_hash_words(ba, 2));
}

/* Which shards the numbers from `start` on, `step` apart, come into: one bit each. */
static uint32_t shards_of(uint64_t start, uint64_t step, int count)
{
    uint32_t used = 0;
    for (int i = 0; i < count; i++) {
        const uint64_t number = start + (uint64_t)i * step;
        const unsigned shard = vg_shard_of(number, vg_hash_u64(number));
        assert_in_range(shard, 0, VG_SHARDS - 1);
        used |= 1u << shard;
    }
    return used;
}

static void a_region_has_four_shards(void **state)
{
    (void)state;
    for (uint64_t region = 0; region < 64; region++) {
        const uint32_t used = shards_of(region << 30, 2 << 20, 512); /* pages of 2 MiB */
        assert_int_equal(__builtin_popcount(used), VG_SHARDS_OF_REGION);
    }
}

static void regions_are_spread(void **state)
{
    (void)state;
    const uint64_t gib = UINT64_C(1) << 30;
    assert_int_equal(shards_of(UINT64_C(0x7f0000000000), gib / 64, 4096), UINT32_MAX);
    /* Two of them that lie side by side share none. */
    for (uint64_t region = 0; region < 64; region++)
        assert_int_equal(
            shards_of(region * gib, 2 << 20, 512) & shards_of((region + 1) * gib, 2 << 20, 512), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_are_fnv1a),
        cmocka_unit_test(checksums_end_at_the_end),
        cmocka_unit_test(stacks_of_other_lengths_differ),
        cmocka_unit_test(a_region_has_four_shards),
        cmocka_unit_test(regions_are_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

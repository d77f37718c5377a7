/* Where tables that many threads use are split. */
#ifndef VRAMGUARD_BASE_SHARD_H
#define VRAMGUARD_BASE_SHARD_H

#include <stdint.h>

enum { VG_SHARDS = 32, VG_SHARDS_OF_REGION = 4 };

/* In which of VG_SHARDS a table keeps `number`, an address or a handle, whose hash (vg_hash_u64) is
 * `hash`. Those of one GiB are in VG_SHARDS_OF_REGION of them: threads that work on GPUs or in
 * pools of their own get numbers far apart, and seldom touch a cache line that another writes. Only
 * the hash's uppermost bits take part; a table may use the lower half. */
static inline unsigned vg_shard_of(uint64_t number, uint64_t hash)
{
    const uint64_t region = (number >> 30) * UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned)(region >> 61) * VG_SHARDS_OF_REGION + (unsigned)(hash >> 62);
}

_Static_assert(VG_SHARDS == 8 * VG_SHARDS_OF_REGION, "three bits tell the region's, two the rest");

#endif

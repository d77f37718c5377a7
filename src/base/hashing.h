/* The few hash functions of the project, and uthash set up for the preload library. */
#ifndef VRAMGUARD_BASE_HASHING_H
#define VRAMGUARD_BASE_HASHING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Mixes all bits of `x` into all bits of the result (a bijection; the finaliser of splitmix64). */
static inline uint64_t vg_hash_u64(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    return x;
}

/* Hash of `count` words, for stacks: one multiplication a word. */
static inline uint64_t vg_hash_words(const uint64_t *words, size_t count)
{
    uint64_t hash = count;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ (hash >> 29);
    return vg_hash_u64(hash);
}

/* FNV-1a (32 bits): checksums of journal records. Most of the largest, a failure's, is zero: eight
 * such bytes are eight multiplications in one. */
static inline uint32_t vg_hash_fnv1a(const void *bytes, size_t length)
{
    const uint32_t prime = 16777619u;
    const uint32_t prime_2 = prime * prime, prime_4 = prime_2 * prime_2;
    const unsigned char *p = bytes;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length;) {
        uint64_t word = 1;
        if (length - i >= sizeof word)
            memcpy(&word, p + i, sizeof word);
        if (word == 0) {
            hash *= prime_4 * prime_4;
            i += sizeof word;
        } else {
            hash = (hash ^ p[i++]) * prime;
        }
    }
    return hash;
}

/* uthash without malloc and without exit(): a file that includes this defines, before it,
 * VG_HASH_ARENA, an expression for the struct vg_arena its tables live in. All keys are uint64_t.
 * When memory runs out HASH_ADD leaves the element's hh.tbl NULL and the table unchanged. */
#ifdef VG_HASH_ARENA
#define uthash_malloc(size)     vg_arena_alloc(VG_HASH_ARENA, size)
#define uthash_free(ptr, size)  vg_arena_free(VG_HASH_ARENA, ptr, size)
#define HASH_NONFATAL_OOM       1
#define HASH_KEYCMP(a, b, n)    (*(const uint64_t *)(a) != *(const uint64_t *)(b))
#define HASH_FUNCTION(k, n, hv) ((hv) = (unsigned)vg_hash_u64(*(const uint64_t *)(k)))
#include "base/arena.h"
#include <uthash.h>
#endif

#endif

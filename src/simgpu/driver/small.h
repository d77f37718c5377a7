/* Small allocations: requests below 1 MiB, carved out of 2 MiB blocks in units of 512 bytes. Each
 * operation takes constant time however many allocations live, and makes no system call except when
 * a block is taken or given back.
 *
 * All functions: called with sim_lock held. */
#ifndef SIMGPU_SMALL_H
#define SIMGPU_SMALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMALL_LIMIT_BYTES (1ull << 20)
#define UNIT_BYTES        512

struct small_heap; /* the blocks of one context */

struct small_allocation {
    uint64_t base;
    uint64_t bytes; /* as requested */
    uint64_t serial;
    bool sync_memops; /* CU_POINTER_ATTRIBUTE_SYNC_MEMOPS was set */
    struct small_heap *heap;
};

/* A heap whose blocks are charged to `device`; `owner` is the caller's. NULL: no host memory. */
struct small_heap *small_heap_create(int device, void *owner);
void *small_heap_owner(const struct small_heap *heap);

/* Gives every block back and ends the heap. */
void small_heap_destroy(struct small_heap *heap);

/* Allocates 1 to SMALL_LIMIT_BYTES - 1 bytes. `serial` is kept with the allocation. Returns 0 and
 * the address, or -ENOMEM. */
int small_take(struct small_heap *heap, uint64_t bytes, uint64_t serial, uint64_t *address);

/* Frees the allocation that begins at `address`. Returns 0, or -ENOENT if none does. */
int small_give(uint64_t address);

/* Finds the allocation that contains `address`. */
bool small_find(uint64_t address, struct small_allocation *found);

/* Sets the mark of the allocation that contains `address`, which exists. */
void small_set_sync_memops(uint64_t address, bool set);

#endif

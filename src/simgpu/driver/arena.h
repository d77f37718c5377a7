/* Addresses for device memory: one large reservation of address space per process, handed out in
 * 2 MiB blocks. Address space is not memory: pages appear when they are touched and go when a run
 * of blocks is given back, so the reservation can exceed the host's RAM many times over, and
 * fragmentation of addresses is no reason to fail, as on the real device.
 *
 * All functions: called with sim_lock held. */
#ifndef SIMGPU_ARENA_H
#define SIMGPU_ARENA_H

#include <stddef.h>
#include <stdint.h>

/* Returns the address of `bytes` (a multiple of BLOCK_BYTES) of zeroed memory, or 0. */
uint64_t arena_take(uint64_t bytes);

/* The same below 4 GiB, for the functions of before CUDA 3.2. */
uint64_t arena_take_low(uint64_t bytes);

/* Ends the use of what arena_take or arena_take_low returned; its pages are returned. */
void arena_give(uint64_t base, uint64_t bytes);

/* The pointer kept for the block that contains `address` (arena_take memory only; NULL elsewhere),
 * and its change. */
void *arena_block_tag(uint64_t address);
void arena_set_block_tag(uint64_t address, void *tag);

#endif

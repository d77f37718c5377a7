#include "object.h"

#include <stdlib.h>

/* A handle is generation << 32 | (slot + 1) << 4: never 0, 1 or 2, which are special streams. */
#define GENERATION_SHIFT 32
#define GENERATION_MASK  0x7fffu
#define SLOT_SHIFT       4
#define MAX_SLOTS        (1u << 27)
#define NO_SLOT          UINT32_MAX

struct slot {
    void *object;
    struct context *context;
    uint32_t next_free;
    uint16_t generation;
    uint8_t kind;
};

static struct slot *slots;
static uint32_t slot_count, slot_room;
static uint32_t first_free = NO_SLOT;

static uint32_t new_slot(void)
{
    if (first_free != NO_SLOT) {
        uint32_t slot = first_free;
        first_free = slots[slot].next_free;
        return slot;
    }
    if (slot_count == slot_room) {
        uint32_t room = slot_room * 2 + 64;
        struct slot *grown = room <= MAX_SLOTS ? realloc(slots, room * sizeof(*slots)) : NULL;
        if (grown == NULL)
            return NO_SLOT;
        slots = grown;
        slot_room = room;
    }
    slots[slot_count] = (struct slot){ .generation = 1 };
    return slot_count++;
}

uint64_t object_add(enum object_kind kind, void *object, struct context *context)
{
    uint32_t slot = new_slot();
    if (slot == NO_SLOT)
        return 0;
    slots[slot].object = object;
    slots[slot].context = context;
    slots[slot].kind = (uint8_t)kind;
    return (uint64_t)slots[slot].generation << GENERATION_SHIFT | ((uint64_t)slot + 1)
                                                                      << SLOT_SHIFT;
}

static struct slot *find_slot(uint64_t handle)
{
    uint64_t slot = ((handle & UINT32_MAX) >> SLOT_SHIFT) - 1;
    if (slot >= slot_count || (handle & ((1u << SLOT_SHIFT) - 1)) != 0 ||
        handle >> GENERATION_SHIFT != slots[slot].generation)
        return NULL;
    return &slots[slot];
}

void *object_get(enum object_kind kind, uint64_t handle)
{
    struct slot *slot = find_slot(handle);
    return slot != NULL && slot->kind == kind ? slot->object : NULL;
}

void object_remove(uint64_t handle)
{
    struct slot *slot = find_slot(handle);
    if (slot == NULL || slot->kind == OBJECT_NONE)
        return;
    slot->kind = OBJECT_NONE;
    slot->object = NULL;
    slot->context = NULL;
    slot->generation = (uint16_t)(slot->generation % GENERATION_MASK + 1);
    slot->next_free = first_free;
    first_free = (uint32_t)(slot - slots);
}

void object_sweep(struct context *context, void (*end)(enum object_kind kind, void *object))
{
    for (uint32_t i = slot_count; i-- > 0;)
        if (slots[i].kind != OBJECT_NONE && slots[i].context == context)
            end((enum object_kind)slots[i].kind, slots[i].object);
}

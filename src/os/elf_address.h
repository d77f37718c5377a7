/* Which function an address is in, by the symbols that loaded objects export: what dladdr tells,
 * for many addresses at once.
 *
 * dladdr walks through all symbols of an object for each address, 1 ms in the libraries of PyTorch,
 * and does so under the lock that dlopen holds while constructors run. Here one walk through an
 * object serves all addresses in it, under the short lock of dl_iterate_phdr. */
#ifndef VRAMGUARD_OS_ELF_ADDRESS_H
#define VRAMGUARD_OS_ELF_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

#include "os/elf_symbol.h"

struct vg_elf_address {
    uintptr_t address;
    uint32_t number; /* the caller's */
    /* Filled in: */
    const char *symbol; /* whose range the address is in, NULL when none is exported */
    uintptr_t start;    /* of that symbol, relative to the object's bias */
};

/* Called for each address that lies in an object. It runs under the loader's lock, so it must not
 * call the loader; the object, its strings and `item->symbol` are valid until it returns. */
typedef void vg_elf_found(const struct vg_elf_object *object, const struct vg_elf_address *item,
                          void *argument);

/* Looks up `count` addresses, and calls `found` for those in an object of the caller's link
 * namespace. `items` are sorted by address here. Where symbols overlap, the one that starts last
 * counts, as in dladdr (glibc, elf/dl-addr.c). No malloc. */
void vg_elf_find_addresses(struct vg_elf_address *items, size_t count, vg_elf_found *found,
                           void *argument);

/* Names `count` (> 0) sorted addresses by the symbols of one object. Pure. */
void vg_elf_name_addresses(const struct vg_elf_object *object, struct vg_elf_address *items,
                           size_t count);

#endif

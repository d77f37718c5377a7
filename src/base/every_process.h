/* What runs in each process that has this library, most of which never use a GPU.
 *
 * There a page that is touched for the first time costs more than what is done in it: 2 to 5 us
 * each, of some 70 that a start takes longer. So such functions lie beside the constructors, and
 * their variables beside what the dynamic linker has written to already. */
#ifndef VRAMGUARD_BASE_EVERY_PROCESS_H
#define VRAMGUARD_BASE_EVERY_PROCESS_H

#define VG_EVERY_PROCESS      __attribute__((section(".text.startup")))
#define VG_EVERY_PROCESS_DATA __attribute__((section(".data.startup")))

#endif

/* Function names as people write them. Pure, no malloc, no C++ library. */
#ifndef VRAMGUARD_UNWIND_SYMBOL_NAME_H
#define VRAMGUARD_UNWIND_SYMBOL_NAME_H

#include <stddef.h>

/* Writes the readable form of the symbol `name` to `out` (`cap` >= 1 bytes, cut to fit):
 * - a mangled C++ name (Itanium C++ ABI, section 5.1) as its qualified name, without parameters
 *   and template arguments: "_ZN2at6native10empty_cudaEv" is "at::native::empty_cuda"; as far as it
 *   can be read, and unchanged when it cannot be read at all;
 * - a readable C++ name longer than 40 characters without parameters and template arguments;
 * - every other name as it is, but for a version ("memcpy@@GLIBC_2.14") and what GCC appends to
 *   changed copies ("load.constprop.0"). */
void vg_symbol_name(char *out, size_t cap, const char *name);

#endif

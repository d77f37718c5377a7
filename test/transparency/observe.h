/* What a program can see of itself and of CUDA, printed in words that do not depend on addresses,
 * so that the output of a bare and of a guarded run can be compared line by line. */
#ifndef TRANSPARENCY_OBSERVE_H
#define TRANSPARENCY_OBSERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where `address` lies: "NULL", "library.so.1:symbol", "library.so.1:symbol+12" or "nowhere". The
 * text is valid until the thread's next call but three. */
const char *place_of(const void *address);

/* A function found by dlsym or cuGetProcAddress, as one that can be called. */
#define AS_FUNCTION(pointer, type) ((type)(uintptr_t)(pointer))

/* Prints "`what`: ", the place of `found`, and whether dlerror has a text (and which). Clears
 * dlerror. */
void print_lookup(const char *what, const void *found);

/* A number for each distinct value, in the order of first appearance: 1, 2, ...; 0 for 0. */
unsigned id_of(uint64_t value);

/* Starts numbering anew. */
void forget_ids(void);

/* Does `value` look like an address: is something mapped there? */
bool is_mapped(uint64_t value);

/* Prints the `bytes` at `memory` word by word: poison as ".", addresses as "@" (which one
 * depends on what else is mapped), other large values, which are handles, as "#id", small ones in
 * hexadecimal. */
void print_words(const void *memory, size_t bytes);

/* Fills with what print_words takes for untouched memory. */
void poison(void *memory, size_t bytes);

/* Ends the program with a message; for what the test itself needs. */
_Noreturn void give_up(const char *what);

#endif

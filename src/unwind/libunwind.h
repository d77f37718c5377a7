/* The unwinder of libunwind, opened at run time and kept from touching the program.
 *
 * Code without unwind tables (numba, Julia, a JVM, LuaJIT) makes libunwind guess where the caller's
 * frame is and first try whether that memory can be read: by a write of one byte into a pipe that
 * it opened when it was first used. A program that closes all descriptors and opens its own gets
 * that byte into its files, or hangs in its own pipe. So these calls of libunwind go to functions
 * of ours: no pipe is made, and memory is tried by a system call that reads it and does nothing
 * else. */
#ifndef VRAMGUARD_UNWIND_LIBUNWIND_H
#define VRAMGUARD_UNWIND_LIBUNWIND_H

/* As glibc's backtrace(): stores at most `cap` program counters and returns their number. */
typedef int (*vg_backtrace_function)(void **out, int cap);

/* Opens libunwind.so.8 privately (RTLD_LOCAL) and returns its unw_backtrace; NULL with the reason
 * in `*out_why` when it lacks something or cannot be kept from the program's descriptors, with NULL
 * there when it is not installed. No lock of ours may be held: takes the loader's. Several threads
 * may come here at once. */
vg_backtrace_function vg_libunwind_open(const char **out_why);

#endif

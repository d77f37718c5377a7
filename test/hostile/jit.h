/* A function without unwind information that calls its argument, as numba, Julia, a JVM and LuaJIT
 * make them at run time. */
#ifndef VRAMGUARD_TEST_HOSTILE_JIT_H
#define VRAMGUARD_TEST_HOSTILE_JIT_H

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

typedef void jit_function(void (*function)(void));

/* NULL when there is no memory for it, or nobody has written the few instructions for this machine.
 */
static inline jit_function *make_jit_function(void)
{
#if defined(__x86_64__) /* push rbp; mov rbp, rsp; call rdi; pop rbp; ret */
    static const unsigned char code[] = { 0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3 };
#elif defined(                                                                                     \
    __aarch64__) /* stp x29, x30, [sp, -16]!; mov x29, sp; blr x0; ldp x29, x30, [sp], 16; ret */
    static const unsigned char code[] = { 0xfd, 0x7b, 0xbf, 0xa9, 0xfd, 0x03, 0x00,
                                          0x91, 0x00, 0x00, 0x3f, 0xd6, 0xfd, 0x7b,
                                          0xc1, 0xa8, 0xc0, 0x03, 0x5f, 0xd6 };
#else
    static const unsigned char code[1] = { 0 };
    return NULL;
#endif
    void *const at =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    memcpy(at, code, sizeof code);
    __builtin___clear_cache(at, (char *)at + sizeof code);
    return (jit_function *)(uintptr_t)at;
}

#endif

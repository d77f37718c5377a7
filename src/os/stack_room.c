#include "os/stack_room.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/thread.h"

enum {
    ENOUGH_BYTES = 64 * 1024,
    OWN_BYTES = 256 * 1024,
    GUARD_BYTES = 64 * 1024, /* the largest page */
};

/* Of the calling thread: the lowest address of the stack that vg_stack_room_call has made, 0 when
 * there is none. */
static _Thread_local uintptr_t own_lowest;

uintptr_t vg_stack_lowest(void)
{
    pthread_attr_t attributes;
    void *lowest = NULL;
    size_t size_bytes;
    if (vg_thread_id() == getpid() || pthread_getattr_np(pthread_self(), &attributes) != 0)
        return 0;
    pthread_attr_getstack(&attributes, &lowest, &size_bytes);
    pthread_attr_destroy(&attributes);
    return (uintptr_t)lowest;
}

/* Calls function(argument) with the stack pointer at `top`, which is 16-byte aligned. The frame
 * pointer keeps the caller's, and the table for unwinders says so. */
void vg_stack_room_switch(void (*function)(void *argument), void *argument, void *top)
    __attribute__((visibility("hidden")));

#if defined(__x86_64__)
__asm__(
    ".pushsection .text\n"
    ".globl vg_stack_room_switch\n"
    ".hidden vg_stack_room_switch\n"
    ".type vg_stack_room_switch, @function\n"
    ".p2align 4\n"
    "vg_stack_room_switch:\n"
    "    .cfi_startproc\n"
    "    endbr64\n"
    "    pushq %rbp\n"
    "    .cfi_def_cfa_offset 16\n"
    "    .cfi_offset %rbp, -16\n"
    "    movq %rsp, %rbp\n"
    "    .cfi_def_cfa_register %rbp\n"
    "    movq %rdx, %rsp\n"
    "    movq %rdi, %rax\n"
    "    movq %rsi, %rdi\n"
    "    callq *%rax\n"
    "    movq %rbp, %rsp\n"
    "    popq %rbp\n"
    "    .cfi_def_cfa %rsp, 8\n"
    "    ret\n"
    "    .cfi_endproc\n"
    ".size vg_stack_room_switch, . - vg_stack_room_switch\n"
    ".popsection\n");
#elif defined(__aarch64__)
__asm__(
    ".pushsection .text\n"
    ".globl vg_stack_room_switch\n"
    ".hidden vg_stack_room_switch\n"
    ".type vg_stack_room_switch, %function\n"
    ".p2align 4\n"
    "vg_stack_room_switch:\n"
    "    .cfi_startproc\n"
    "    hint #34\n" /* bti c */
    "    stp x29, x30, [sp, #-16]!\n"
    "    .cfi_def_cfa_offset 16\n"
    "    .cfi_offset x29, -16\n"
    "    .cfi_offset x30, -8\n"
    "    mov x29, sp\n"
    "    .cfi_def_cfa_register x29\n"
    "    mov sp, x2\n"
    "    mov x3, x0\n"
    "    mov x0, x1\n"
    "    blr x3\n"
    "    mov sp, x29\n"
    "    ldp x29, x30, [sp], #16\n"
    "    .cfi_def_cfa sp, 0\n"
    "    .cfi_restore x29\n"
    "    .cfi_restore x30\n"
    "    ret\n"
    "    .cfi_endproc\n"
    ".size vg_stack_room_switch, . - vg_stack_room_switch\n"
    ".popsection\n");
#endif

bool vg_stack_room_is_in_use(void)
{
    return own_lowest != 0 && (uintptr_t)__builtin_frame_address(0) - own_lowest < OWN_BYTES;
}

void vg_stack_room_call(uintptr_t lowest, void (*function)(void *argument), void *argument)
{
    /* Is there one already, this is it, or that of the call that a signal has interrupted. */
    char *const memory = vg_stack_has_room(lowest, ENOUGH_BYTES) || own_lowest != 0
                             ? MAP_FAILED
                             : mmap(NULL, GUARD_BYTES + OWN_BYTES, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) {
        function(argument);
        return;
    }
    mprotect(memory, GUARD_BYTES, PROT_NONE);
    own_lowest = (uintptr_t)memory + GUARD_BYTES;
    vg_stack_room_switch(function, argument, memory + GUARD_BYTES + OWN_BYTES);
    vg_stack_room_reset();
}

void vg_stack_room_reset(void)
{
    if (own_lowest != 0)
        munmap((char *)own_lowest - GUARD_BYTES, GUARD_BYTES + OWN_BYTES);
    own_lowest = 0;
}

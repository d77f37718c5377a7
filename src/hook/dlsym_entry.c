/* The exported dlsym and dlvsym, in assembly: glibc resolves RTLD_NEXT and RTLD_DEFAULT by the
 * return address, so unless the filter has an answer the C library's function must be entered by a
 * jump, with the caller's registers and return address. A C function that called it would make
 * this library the caller. */
#if defined(__x86_64__)

/* At entry the stack is 8 off a 16-byte boundary; three pushes align it for the call. The filter
 * returns {value, continue_at} in rax:rdx (System V AMD64 ABI, section 3.2.3). */
__asm__(
    ".pushsection .text\n"
    ".globl dlsym\n"
    ".type dlsym, @function\n"
    ".p2align 4\n"
    "dlsym:\n"
    "    .cfi_startproc\n"
    "    endbr64\n"
    "    pushq %rdi\n"
    "    .cfi_adjust_cfa_offset 8\n"
    "    pushq %rsi\n"
    "    .cfi_adjust_cfa_offset 8\n"
    "    pushq %rdx\n"
    "    .cfi_adjust_cfa_offset 8\n"
    "    movq 24(%rsp), %rdx\n"
    "    call vg_dlsym_filter\n"
    "    movq %rdx, %rcx\n"
    "    popq %rdx\n"
    "    .cfi_adjust_cfa_offset -8\n"
    "    popq %rsi\n"
    "    .cfi_adjust_cfa_offset -8\n"
    "    popq %rdi\n"
    "    .cfi_adjust_cfa_offset -8\n"
    "    testq %rcx, %rcx\n"
    "    je 1f\n"
    "    jmp *%rcx\n"
    "1:  ret\n"
    "    .cfi_endproc\n"
    ".size dlsym, . - dlsym\n"
    ".globl dlvsym\n"
    ".type dlvsym, @function\n"
    ".p2align 4\n"
    "dlvsym:\n"
    "    .cfi_startproc\n"
    "    endbr64\n"
    "    pushq %rdi\n"
    "    .cfi_adjust_cfa_offset 8\n"
    "    pushq %rsi\n"
    "    .cfi_adjust_cfa_offset 8\n"
    "    pushq %rdx\n"
    "    .cfi_adjust_cfa_offset 8\n"
    "    movq 24(%rsp), %rcx\n"
    "    call vg_dlvsym_filter\n"
    "    movq %rdx, %rcx\n"
    "    popq %rdx\n"
    "    .cfi_adjust_cfa_offset -8\n"
    "    popq %rsi\n"
    "    .cfi_adjust_cfa_offset -8\n"
    "    popq %rdi\n"
    "    .cfi_adjust_cfa_offset -8\n"
    "    testq %rcx, %rcx\n"
    "    je 1f\n"
    "    jmp *%rcx\n"
    "1:  ret\n"
    "    .cfi_endproc\n"
    ".size dlvsym, . - dlvsym\n"
    ".popsection\n");

#elif defined(__aarch64__)

/* The filter returns {value, continue_at} in x0:x1 (AAPCS64, section 6.9). */
#define ENTRY(name, caller_register)                                                               \
    __asm__(                                                                                       \
        ".pushsection .text\n"                                                                     \
        ".globl " #name                                                                            \
        "\n"                                                                                       \
        ".type " #name                                                                             \
        ", %function\n"                                                                            \
        ".p2align 4\n" #name                                                                       \
        ":\n"                                                                                      \
        "    .cfi_startproc\n"                                                                     \
        "    hint #34\n" /* bti c */                                                               \
        "    stp x29, x30, [sp, #-48]!\n"                                                          \
        "    .cfi_def_cfa_offset 48\n"                                                             \
        "    .cfi_offset 29, -48\n"                                                                \
        "    .cfi_offset 30, -40\n"                                                                \
        "    stp x0, x1, [sp, #16]\n"                                                              \
        "    str x2, [sp, #32]\n"                                                                  \
        "    mov " caller_register                                                                 \
        ", x30\n"                                                                                  \
        "    bl vg_" #name                                                                         \
        "_filter\n"                                                                                \
        "    mov x9, x0\n"                                                                         \
        "    mov x16, x1\n"                                                                        \
        "    ldp x0, x1, [sp, #16]\n"                                                              \
        "    ldr x2, [sp, #32]\n"                                                                  \
        "    ldp x29, x30, [sp], #48\n"                                                            \
        "    .cfi_def_cfa_offset 0\n"                                                              \
        "    cbz x16, 1f\n"                                                                        \
        "    br x16\n"                                                                             \
        "1:  mov x0, x9\n"                                                                         \
        "    ret\n"                                                                                \
        "    .cfi_endproc\n"                                                                       \
        ".size " #name ", . - " #name                                                              \
        "\n"                                                                                       \
        ".popsection\n")

ENTRY(dlsym, "x2");
ENTRY(dlvsym, "x3");

#else
#error "vramguard needs an entry point for dlsym on this architecture"
#endif

typedef int vg_not_empty; /* ISO C wants a declaration in every file */

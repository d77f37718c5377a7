/* Exits with 7. Built statically, with another C library, and for 32 bits, for which there need be
 * no C library where it is built. */
#ifdef __i386__

__asm__(
    ".globl _start\n"
    "_start:\n"
    "    movl $1, %eax\n" /* exit */
    "    movl $7, %ebx\n"
    "    int $0x80\n");

typedef int not_empty; /* ISO C wants a declaration in every file */

#else

int main(void)
{
    return 7;
}

#endif

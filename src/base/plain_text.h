/* Comparing text and copying bytes without libc, for what runs before libc works: a sanitizer's
 * runtime calls dlsym, which is ours, to find the very strcmp and strlen that it has put itself
 * before. */
#ifndef VRAMGUARD_BASE_PLAIN_TEXT_H
#define VRAMGUARD_BASE_PLAIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Keeps the compiler from making a call of libc's function out of the loop. */
#define VG_PLAIN_LOOP() __asm__ volatile("")

/* Are the two NUL-terminated texts the same? */
static inline bool vg_plain_equal(const char *a, const char *b)
{
    for (; *a == *b; a++, b++) {
        VG_PLAIN_LOOP();
        if (*a == '\0')
            return true;
    }
    return false;
}

static inline bool vg_plain_starts_with(const char *text, const char *beginning)
{
    for (; *beginning != '\0'; text++, beginning++) {
        VG_PLAIN_LOOP();
        if (*text != *beginning)
            return false;
    }
    return true;
}

/* Bytes before the NUL. */
static inline size_t vg_plain_length(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0') {
        VG_PLAIN_LOOP();
        length++;
    }
    return length;
}

/* Copies `count` bytes. In a program under the thread sanitizer libc's memcpy is its own: it sees
 * what one thread of ours has written and another reads, and not the atomics in between. */
static inline void vg_plain_copy(void *to, const void *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        VG_PLAIN_LOOP();
        ((char *)to)[i] = ((const char *)from)[i];
    }
}

#endif

#include "base/command_name.h"

#include <string.h>

#include "base/text.h"

void vg_command_short(char *out, size_t cap, const char *command)
{
    struct vg_text text = vg_text_over(out, cap);
    for (const char *word = command; *word;) {
        const size_t length = strcspn(word, " ");
        const char *start = word, *const end = word + length;
        /* Not the slash at the end of a directory's name. */
        for (const char *p = word; word[0] != '-' && p + 1 < end; p++)
            if (*p == '/')
                start = p + 1;
        vg_text_add_bytes(&text, start, (size_t)(end - start));
        word = end + strspn(end, " ");
        if (*word)
            vg_text_add(&text, " ");
    }
}

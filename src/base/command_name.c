#include "base/command_name.h"

#include <stdbool.h>
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

/* The next word from `*at` on, without its directory; "" at the end. */
static void take_word(const char **at, char *out, size_t cap)
{
    const size_t length = strcspn(*at, " ");
    const char *start = *at;
    for (const char *p = *at; (*at)[0] != '-' && p + 1 < *at + length; p++)
        if (*p == '/')
            start = p + 1;
    struct vg_text text = vg_text_over(out, cap);
    vg_text_add_bytes(&text, start, (size_t)(*at + length - start));
    *at += length + strspn(*at + length, " ");
}

/* The letter of Python's option `word` that takes an argument, alone or behind others ("-uW"); 0
 * for none. `*out_follows`: the argument is the next word (python(1)). */
static char option_with_argument(const char *word, bool *out_follows)
{
    const bool is_long = word[1] == '-';
    const size_t at = is_long ? strlen(word) : strcspn(word, "cmWX");
    *out_follows = is_long ? strcmp(word, "--check-hash-based-pycs") == 0
                           : word[at] != '\0' && word[at + 1] == '\0';
    return word[at];
}

void vg_command_program(char *out, size_t cap, const char *command)
{
    char word[128];
    const char *at = command;
    take_word(&at, out, cap);
    if (!vg_text_starts_with(out, "python"))
        return;
    while (*at) {
        const char *name = word;
        take_word(&at, word, sizeof word);
        if (word[0] == '-') {
            bool follows;
            const char option = option_with_argument(word, &follows);
            if (option == 'c' || word[1] == '\0') /* code that has no name, or what is typed */
                return;
            if (follows)
                take_word(&at, word, sizeof word);
            else if (option == 'm')
                name = strchr(word, 'm') + 1;
            if (option != 'm')
                continue;
        }
        if (!name[0])
            return;
        struct vg_text text = vg_text_over(out, cap);
        /* What a notebook's kernel is, its user need not know (ipykernel's kernelspec). */
        vg_text_add(&text, strcmp(name, "ipykernel_launcher") == 0 ? "the notebook" : name);
        return;
    }
}

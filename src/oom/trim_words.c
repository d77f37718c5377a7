/* Taking a command line apart. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "oom/trim_command.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* Copies the word at `p` to `*out`, which it moves behind the word's NUL. Returns what stands
 * behind the word, NULL when a quote is not closed or nothing follows a backslash. */
static const char *copy_word(const char *p, char **out)
{
    char quote = '\0';
    for (; *p && (quote || !is_blank(*p)); p++) {
        if (*p == quote) {
            quote = '\0';
        } else if (!quote && (*p == '\'' || *p == '"')) {
            quote = *p;
        } else {
            if (*p == '\\' && quote != '\'')
                p++;
            if (*p == '\0')
                return NULL;
            *(*out)++ = *p;
        }
    }
    *(*out)++ = '\0';
    return quote ? NULL : p;
}

int vg_trim_command_split(const char *text, struct vg_trim_words *out, char *why, size_t why_cap)
{
    size_t count = 0;
    char *next = out->text;
    if (strlen(text) >= sizeof out->text) {
        snprintf(why, why_cap, "longer than %zu characters", sizeof out->text - 1);
        return -EINVAL;
    }
    for (const char *p = text; *p;) {
        if (is_blank(*p)) {
            p++;
            continue;
        }
        if (count == VG_TRIM_WORDS_MAX) {
            snprintf(why, why_cap, "more than %d words", VG_TRIM_WORDS_MAX);
            return -EINVAL;
        }
        out->word[count++] = next;
        p = copy_word(p, &next);
        if (!p) {
            snprintf(why, why_cap, "a quote is not closed, or nothing follows a backslash");
            return -EINVAL;
        }
    }
    out->word[count] = NULL;
    if (count == 0)
        snprintf(why, why_cap, "no command");
    return count == 0 ? -EINVAL : 0;
}

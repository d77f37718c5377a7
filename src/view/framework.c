#include "view/framework.h"

#include <stdbool.h>
#include <string.h>

#include "base/text.h"

static const struct vg_framework rows[] = {
#define VG_FRAMEWORK(NAME, name, modules, paths, pool, advice)                                     \
    { name, modules, paths, pool, advice },
#include "view/framework_table.h"
#undef VG_FRAMEWORK
};

enum { ROWS = sizeof rows / sizeof rows[0], WORD_CAP = 64 };

const struct vg_framework *vg_framework_rows(size_t *out_count)
{
    *out_count = ROWS;
    return rows;
}

/* Is `test(text, word)` true for one of the words of `list`, which '|' separates? */
static bool matches_any(const char *list, const char *text,
                        bool (*test)(const char *, const char *))
{
    char word[WORD_CAP];
    while (*list) {
        const size_t length = strcspn(list, "|");
        if (length > 0 && length < sizeof word) {
            memcpy(word, list, length);
            word[length] = '\0';
            if (test(text, word))
                return true;
        }
        list += length + (list[length] == '|');
    }
    return false;
}

static bool contains_name(const char *text, const char *word)
{
    return strstr(text, word) != NULL;
}

/* Does a word of `text`, a label, begin so? Modules stand at its beginning or behind a space. */
static bool has_word(const char *text, const char *word)
{
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        if (at == text || at[-1] == ' ')
            return true;
    return false;
}

static bool is_frame_of(const struct vg_framework *row, const struct vg_run_frame *frame)
{
    if (frame->flags & VG_FRAME_PYTHON)
        return matches_any(row->paths, frame->file, contains_name);
    return matches_any(row->modules, frame->module, vg_text_starts_with);
}

static bool is_pytorch(const struct vg_run_frame *frame)
{
    return !(frame->flags & VG_FRAME_PYTHON) &&
           (vg_text_starts_with(frame->module, "libc10_cuda") ||
            vg_text_starts_with(frame->module, "libtorch"));
}

const struct vg_framework *vg_framework_of_call(const struct vg_run_failure *failure)
{
    for (uint32_t i = 0; i < failure->stack.frame_count; i++) {
        const struct vg_run_frame *const frame = &failure->stack.frames[i];
        for (size_t k = 0; k < ROWS; k++)
            if (is_frame_of(&rows[k], frame))
                return &rows[k];
        if (is_pytorch(frame))
            return NULL;
    }
    return NULL;
}

const struct vg_framework *vg_framework_of_site(const struct vg_run_site *site)
{
    for (size_t k = 0; k < ROWS; k++)
        if (matches_any(rows[k].modules, site->label, has_word))
            return &rows[k];
    return NULL;
}

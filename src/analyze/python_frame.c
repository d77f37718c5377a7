#include "analyze/python_frame.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* The end of a text tells more than its beginning. */
static const char *end_of(const char *text, size_t most_bytes)
{
    const size_t length = strlen(text);
    const char *end = length > most_bytes ? text + length - most_bytes : text;
    while (((unsigned char)*end & 0xc0) == 0x80) /* not into the middle of a letter */
        end++;
    return end;
}

bool vg_python_file_is_library(const char *path)
{
    static const char *const places[] = { "/site-packages/", "/dist-packages/", "/lib/python3." };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strstr(path, places[i]))
            return true;
    return path[0] == '<' && strncmp(path, "<frozen ", 8) == 0;
}

void vg_python_frame_describe(const struct vg_journal_code *code, uint32_t line,
                              struct vg_oom_frame *out)
{
    char location[sizeof out->location];
    *out = (struct vg_oom_frame){ .is_python = 1,
                                  .is_library = code && vg_python_file_is_library(code->texts) };
    const char *const file = code ? end_of(vg_text_base_name(code->texts), 35) : "unknown file";
    const char *const name = code ? vg_journal_code_name(code) : "unknown";
    if (line > 0)
        snprintf(location, sizeof location, "%s:%u", file, line);
    else
        snprintf(location, sizeof location, "%s", file);
    vg_text_sanitize(out->location, sizeof out->location, location, strlen(location));
    const char *const shown = end_of(name, sizeof out->function - 1);
    vg_text_sanitize(out->function, sizeof out->function, shown, strlen(shown));
}

const char *vg_python_frame_short_name(const struct vg_oom_frame *frame)
{
    const char *const dot = strrchr(frame->function, '.');
    return dot && dot[1] ? dot + 1 : frame->function;
}

bool vg_python_frame_hides(const struct vg_oom_frame *frame)
{
    static const char *const prefixes[] = { "python", "libpython", "_ctypes." };
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(frame->module, prefixes[i], strlen(prefixes[i])) == 0)
            return !frame->is_python;
    return false;
}

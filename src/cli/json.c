#include "cli/json.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

void vg_json_print_string(const char *text)
{
    char safe[4096];
    vg_text_sanitize(safe, sizeof safe, text, strlen(text));
    putchar('"');
    for (const char *c = safe; *c; c++) {
        if (*c == '"' || *c == '\\')
            putchar('\\');
        putchar(*c);
    }
    putchar('"');
}

#include "cli/json.h"

#include <stdio.h>

#include "base/text.h"

void vg_json_print_string(const char *text)
{
    char safe[4096];
    snprintf(safe, sizeof safe, "%s", text);
    vg_text_repair(safe, sizeof safe);
    putchar('"');
    for (const char *c = safe; *c; c++) {
        if (*c == '"' || *c == '\\')
            putchar('\\');
        putchar(*c);
    }
    putchar('"');
}

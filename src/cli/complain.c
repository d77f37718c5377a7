#include "cli/complain.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

void vg_complain(const char *who, const char *format, ...)
{
    char data[4096];
    struct vg_text text = vg_text_over(data, sizeof data);
    va_list arguments;
    vg_text_addf(&text, "%s: ", who);
    va_start(arguments, format);
    vg_text_addv(&text, format, arguments);
    va_end(arguments);
    vg_text_repair(data, sizeof data);
    fprintf(stderr, "%s\n", data);
}

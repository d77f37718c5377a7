#include "cli/complain.h"

#include <stdio.h>

#include "base/text.h"

void vg_complainv(const char *who, const char *format, va_list arguments)
{
    char data[4096];
    struct vg_text text = vg_text_over(data, sizeof data);
    vg_text_addf(&text, "%s: ", who);
    vg_text_addv(&text, format, arguments);
    vg_text_repair(data, sizeof data);
    fprintf(stderr, "%s\n", data);
}

void vg_complain(const char *who, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vg_complainv(who, format, arguments);
    va_end(arguments);
}

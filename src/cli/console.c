#include "cli/console.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

unsigned vg_console_columns(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO))
        return 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

bool vg_console_wants_color(void)
{
    const char *const no_color = secure_getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && (!no_color || !*no_color);
}

#include "oom/trim_library.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

enum { PATH_CAP = 1024, WHY_CAP = 256 };

/* Where the symbol begins in "path:symbol"; NULL when what follows the last colon cannot be one. */
static const char *symbol_in(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    const char *const colon = strrchr(text, ':');
    if (!colon || !colon[1] || colon[1 + strspn(colon + 1, letters)] != '\0')
        return NULL;
    return colon + 1;
}

static void log_unusable(const char *reason)
{
    char why[WHY_CAP];
    vg_text_sanitize(why, sizeof why, reason, strlen(reason));
    vg_warn_once(VG_FAULT_TRIM_LIBRARY, "VRAMGUARD_TRIM_LIB: %s: trim goes on without it", why);
}

static vg_trim_function open_library(const char *text)
{
    char path[PATH_CAP];
    const char *const named = symbol_in(text);
    const char *const symbol = named ? named : "vramguard_trim";
    union {
        void *object;
        vg_trim_function function;
    } found;
    snprintf(path, sizeof path, "%.*s", named ? (int)(named - 1 - text) : (int)strlen(text), text);
    void *const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    found.object = library ? dlsym(library, symbol) : NULL;
    if (!found.object) {
        const char *const error = dlerror();
        log_unusable(error ? error : "the symbol is null");
    }
    return found.function;
}

vg_trim_function vg_trim_library_open(const char *text)
{
    static bool tried; /* one helper at a time */
    static vg_trim_function function;
    if (!tried)
        function = open_library(text);
    tried = true;
    return function;
}

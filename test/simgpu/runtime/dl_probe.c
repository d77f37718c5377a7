/* To be preloaded: writes to the file PROBE_LOG which driver is opened and which of its functions
 * are asked for by name: dlopen FILE FLAGS dlsym NAME */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static void note(const char *what, const char *name, int flags)
{
    const char *path = getenv("PROBE_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    if (!log)
        return;
    fprintf(log, "%s %s %d\n", what, name, flags);
    fclose(log);
}

/* dlsym cannot be found with dlsym. Its versions: x86-64, aarch64, both since glibc 2.34. */
static void *real(const char *name)
{
    static const char *const versions[] = { "GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17" };
    for (int i = 0; i < 3; i++) {
        void *found = dlvsym(RTLD_NEXT, name, versions[i]);
        if (found)
            return found;
    }
    abort();
}

EXPORT void *dlopen(const char *file, int flags)
{
    void *(*next)(const char *, int) = (void *(*)(const char *, int))(size_t)real("dlopen");
    if (file && strstr(file, "libcuda"))
        note("dlopen", file, flags);
    return next(file, flags);
}

EXPORT void *dlsym(void *handle, const char *name)
{
    void *(*next)(void *, const char *) = (void *(*)(void *, const char *))(size_t)real("dlsym");
    if (strncmp(name, "cu", 2) == 0)
        note("dlsym", name, 0);
    return next(handle, name);
}

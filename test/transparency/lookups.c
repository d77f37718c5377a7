/* Looks names up from the program, from preloaded libraries and from opened ones.
 * Usage: lookups local|global|none [LIBRARY...]
 * local, global: how the driver is opened; none: not at all. Each LIBRARY is opened, and looks. */
#include "lookups.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef void (*look_function)(void *driver, void *other);

enum { THREADS = 8, ROUNDS = 300, OPENED_MAX = 8 };

static void *shared_driver;

static void *lookup_n(int n)
{
    void *const handles[] = { RTLD_DEFAULT, RTLD_NEXT, shared_driver };
    void *volatile found = dlsym(handles[n % 3], looked_up[n / 3]);
    return found;
}

static void *look_often(void *argument)
{
    void *first[3 * LOOKED_UP];
    unsigned long differences = 0;
    for (int n = 0; n < 3 * LOOKED_UP; n++)
        first[n] = lookup_n(n);
    for (int round = 0; round < ROUNDS; round++)
        for (int n = 0; n < 3 * LOOKED_UP; n++)
            differences += lookup_n(n) != first[n];
    *(unsigned long *)argument = differences;
    return NULL;
}

static void look_from_threads(void *driver)
{
    pthread_t threads[THREADS];
    unsigned long differences[THREADS];
    shared_driver = driver;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, look_often, &differences[i]) != 0)
            give_up("no thread");
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        printf("thread: %lu answers differ from the first\n", differences[i]);
    }
}

/* Looks from a library that is already there, a preloaded one; says nothing when it is not. */
static void look_from_preloaded(const char *function, void *driver)
{
    void *const found = dlsym(RTLD_DEFAULT, function);
    if (found)
        AS_FUNCTION(found, look_function)(driver, NULL);
}

static void *look_from_opened(const char *path, void *driver)
{
    char function[100] = "look_from_";
    void *const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        give_up(dlerror());
    sscanf(strrchr(path, '/') + 1, "lib%80[a-z_]", function + strlen(function));
    void *const found = dlsym(library, function);
    if (!found)
        give_up(dlerror());
    AS_FUNCTION(found, look_function)(driver, library);
    look_through("program", path, library);
    return library;
}

/* What has looked up is unloaded when the program closes it: nobody else keeps it. */
static void close_opened(const char *path, void *library)
{
    dlclose(library);
    printf("closed %s: %s\n", strrchr(path, '/') + 1,
           dlopen(path, RTLD_NOW | RTLD_NOLOAD) ? "still there" : "gone");
}

int main(int argc, char **argv)
{
    void *driver = NULL, *opened[OPENED_MAX];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2 || argc - 2 > OPENED_MAX)
        give_up("usage");
    look_through("early program", "default", RTLD_DEFAULT);
    look_through("early program", "next", RTLD_NEXT);
    if (strcmp(argv[1], "none") != 0) {
        driver = dlopen("libcuda.so.1",
                        RTLD_NOW | (strcmp(argv[1], "global") == 0 ? RTLD_GLOBAL : RTLD_LOCAL));
        if (!driver)
            give_up(dlerror());
    }
    look_everywhere("program", driver, NULL);
    look_from_preloaded("look_from_before", driver);
    look_from_preloaded("look_from_after", driver);
    for (int i = 2; i < argc; i++)
        opened[i - 2] = look_from_opened(argv[i], driver);
    look_everywhere("program again", driver, NULL);
    if (driver)
        look_from_threads(driver);
    for (int i = 2; i < argc; i++)
        close_opened(argv[i], opened[i - 2]);
    return 0;
}

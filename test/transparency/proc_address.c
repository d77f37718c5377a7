/* Asks cuGetProcAddress, both versions, for every name in a file, at many versions and flags, with
 * and without a place for the status, and prints each answer. Usage: proc_address NAMES */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observe.h"
#include "simgpu/abi.h"

typedef CUresult (*query_v1)(const char *, void **, int, cuuint64_t);
typedef CUresult (*query_v2)(const char *, void **, int, cuuint64_t,
                             CUdriverProcAddressQueryResult *);

static const int versions[] = { 2000,  3020,  4000,  6000,  9020,  10010, 11020, 11030,
                                11070, 12000, 12080, 13000, 99999, 0,     -1 };

enum { VERSIONS = sizeof versions / sizeof versions[0], FLAGS = 4, UNSET = 77 };

/* Consecutive answers of a name that are the same are printed once, with how many they are. */
struct answers {
    char last[300];
    unsigned count;
};

static void print_answer(struct answers *answers, const char *text)
{
    if (answers->count > 0 && (!text || strcmp(text, answers->last) != 0)) {
        printf(" %u x %s\n", answers->count, answers->last);
        answers->count = 0;
    }
    if (text) {
        snprintf(answers->last, sizeof answers->last, "%s", text);
        answers->count++;
    }
}

static void ask(const void *function, bool is_v2, const char *name)
{
    struct answers answers = { .count = 0 };
    printf("%s%s\n", name, is_v2 ? " (v2)" : "");
    for (int wants = 0; wants < (is_v2 ? 2 : 1); wants++)
        for (unsigned flags = 0; flags < FLAGS; flags++)
            for (int i = 0; i < VERSIONS; i++) {
                char text[300];
                void *found = &answers; /* on failure it may be left as it is, or NULL */
                CUdriverProcAddressQueryResult status = UNSET;
                const CUresult result =
                    is_v2 ? AS_FUNCTION(function, query_v2)(name, &found, versions[i], flags,
                                                            wants ? &status : NULL)
                          : AS_FUNCTION(function, query_v1)(name, &found, versions[i], flags);
                snprintf(text, sizeof text, "%d status %d %s", result, status,
                         found == (void *)&answers ? "untouched" : place_of(found));
                print_answer(&answers, text);
            }
    print_answer(&answers, NULL);
}

static void ask_badly(const void *function, bool is_v2)
{
    void *found = NULL;
    CUdriverProcAddressQueryResult status = UNSET;
    CUresult results[3];
    if (is_v2) {
        const query_v2 query = AS_FUNCTION(function, query_v2);
        results[0] = query(NULL, &found, 12000, 0, &status);
        results[1] = query("cuMemAlloc", NULL, 12000, 0, &status);
        results[2] = query(NULL, NULL, 12000, 0, NULL);
    } else {
        const query_v1 query = AS_FUNCTION(function, query_v1);
        results[0] = query(NULL, &found, 12000, 0);
        results[1] = query("cuMemAlloc", NULL, 12000, 0);
        results[2] = query(NULL, NULL, 12000, 0);
    }
    printf("bad arguments: %d %d %d, found %s, status %d\n", results[0], results[1], results[2],
           place_of(found), status);
}

/* The answers to cuGetProcAddress itself are functions, too: those it gives in turn. */
static void ask_in_turn(const void *function)
{
    void *next = NULL, *found = NULL;
    CUdriverProcAddressQueryResult status = UNSET;
    const query_v2 query = AS_FUNCTION(function, query_v2);
    printf("itself at 11030: %d", query("cuGetProcAddress", &next, 11030, 0, &status));
    printf(" %s", place_of(next));
    printf(" then %d", AS_FUNCTION(next, query_v1)("cuMemFree", &found, 3020, 0));
    printf(" %s\n", place_of(found));
    printf("itself at 12000: %d", query("cuGetProcAddress", &next, 12000, 0, &status));
    if (!next)
        return; /* a driver before 12.0 */
    printf(" %s", place_of(next));
    printf(" then %d", AS_FUNCTION(next, query_v2)("cuMemAlloc", &found, 3020, 0, &status));
    printf(" %s\n", place_of(found));
}

int main(int argc, char **argv)
{
    char name[1000];
    FILE *const names = argc > 1 ? fopen(argv[1], "r") : NULL;
    void *const library = dlopen("libcuda.so.1", RTLD_NOW);
    if (!names || !library)
        give_up("no names or no driver");
    const void *const v1 = dlsym(library, "cuGetProcAddress");
    const void *const v2 = dlsym(library, "cuGetProcAddress_v2");
    while (fgets(name, sizeof name, names)) {
        name[strcspn(name, "\n")] = '\0';
        ask(v1, false, name);
        ask(v2, true, name);
    }
    ask_badly(v1, false);
    ask_badly(v2, true);
    ask_in_turn(v2);
    fclose(names);
    return 0;
}

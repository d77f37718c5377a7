#include "observe.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PLACES = 4, PLACE_CAP = 200, IDS = 4096, POISON = 0xA5 };

_Noreturn void give_up(const char *what)
{
    fprintf(stderr, "the test itself: %s\n", what);
    exit(97);
}

static const char *base_name(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *place_of(const void *address)
{
    static _Thread_local char texts[PLACES][PLACE_CAP];
    static _Thread_local unsigned turn;
    char *const text = texts[turn++ % PLACES];
    Dl_info info;
    if (!address)
        return "NULL";
    if (dladdr(address, &info) == 0)
        return "nowhere";
    const char *const object = base_name(info.dli_fname);
    if (!info.dli_sname)
        snprintf(text, PLACE_CAP, "%s:?", object);
    else if (info.dli_saddr == address)
        snprintf(text, PLACE_CAP, "%s:%s", object, info.dli_sname);
    else
        snprintf(text, PLACE_CAP, "%s:%s+%td", object, info.dli_sname,
                 (const char *)address - (const char *)info.dli_saddr);
    return text;
}

/* The text names libraries by their path, which is the same in both runs. */
void print_lookup(const char *what, const void *found)
{
    const char *const error = dlerror();
    printf("%s: %s, dlerror %s\n", what, place_of(found), error ? error : "none");
}

static uint64_t seen[IDS];
static unsigned seen_count;

void forget_ids(void)
{
    seen_count = 0;
}

unsigned id_of(uint64_t value)
{
    if (value == 0)
        return 0;
    for (unsigned i = 0; i < seen_count; i++)
        if (seen[i] == value)
            return i + 1;
    if (seen_count == IDS)
        give_up("too many different values");
    seen[seen_count++] = value;
    return seen_count;
}

bool is_mapped(uint64_t value)
{
    unsigned char resident;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (value < 65536 || value >> 47 != 0)
        return false;
    return mincore((void *)(uintptr_t)(value / page * page), 1, &resident) == 0;
}

void poison(void *memory, size_t bytes)
{
    memset(memory, POISON, bytes);
}

static bool is_poison(const unsigned char *memory, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (memory[i] != POISON)
            return false;
    return true;
}

void print_words(const void *memory, size_t bytes)
{
    const unsigned char *at = memory;
    while (bytes > 0) {
        const size_t step = bytes < 8 ? bytes : 8;
        uint64_t word = 0;
        memcpy(&word, at, step);
        if (is_poison(at, step))
            printf(" .");
        else if (step == 8 && is_mapped(word))
            printf(" @");
        else if (step == 8 && word >> 32 != 0 && word != UINT64_MAX)
            printf(" #%u", id_of(word));
        else
            printf(" %llx", (unsigned long long)word);
        at += step;
        bytes -= step;
    }
}

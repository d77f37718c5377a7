#include "oom/trim_environment.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"
#include "base/text.h"
#include "os/loader.h"

enum { FACTS = 6, FACT_CAP = 96 };

static const char preload[] = "LD_PRELOAD=", own_command[] = "VRAMGUARD_TRIM_CMD=";

static size_t count_variables(void)
{
    size_t count = 0;
    while (environ && environ[count])
        count++;
    return count;
}

static size_t preload_length(void)
{
    size_t length = 0;
    for (size_t i = 0; environ && environ[i]; i++)
        if (vg_text_starts_with(environ[i], preload))
            length += strlen(environ[i]) + 1;
    return length;
}

size_t vg_trim_environment_bytes(void)
{
    /* Another thread may add a few variables in between. */
    return (count_variables() + 64) * sizeof(char *) + FACTS * FACT_CAP + preload_length() + 64;
}

static const char *base_name(const char *path, size_t *length)
{
    const char *name = path;
    for (size_t i = 0; i < *length; i++)
        if (path[i] == '/')
            name = path + i + 1;
    *length -= (size_t)(name - path);
    return name;
}

static bool is_own_name(const char *path, size_t length)
{
    static const char here;
    Dl_info info;
    const char *const name = base_name(path, &length);
    if (!vg_loader_map_at(&here, &info) || !info.dli_fname)
        return false;
    size_t own_length = strlen(info.dli_fname);
    const char *const own = base_name(info.dli_fname, &own_length);
    return own_length == length && memcmp(own, name, length) == 0;
}

/* Copies "LD_PRELOAD=..." without this library; its entries are separated by colons or spaces
 * (ld.so(8)). */
static void copy_preload(struct vg_text *out, const char *variable)
{
    const size_t prefix = sizeof preload - 1;
    vg_text_add(out, preload);
    for (const char *p = variable + prefix; *p;) {
        const size_t length = strcspn(p, ": ");
        if (length > 0 && !is_own_name(p, length)) {
            if (out->length > prefix)
                vg_text_add(out, ":");
            vg_text_add_bytes(out, p, length);
        }
        p += length;
        p += *p != '\0';
    }
}

static void add_number(char *out, const char *name, uint64_t number)
{
    if (number == VG_BYTES_UNKNOWN)
        snprintf(out, FACT_CAP, "VRAMGUARD_TRIM_%s=", name);
    else
        snprintf(out, FACT_CAP, "VRAMGUARD_TRIM_%s=%llu", name, (unsigned long long)number);
}

static void write_facts(char facts[FACTS][FACT_CAP], const struct vg_trim_facts *from)
{
    snprintf(facts[0], FACT_CAP, "VRAMGUARD_TRIM_DEVICE=%d", from->device);
    snprintf(facts[1], FACT_CAP, "VRAMGUARD_TRIM_UUID=%s", from->uuid);
    add_number(facts[2], "WANTED_BYTES", from->wanted_bytes);
    add_number(facts[3], "FREED_BYTES", from->freed_bytes);
    add_number(facts[4], "FREE_BYTES", from->free_bytes);
    snprintf(facts[5], FACT_CAP, "VRAMGUARD_TRIM_PID=%d", (int)getpid());
}

/* Is the variable one that is replaced or left out? */
static bool is_ours(const char *variable, char facts[FACTS][FACT_CAP])
{
    if (vg_text_starts_with(variable, own_command))
        return true;
    for (int i = 0; i < FACTS; i++)
        if (strncmp(variable, facts[i], strcspn(facts[i], "=") + 1) == 0)
            return true;
    return false;
}

char **vg_trim_environment_fill(void *memory, size_t cap, const struct vg_trim_facts *facts)
{
    char(*const own)[FACT_CAP] = memory;
    char **const variables = (char **)(own + FACTS);
    size_t preload_cap = preload_length() + 1;
    if (preload_cap > cap / 2) /* it has grown since the room was made */
        preload_cap = cap / 2;
    const size_t limit =
        (cap - FACTS * FACT_CAP - preload_cap) / sizeof(char *) - FACTS - 1; /* and a NULL */
    struct vg_text text = vg_text_over((char *)memory + cap - preload_cap, preload_cap);
    size_t count = 0;
    write_facts(own, facts);
    for (size_t i = 0; environ && environ[i] && count < limit; i++) {
        if (is_ours(environ[i], own))
            continue;
        if (!vg_text_starts_with(environ[i], preload)) {
            variables[count++] = environ[i];
            continue;
        }
        if (text.length > 0)
            continue; /* a second one: the first counts */
        copy_preload(&text, environ[i]);
        if (text.length > sizeof preload - 1 && !text.truncated)
            variables[count++] = text.data;
    }
    for (int i = 0; i < FACTS; i++)
        variables[count++] = own[i];
    variables[count] = NULL;
    return variables;
}

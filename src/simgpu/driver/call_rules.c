#include "call_rules.h"

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error_names.h"
#include "function_ids.h"
#include "options.h"

#define MAX_NAME        80
#define SPIN_LIMIT_NS   100000 /* sleeping is no more exact than this */
#define MAX_LATENCY_NS  60000000000ull
#define NS_PER_SECOND   1000000000ull
#define ANY_FUNCTION    "*"
#define FAIL_GRAMMAR    "NAME:N, NAME:N-M, NAME:N+ or NAME:*, each with =ERROR if wanted"
#define LATENCY_GRAMMAR "NAME=TIME with TIME in ns, us, ms or s, at most 60s"

struct fail_rule {
    char name[MAX_NAME];
    uint64_t first, last; /* the calls that fail, counted from 1 */
    CUresult error;
    atomic_ullong calls;
};

struct latency_rule {
    char name[MAX_NAME];
    uint64_t ns;
};

static struct fail_rule fail_rules[MAX_CALL_RULES];
static struct latency_rule latency_rules[MAX_CALL_RULES];
static int fail_count, latency_count;

static bool is_function(const char *name)
{
    if (strcmp(name, ANY_FUNCTION) == 0)
        return true;
    for (int i = 0; i < FUNCTION_COUNT; i++)
        if (strcmp(sim_functions[i].base, name) == 0)
            return true;
    return false;
}

/* Reads a decimal number at *text and moves *text behind it. */
static int parse_number(const char **text, uint64_t *number)
{
    if (!isdigit((unsigned char)**text))
        return -EINVAL;
    char *end;
    errno = 0;
    *number = strtoull(*text, &end, 10);
    *text = end;
    return errno != 0 ? -EINVAL : 0;
}

static int parse_error(const char *text, CUresult *error)
{
    if (isdigit((unsigned char)text[0])) {
        uint64_t number;
        if (parse_number(&text, &number) != 0 || *text != '\0' || number > 999)
            return -EINVAL;
        *error = (CUresult)number;
        return 0;
    }
    return error_find(text, error);
}

/* Splits `item` at the first `separator` and checks that a function has the name in front. */
static int take_name(char *item, char separator, char name[MAX_NAME], char **rest)
{
    char *end = strchr(item, separator);
    if (end == NULL || end - item >= MAX_NAME)
        return -EINVAL;
    *end = '\0';
    *rest = end + 1;
    strcpy(name, item);
    return is_function(name) ? 0 : -EINVAL;
}

static int parse_fail(char *item)
{
    struct fail_rule *rule = &fail_rules[fail_count];
    char *rest;
    if (fail_count == MAX_CALL_RULES || take_name(item, ':', rule->name, &rest) != 0)
        return -EINVAL;

    rule->error = CUDA_ERROR_OUT_OF_MEMORY;
    char *error = strchr(rest, '=');
    if (error != NULL) {
        *error = '\0';
        if (parse_error(error + 1, &rule->error) != 0)
            return -EINVAL;
    }

    const char *which = rest;
    rule->first = 1;
    rule->last = UINT64_MAX;
    if (strcmp(which, "*") != 0) {
        if (parse_number(&which, &rule->first) != 0 || rule->first == 0)
            return -EINVAL;
        if (*which == '\0')
            rule->last = rule->first;
        else if (*which == '-' && (which++, parse_number(&which, &rule->last) != 0))
            return -EINVAL;
        else if (*which == '+')
            which++;
        if (*which != '\0' || rule->last < rule->first)
            return -EINVAL;
    }
    fail_count++;
    return 0;
}

static int parse_latency(char *item)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = { { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", NS_PER_SECOND } };

    struct latency_rule *rule = &latency_rules[latency_count];
    char *rest;
    if (latency_count == MAX_CALL_RULES || take_name(item, '=', rule->name, &rest) != 0)
        return -EINVAL;
    const char *text = rest;
    uint64_t number;
    if (parse_number(&text, &number) != 0)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text, units[i].name) != 0 || number > MAX_LATENCY_NS / units[i].ns)
            continue;
        rule->ns = number * units[i].ns;
        latency_count++;
        return 0;
    }
    return -EINVAL;
}

/* Hands each item of the comma-separated variable to `parse`. */
static int read_list(const char *variable, const char *grammar, int (*parse)(char *item))
{
    const char *text = getenv(variable);
    if (text == NULL || text[0] == '\0')
        return 0;
    char *copy = strdup(text);
    if (copy == NULL)
        return -ENOMEM;
    int result = 0;
    char *rest = copy;
    for (char *item = strsep(&rest, ","); item != NULL && result == 0; item = strsep(&rest, ","))
        result = parse(item);
    free(copy);
    if (result != 0)
        sim_complain(
            "%s=\"%s\": want at most %d of %s, separated by commas, NAME being a driver "
            "function without suffix or *; no device is simulated",
            variable, text, MAX_CALL_RULES, grammar);
    return result;
}

int call_rules_read(_Bool *any)
{
    int failed = read_list("SIMGPU_FAIL", FAIL_GRAMMAR, parse_fail);
    failed |= read_list("SIMGPU_LATENCY", LATENCY_GRAMMAR, parse_latency);
    *any = fail_count + latency_count > 0;
    return failed != 0 ? -EINVAL : 0;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static void delay_call(uint64_t ns)
{
    if (ns < SPIN_LIMIT_NS) {
        uint64_t end = now_ns() + ns;
        while (now_ns() < end) {
        }
        return;
    }
    struct timespec left = { (time_t)(ns / NS_PER_SECOND), (long)(ns % NS_PER_SECOND) };
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static bool rule_applies(const char *rule_name, const char *function)
{
    return strcmp(rule_name, ANY_FUNCTION) == 0 || strcmp(rule_name, function) == 0;
}

/* The first rule that fits decides, so that "cuMemAlloc=5us,*=1us" means what it says. */
static void apply_latency(const char *function)
{
    for (int i = 0; i < latency_count; i++) {
        if (rule_applies(latency_rules[i].name, function)) {
            delay_call(latency_rules[i].ns);
            return;
        }
    }
}

CUresult call_rules_apply(int id)
{
    const char *function = sim_functions[id].base;
    apply_latency(function);
    CUresult result = CUDA_SUCCESS;
    for (int i = 0; i < fail_count; i++) {
        struct fail_rule *rule = &fail_rules[i];
        if (!rule_applies(rule->name, function))
            continue;
        uint64_t call = atomic_fetch_add(&rule->calls, 1) + 1;
        if (result == CUDA_SUCCESS && call >= rule->first && call <= rule->last)
            result = rule->error;
    }
    return result;
}

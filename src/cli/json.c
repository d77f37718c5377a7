#include "cli/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/command.h"
#include "cli/complain.h"

static void check_made(bool made)
{
    if (made)
        return;
    vg_complain("vramguard", "there is no memory left for the JSON");
    exit(VG_EXIT_FAILED);
}

static json_t *made_value(json_t *value)
{
    check_made(value != NULL);
    return value;
}

json_t *vg_json_object(void)
{
    return made_value(json_object());
}

json_t *vg_json_array(void)
{
    return made_value(json_array());
}

void vg_json_set(json_t *object, const char *key, json_t *value)
{
    check_made(json_object_set_new(object, key, made_value(value)) == 0);
}

void vg_json_append(json_t *array, json_t *value)
{
    check_made(json_array_append_new(array, made_value(value)) == 0);
}

void vg_json_set_text(json_t *object, const char *key, const char *text)
{
    const size_t cap = strlen(text) + 1;
    char *const safe = malloc(cap);
    check_made(safe != NULL);
    memcpy(safe, text, cap);
    vg_text_repair(safe, cap);
    vg_json_set(object, key, safe[0] ? json_string(safe) : json_null());
    free(safe);
}

void vg_json_set_amount(json_t *object, const char *key, uint64_t amount)
{
    vg_json_set(object, key, amount <= INT64_MAX ? json_integer((json_int_t)amount) : json_null());
}

void vg_json_set_number(json_t *object, const char *key, int64_t number)
{
    vg_json_set(object, key, json_integer(number));
}

void vg_json_set_known(json_t *object, const char *key, bool is_known, int64_t number)
{
    vg_json_set(object, key, is_known ? json_integer(number) : json_null());
}

void vg_json_set_flag(json_t *object, const char *key, bool is_set)
{
    vg_json_set(object, key, json_boolean(is_set));
}

void vg_json_set_name(json_t *object, const char *key, const char *const *names, size_t name_count,
                      uint64_t value)
{
    vg_json_set_text(object, key, value < name_count && names[value] ? names[value] : "");
}

void vg_json_print(json_t *value)
{
    check_made(json_dumpf(value, stdout, JSON_INDENT(2)) == 0);
    putchar('\n');
    json_decref(value);
}

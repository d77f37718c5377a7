/* JSON as the tool prints it: jansson, with the words of this project. Whoever has no memory left
 * ends with one line; nothing is left out silently. One thread. */
#ifndef VRAMGUARD_CLI_JSON_H
#define VRAMGUARD_CLI_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A new object or array, never NULL. The caller's until it is put into another or printed. */
json_t *vg_json_object(void);
json_t *vg_json_array(void);

/* Puts `value`, which is given away, into `object` under `key`, or at the end of `array`. */
void vg_json_set(json_t *object, const char *key, json_t *value);
void vg_json_append(json_t *array, json_t *value);

/* The same for a text (what is not printable or not UTF-8 is replaced; "" becomes null), an amount
 * or a time (one beyond 2^63, as unknown ones are, becomes null), a number, and a yes or no. */
void vg_json_set_text(json_t *object, const char *key, const char *text);
void vg_json_set_amount(json_t *object, const char *key, uint64_t amount);
void vg_json_set_number(json_t *object, const char *key, int64_t number);
void vg_json_set_flag(json_t *object, const char *key, bool is_set);

/* The same for a number that is not always known; null when it is not. */
void vg_json_set_known(json_t *object, const char *key, bool is_known, int64_t number);

/* The same for a value of an enum, by its name in `names`; null for one that has none there. */
void vg_json_set_name(json_t *object, const char *key, const char *const *names, size_t name_count,
                      uint64_t value);
#define VG_JSON_SET_NAME(object, key, names, value)                                                \
    vg_json_set_name(object, key, names, sizeof(names) / sizeof(names)[0], value)

/* Prints it to standard output, with a newline, and frees it. */
void vg_json_print(json_t *value);

#endif

/* Options from the environment: parsed once, wrong values answered in one line, never fatal. */
#ifndef VRAMGUARD_BASE_OPTION_H
#define VRAMGUARD_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/setting.h"

enum vg_option_type {
    VG_OPTION_CHOICE,
    VG_OPTION_COUNT_TYPE,
    VG_OPTION_PATH,
    VG_OPTION_SIZE,
    VG_OPTION_DURATION,
    VG_OPTION_CHECKED,
};

/* One id per row of the table. */
enum vg_option_id {
#define VG_OPTION(field, ...) VG_OPTION_ID_##field,
#include "base/option_table.h"
#undef VG_OPTION
    VG_OPTION_IDS
};

enum { VG_OPTION_TEXT_CAP = 1024, VG_TORCH_SETTINGS_CAP = 128 };

struct vg_option_value {
    uint64_t number;               /* CHOICE: index of the word; COUNT: the number; SIZE: bytes;
                                      DURATION: milliseconds */
    char text[VG_OPTION_TEXT_CAP]; /* the text as given, for every type */
};

struct vg_options {
#define VG_OPTION(field, ...) struct vg_option_value field;
#include "base/option_table.h"
#undef VG_OPTION
    bool distributed; /* a launcher says that it is one of several processes of a job
                         (launcher_table.h) */
    /* What the user has told PyTorch's allocator, "NAME=VALUE" with the name that PyTorch reads
     * first, safe to print and cut where it is long; "" when neither is set. */
    char torch_settings[VG_TORCH_SETTINGS_CAP];
    char settings[VG_SETTINGS_CAP]; /* what advice could tell to set and is set: setting.h */
    bool jax_asks_once; /* XLA_PYTHON_CLIENT_ALLOCATOR is platform or cuda_async: JAX takes each
                           array from the driver, and does not ask for less (JAX, "GPU memory
                           allocation") */
};

/* Words of the CHOICE options, in the order of their `allowed` column. */
enum { VG_ENABLED_ON, VG_ENABLED_OFF };
enum { VG_LIMIT_SCOPE_PROCESS, VG_LIMIT_SCOPE_SHARED };
enum { VG_PYTHON_TRIM_OFF, VG_PYTHON_TRIM_CACHE, VG_PYTHON_TRIM_FULL };
enum { VG_TENSORS_OFF, VG_TENSORS_LINES, VG_TENSORS_FULL };
enum { VG_STACKS_OFF, VG_STACKS_NATIVE, VG_STACKS_PYTHON, VG_STACKS_FULL };

/* A row of the table, for help texts and documentation. */
struct vg_option_row {
    enum vg_option_id id;
    const char *field, *environment, *default_text, *allowed, *help;
    enum vg_option_type type;
    uint64_t minimum, maximum;
    size_t offset; /* of the struct vg_option_value in struct vg_options */
};

/* The table's rows; `*out_count` of them. Static storage. */
const struct vg_option_row *vg_option_rows(size_t *out_count);

/* Parses `text` for `row` into `out`. Returns 0, or -EINVAL with one line's worth of reason in
 * `why` (`why_cap` bytes): which part is wrong; `out` is then untouched. */
int vg_option_parse(const struct vg_option_row *row, const char *text, struct vg_option_value *out,
                    char *why, size_t why_cap);

/* Where the settings for all users are: as the environment says, or in the default place. */
const char *vg_option_config_path(void);

/* Fills `out` from the environment with secure_getenv and, for what is not set there, from the file
 * of option_file.h; an absent variable means its default. A value that is not allowed is reported
 * by one line on stderr that names the variable, the value, the reason, what is allowed, and the
 * default that is used instead. */
void vg_option_read_environment(struct vg_options *out);

/* Copies the text that is set for the option, in the environment or else in the file of
 * option_file.h, to `out` (`cap` bytes), right or wrong as it is. Returns false when neither has
 * one that fits. For the tool. */
bool vg_option_given(enum vg_option_id id, char *out, size_t cap);

/* Will the library do nothing in a program with this environment? For `vramguard run`. One thread
 * at a time. */
bool vg_option_is_switched_off(void);

/* Checks the text of the CHECKED option `id`; set before options are read by the layer that knows
 * what the text means, so that base needs not. Same contract as vg_option_parse's result. An option
 * without a check takes any text. */
typedef int (*vg_option_check)(const char *text, char *why, size_t why_cap);
void vg_option_set_check(enum vg_option_id id, vg_option_check check);

#endif

#include "oom/notebook.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "oom/callback_thread.h"

enum { GIL_MS = 500, NAME_CAP = 32 };

static bool is_cell(const char *file)
{
    return strstr(file, "/ipykernel_") != NULL;
}

/* ---- with the GIL ---- */

/* The value of an instance's attribute, as its dictionary has it; 0: none. */
static uintptr_t attribute_of(const struct vg_census_python *python, uintptr_t object,
                              const char *name)
{
    const uintptr_t dict = object ? vg_census_instance_dict(python, object) : 0;
    return dict ? vg_census_dict_find(python, dict, name) : 0;
}

/* The dictionary from file names to numbers; 0: there is none. The shell is the only instance of
 * its class, which the class knows (traitlets, SingletonConfigurable). */
static uintptr_t cell_numbers(const struct vg_census_python *python)
{
    const uintptr_t type =
        vg_census_module_type(python, "IPython.core.interactiveshell", "InteractiveShell");
    if (!type)
        return 0;
    const uintptr_t dict = vg_python_word(type + VG_TYPE_DICT);
    const uintptr_t shell = dict ? vg_census_dict_find(python, dict, "_instance") : 0;
    const bool is_shell = shell && python->is_subtype((void *)vg_object_type(shell), (void *)type);
    const uintptr_t compiler = is_shell ? attribute_of(python, shell, "compile") : 0;
    const uintptr_t numbers = attribute_of(python, compiler, "_filename_map");
    return numbers && vg_object_type(numbers) == (uintptr_t)python->dict ? numbers : 0;
}

static bool name_cell(const struct vg_census_python *python, uintptr_t numbers, const char *file,
                      char *out, size_t cap)
{
    const uintptr_t found = vg_census_dict_find(python, numbers, file);
    const bool is_number = found && vg_object_type(found) == (uintptr_t)python->number;
    const long long number = is_number ? python->integer((void *)found) : 0;
    if (number < 0)
        python->api->clear_error();
    return number > 0 && (size_t)snprintf(out, cap, "<cell %lld>", number) < cap;
}

void vg_notebook_name_file(const struct vg_census_python *python, char *file, size_t cap)
{
    char name[NAME_CAP];
    const uintptr_t numbers = is_cell(file) ? cell_numbers(python) : 0;
    if (numbers && name_cell(python, numbers, file, name, sizeof name))
        snprintf(file, cap, "%s", name);
}

static void name_all(struct vg_recorder *recorder)
{
    const struct vg_census_python *const python = vg_census_python();
    char name[NAME_CAP];
    if (!python || python->api->is_finalizing())
        return;
    void *error[3];
    python->put_error_aside(&error[0], &error[1], &error[2]);
    const uintptr_t numbers = cell_numbers(python);
    const struct vg_journal_code *code;
    for (uint32_t id = 1; numbers && (code = vg_recorder_code_record(recorder, id)); id++)
        if (is_cell(code->texts) && name_cell(python, numbers, code->texts, name, sizeof name))
            vg_recorder_rename_code_file(recorder, id, name);
    python->bring_error_back(error[0], error[1], error[2]);
}

/* ---- in a thread of its own, where the failing one lacks the GIL ---- */

static void name_all_task(void *recorder)
{
    const struct vg_python_api *const api = vg_python_api_find();
    if (!api || !api->is_initialized() || api->is_finalizing())
        return;
    const int state = api->ensure();
    name_all(recorder);
    api->release(state);
}

static void do_nothing(void *unused)
{
    (void)unused;
}

static bool has_cells(struct vg_recorder *recorder)
{
    const struct vg_journal_code *code;
    for (uint32_t id = 1; (code = vg_recorder_code_record(recorder, id)); id++)
        if (is_cell(code->texts))
            return true;
    return false;
}

void vg_notebook_name_cells(struct vg_recorder *recorder)
{
    const uint64_t until_ns = vg_clock_monotonic_ns() + GIL_MS * VG_MS_NS;
    if (!recorder || vg_callback_thread_is_current() || !has_cells(recorder))
        return;
    const struct vg_python_api *const api = vg_python_api_find();
    if (!api || !api->is_initialized() || api->is_finalizing())
        return;
    if (api->holds_gil()) {
        name_all(recorder);
        return;
    }
    const struct vg_callback_thread_task task = { .run = name_all_task, .argument = recorder };
    if (vg_callback_thread_claim(until_ns) == 0 &&
        vg_callback_thread_run(&task, until_ns, do_nothing, NULL) != VG_CALLBACK_TIMED_OUT)
        vg_callback_thread_release();
}

/* `vramguard doctor`: whether a command can be watched, and what it brings of Python and PyTorch.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/capture.h"
#include "cli/doctor.h"
#include "cli/reach.h"
#include "unwind/python_layout.h"

enum { PYTHON_MS = 3000 };

/* Imports nothing large: the version of PyTorch is that of its package. */
static char question[] =
    "import sys, sysconfig\n"
    "print(sys.implementation.name, sys.version_info[0], sys.version_info[1],\n"
    "      sysconfig.get_config_var('Py_GIL_DISABLED') or 0, sys.executable)\n"
    "try:\n"
    "    from importlib.metadata import version\n"
    "except ImportError:\n"
    "    raise SystemExit\n"
    "for name in ('torch', 'cupy-cuda12x', 'cupy-cuda13x', 'jax', 'tensorflow'):\n"
    "    try:\n"
    "        print(name, version(name))\n"
    "    except Exception:\n"
    "        pass\n";

static bool is_python(const char *command)
{
    const char *const name = vg_text_base_name(command);
    return strncmp(name, "python", 6) == 0 && strspn(name + 6, "0123456789.td") == strlen(name + 6);
}

/* Returns whether there is such a command. */
static bool say_reach(struct vg_doctor *doctor, const char *command)
{
    struct vg_reach reach;
    if (!vg_reach_find(command)) {
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "command", "there is no program %s", command);
        vg_doctor_advise("%s", strchr(command, '/')
                                   ? "correct the path"
                                   : "correct the name, or add its folder to PATH");
        return false;
    }
    vg_reach_inspect(command, &reach);
    if (!reach.why_not[0]) {
        vg_doctor_say(doctor, VG_FINDING_OK, "command", "%s can be watched", command);
        return true;
    }
    vg_doctor_say(doctor, VG_FINDING_PROBLEM, "command", "%s cannot be watched: %s", command,
                  reach.why_not);
    vg_doctor_advise(
        "what it starts can be watched, if that is an ordinary program of this machine");
    return true;
}

/* Which Python lines the reports can name. */
static void say_python(struct vg_doctor *doctor, const char *line)
{
    char name[32], path[1024] = "";
    unsigned major, minor, without_gil;
    if (sscanf(line, "%31s %u %u %u %1023[^\n]", name, &major, &minor, &without_gil, path) < 4)
        return;
    const bool known = strcmp(name, "cpython") == 0 && major == 3 && !without_gil &&
                       vg_python_layout_of(minor) != NULL;
    if (known)
        vg_doctor_say(doctor, VG_FINDING_OK, "Python", "%u.%u: reports name its lines (%s)", major,
                      minor, path);
    else
        vg_doctor_say(doctor, VG_FINDING_NOTE, "Python",
                      "%s %u.%u%s: reports name native functions only, no lines (%s)", name, major,
                      minor, without_gil ? " without the GIL" : "", path);
}

static void say_packages(struct vg_doctor *doctor, const char *lines)
{
    char packages[256];
    struct vg_text text = vg_text_over(packages, sizeof packages);
    for (const char *line = strchr(lines, '\n'); line && line[1]; line = strchr(line + 1, '\n'))
        vg_text_addf(&text, "%s%.*s", text.length ? ", " : "", (int)strcspn(line + 1, "\n"),
                     line + 1);
    if (text.length)
        vg_doctor_say(doctor, VG_FINDING_OK, "packages", "%s", packages);
    else
        vg_doctor_say(doctor, VG_FINDING_NOTE, "packages",
                      "neither PyTorch nor CuPy, JAX or TensorFlow is installed for this Python");
}

void vg_doctor_program(struct vg_doctor *doctor, char *const *command)
{
    static char answer[4096];
    static char python3[] = "python3", option[] = "-c";
    char *const program = command ? command[0] : python3;
    const char *const nothing[] = { NULL };
    if (command && !say_reach(doctor, program))
        return;
    if (!is_python(program))
        return;
    char *const argv[] = { program, option, question, NULL };
    const int code = vg_capture(argv, nothing, PYTHON_MS, answer, sizeof answer);
    if (code == 127 && !command)
        return; /* a machine without Python */
    if (code != 0) {
        vg_doctor_say(doctor, VG_FINDING_NOTE, "Python", "%s does not say its version (%s)",
                      program,
                      code == -ETIMEDOUT ? "no answer in 3 s"
                      : answer[0]        ? answer
                                         : "it failed");
        return;
    }
    say_python(doctor, answer);
    say_packages(doctor, answer);
}

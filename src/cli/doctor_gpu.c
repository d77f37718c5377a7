/* `vramguard doctor`: the driver, the GPUs, and the ways to the driver. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/amount.h"
#include "cli/capture.h"
#include "cli/doctor.h"
#include "cli/install_paths.h"

enum { ANSWER_CAP = 16 * 1024, PROBE_MS = 5000 };

static char answer[ANSWER_CAP];

/* The value of `key` in the probe's lines from `*at` on; moves `*at` behind it. Returns NULL when
 * there is none. */
static const char *next_value(const char **at, const char *key)
{
    static char value[1024];
    const size_t length = strlen(key);
    for (const char *line = *at; *line;) {
        const size_t size = strcspn(line, "\n");
        const char *const next = line + size + (line[size] == '\n');
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            snprintf(value, sizeof value, "%.*s", (int)(size - length - 1), line + length + 1);
            *at = next;
            return value;
        }
        line = next;
    }
    return NULL;
}

static const char *value_of(const char *key)
{
    const char *at = answer;
    return next_value(&at, key);
}

/* Runs the probe with the library preloaded, on the simulated driver if that is wanted. */
static int ask_probe(const struct vg_doctor *doctor)
{
    char preload[VG_PATH_CAP + 16], path[VG_PATH_CAP + 32], folder[VG_PATH_CAP], id[64];
    char library[VG_PATH_CAP];
    char tool[] = "/proc/self/exe", word[] = "doctor", option[] = "--probe";
    char *const argv[] = { tool, word, option, NULL };
    if (vg_install_loadable_library(library, sizeof library) != 0)
        return -ENOENT;
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
    const char *real[] = { preload, "VRAMGUARD=on", "VRAMGUARD_POLICY=off", "VRAMGUARD_RUN", NULL };
    if (!doctor->simulated)
        return vg_capture(argv, real, PROBE_MS, answer, sizeof answer);
    if (vg_install_simgpu(folder, sizeof folder) != 0)
        return -ENOENT;
    vg_install_make_loadable(folder, sizeof folder);
    snprintf(path, sizeof path, "LD_LIBRARY_PATH=%s", folder);
    snprintf(id, sizeof id, "SIMGPU_ID=doctor-%d", (int)getpid());
    const char *simulated[] = { preload,
                                "VRAMGUARD=on",
                                "VRAMGUARD_POLICY=off",
                                "VRAMGUARD_RUN",
                                "SIMGPU_DEVICES=1GiB",
                                "CUDA_VISIBLE_DEVICES",
                                path,
                                id,
                                NULL };
    const int code = vg_capture(argv, simulated, PROBE_MS, answer, sizeof answer);
    snprintf(path, sizeof path, "/dev/shm/simgpu-%s", strchr(id, '=') + 1);
    unlink(path);
    return code;
}

/* ---- what the driver says ---- */

static void say_gpus(struct vg_doctor *doctor)
{
    const char *at = answer;
    for (const char *value; (value = next_value(&at, "gpu"));)
        vg_doctor_say(doctor, VG_FINDING_OK, "GPU", "%s", value);
}

/* The driver's own answer to cuInit, where that is an error (CUresult of the driver API). */
static void say_refusal(struct vg_doctor *doctor, int error)
{
    vg_doctor_say(doctor, VG_FINDING_PROBLEM, "driver", "cuInit fails with error %d%s", error,
                  error == 100   ? ": the driver shows no GPU"
                  : error == 803 ? ": the driver's library and its kernel module do not fit"
                  : error == 999 ? ": the driver gives no reason"
                                 : "");
    if (error == 100)
        vg_doctor_advise(
            "look at nvidia-smi -L and at CUDA_VISIBLE_DEVICES (%s); start a container "
            "with --gpus all",
            getenv("CUDA_VISIBLE_DEVICES") ? getenv("CUDA_VISIBLE_DEVICES") : "not set");
    else if (error == 803)
        vg_doctor_advise("reboot, or load the module again, after an update of the driver");
    else
        vg_doctor_advise("nvidia-smi and the kernel's log (dmesg | grep -i nvrm) say more");
}

/* Returns whether there is a driver that works. */
static bool say_driver(struct vg_doctor *doctor)
{
    const char *path = value_of("driver");
    if (!path) {
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "driver", "there is no libcuda.so.1 here");
        vg_doctor_advise(
            "install NVIDIA's driver, or start the container with --gpus all; without "
            "a GPU: vramguard run --simulate 24GiB -- COMMAND");
        return false;
    }
    char where[1024];
    snprintf(where, sizeof where, "%s", path);
    const char *const error = value_of("init");
    if (error && atoi(error) != 0) {
        say_refusal(doctor, atoi(error));
        return false;
    }
    const char *const version = value_of("version");
    const int number = version ? atoi(version) : 0;
    vg_doctor_say(doctor, VG_FINDING_OK, "driver", "%s, for CUDA up to %d.%d", where, number / 1000,
                  number % 1000 / 10);
    say_gpus(doctor);
    return true;
}

static void say_nvml(struct vg_doctor *doctor)
{
    const char *const version = value_of("nvml");
    if (version) {
        vg_doctor_say(doctor, VG_FINDING_OK, "NVML", "driver %s", version);
        return;
    }
    const char *const why = value_of("no-nvml");
    vg_doctor_say(doctor, VG_FINDING_NOTE, "NVML", "%s: reports cannot name other processes",
                  why ? why : "it does not answer");
    vg_doctor_advise(
        "install libnvidia-ml.so.1, a part of the driver; in a container it needs "
        "NVIDIA_DRIVER_CAPABILITIES=compute,utility");
}

/* ---- whether we are on the way ---- */

static void say_route(struct vg_doctor *doctor, const char *key, const char *what)
{
    const char *const value = value_of(key);
    const char *const where = doctor->simulated ? " (tried on a simulated GPU)" : "";
    if (value && strcmp(value, "ours") == 0) {
        vg_doctor_say(doctor, VG_FINDING_OK, "seen", "%s%s", what, where);
        return;
    }
    vg_doctor_say(doctor, VG_FINDING_PROBLEM, "seen", "not %s%s: answered by %s", what, where,
                  value ? value : "nobody");
    vg_doctor_advise(
        "look for another preloaded library before vramguard: LD_PRELOAD=%s, "
        "/etc/ld.so.preload",
        getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "");
}

static void say_routes(struct vg_doctor *doctor)
{
    const char *const preloaded = value_of("preloaded");
    if (!preloaded) {
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "preload", "the loader does not preload %s",
                      doctor->library);
        vg_doctor_advise("env $(vramguard env) ls says why");
        return;
    }
    vg_doctor_say(doctor, VG_FINDING_OK, "preload", "works, version %s", preloaded);
    say_route(doctor, "linked", "calls of programs that are linked with libcuda");
    say_route(doctor, "dlsym", "calls through dlopen and dlsym");
    say_route(doctor, "cuGetProcAddress", "calls through cuGetProcAddress (CUDA's runtime)");
}

void vg_doctor_gpu(struct vg_doctor *doctor)
{
    if (!doctor->library[0])
        return;
    int code = ask_probe(doctor);
    if (code == -ETIMEDOUT) {
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "driver", "it does not answer within %d s",
                      PROBE_MS / 1000);
        vg_doctor_advise("nvidia-smi hangs then, too; the kernel's log (dmesg) says more");
    } else if (code != 0) {
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "driver", "a program that asks it ends with %d",
                      code);
    } else if (say_driver(doctor)) {
        say_nvml(doctor);
        say_routes(doctor);
        return;
    }
    doctor->simulated = true;
    code = ask_probe(doctor);
    if (code == 0)
        say_routes(doctor);
    else
        vg_doctor_say(doctor, VG_FINDING_PROBLEM, "preload",
                      "cannot be tried on a simulated GPU either (%d)", code);
}

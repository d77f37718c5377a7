#include "cli/gpu_select.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/read_fully.h"
#include "base/size.h"
#include "cli/command.h"
#include "cli/complain.h"
#include "driver/driver.h"
#include "machine/machine.h"
#include "os/process.h"
#include "shared/registry.h"

enum {
    GPUS = 64,
    PENDING_MS = 60000, /* so long a program that was placed may take until it uses its GPU */
    LOCK_TRIES = 200,   /* of 10 ms: others choose at the same time */
    NOMINAL_MIB = 512,  /* a context and its libraries */
};

struct gpu {
    char uuid[48];
    char name[64];
    uint64_t total_bytes, free_bytes; /* VG_BYTES_UNKNOWN if not told */
    uint64_t promised_bytes;          /* to other guarded processes, and not held yet */
    unsigned pending;                 /* how many of them hold nothing yet */
};

struct gpus {
    unsigned count;
    struct gpu list[GPUS];
};

/* ---- in the child: CUDA and NVML ---- */

static bool open_library(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s%s%s", folder ? folder : "", folder ? "/" : "", name);
    return dlopen(path, RTLD_LAZY | RTLD_GLOBAL) != NULL;
}

/* What NVML knows of the GPUs that CUDA shows. A MIG instance, which is the only one then, is known
 * to it by another name. */
static void measure_free(struct gpus *gpus)
{
    struct vg_region region = vg_region_over(NULL, 0);
    struct vg_machine machine;
    const struct vg_machine_question question = { .uuid = gpus->list[0].uuid, .pci_bus_id = "" };
    vg_machine_measure(&question, &region, &machine);
    if (machine.asked)
        gpus->list[0].free_bytes = machine.asked->free_bytes;
    for (unsigned i = 1; i < gpus->count; i++)
        for (size_t k = 0; k < machine.gpu_count; k++)
            if (strcasecmp(machine.gpus[k].uuid, gpus->list[i].uuid) == 0)
                gpus->list[i].free_bytes = machine.gpus[k].free_bytes;
    vg_region_release(&region);
}

/* The GPUs that CUDA shows to this process; making no context. */
static void list_gpus(const char *driver_folder, struct gpus *out)
{
    int count = 0;
    if (!open_library(driver_folder, "libcuda.so.1") || !vg_driver_bind() || !vg_driver.cuInit ||
        vg_driver.cuInit(0) != CUDA_SUCCESS || !vg_driver.cuDeviceGetCount ||
        vg_driver.cuDeviceGetCount(&count) != CUDA_SUCCESS)
        return;
    if (driver_folder)
        open_library(driver_folder, "libnvidia-ml.so.1");
    for (int i = 0; i < count && out->count < GPUS; i++) {
        struct gpu *const gpu = &out->list[out->count++];
        size_t total_bytes = 0;
        vg_driver_device_uuid(i, gpu->uuid, sizeof gpu->uuid);
        if (vg_driver.cuDeviceGetName)
            vg_driver.cuDeviceGetName(gpu->name, sizeof gpu->name, i);
        if (vg_driver.cuDeviceTotalMem_v2)
            vg_driver.cuDeviceTotalMem_v2(&total_bytes, i);
        gpu->total_bytes = total_bytes;
        gpu->free_bytes = VG_BYTES_UNKNOWN;
    }
    if (out->count > 0)
        measure_free(out);
}

static bool ask_child(const char *driver_folder, struct gpus *out)
{
    int ends[2];
    fflush(NULL);
    if (pipe(ends) != 0)
        return false;
    const pid_t child = fork();
    if (child == 0) {
        static struct gpus found;
        close(ends[0]);
        list_gpus(driver_folder, &found);
        _exit(write(ends[1], &found, sizeof found) == (ssize_t)sizeof found ? 0 : 1);
    }
    close(ends[1]);
    const bool answered =
        child > 0 && vg_read_fully(ends[0], out, sizeof *out) == (ssize_t)sizeof *out;
    close(ends[0]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return answered && out->count <= GPUS;
}

/* ---- choosing ---- */

static void add_promises(const char *uuid, struct vg_registry_file *file, void *argument)
{
    static struct vg_registry_entry members[VG_REGISTRY_SLOTS];
    struct gpus *const gpus = argument;
    unsigned at = 0;
    while (at < gpus->count && strcmp(gpus->list[at].uuid, uuid) != 0)
        at++;
    if (at == gpus->count)
        return;
    struct gpu *const gpu = &gpus->list[at];
    const size_t count = vg_registry_members(file, false, members, VG_REGISTRY_SLOTS);
    for (size_t i = 0; i < count; i++) {
        if (members[i].reserved_bytes <= members[i].held_bytes)
            continue;
        gpu->promised_bytes += members[i].reserved_bytes - members[i].held_bytes;
        gpu->pending += members[i].held_bytes == 0;
    }
}

static uint64_t available_bytes(const struct gpu *gpu)
{
    /* Without NVML all that is known is who has been promised what. */
    const uint64_t free_bytes =
        gpu->free_bytes == VG_BYTES_UNKNOWN ? gpu->total_bytes : gpu->free_bytes;
    return free_bytes > gpu->promised_bytes ? free_bytes - gpu->promised_bytes : 0;
}

static const struct gpu *choose_gpu(const struct gpus *gpus)
{
    const struct gpu *best = NULL;
    for (unsigned i = 0; i < gpus->count; i++) {
        const struct gpu *const gpu = &gpus->list[i];
        if (!best ||
            available_bytes(gpu) / (1 + gpu->pending) > available_bytes(best) / (1 + best->pending))
            best = gpu;
    }
    return best;
}

/* Others may choose at the same moment: one at a time, for a while. Returns a descriptor or -errno.
 */
static int lock_decision(void)
{
    const struct timespec pause = { .tv_nsec = 10000000 };
    int decision = -EAGAIN;
    for (int i = 0; decision == -EAGAIN && i < LOCK_TRIES; i++) {
        decision = vg_registry_lock_decision();
        if (decision == -EAGAIN)
            nanosleep(&pause, NULL);
    }
    return decision;
}

static void reserve_memory(const struct gpu *gpu, uint64_t need_bytes)
{
    struct vg_registration registration;
    vg_registry_join(gpu->uuid, &registration);
    if (need_bytes > 0)
        vg_registry_reserve(&registration, need_bytes, UINT64_MAX);
    else
        vg_registry_reserve(&registration, NOMINAL_MIB * VG_MIB,
                            vg_clock_monotonic_ns() + PENDING_MS * UINT64_C(1000000));
}

static void log_choice(const struct gpus *gpus, const struct gpu *gpu, uint64_t need_bytes)
{
    char amount[VG_SIZE_TEXT_CAP], need[VG_SIZE_TEXT_CAP];
    vg_complain("vramguard", "GPU %d of %u (%s, %s) %s %s; CUDA_VISIBLE_DEVICES=%s",
                (int)(gpu - gpus->list), gpus->count, gpu->name, gpu->uuid,
                gpu->free_bytes == VG_BYTES_UNKNOWN ? "has, as far as is known, the most memory:"
                                                    : "has the most free memory:",
                vg_size_format(amount, available_bytes(gpu)), gpu->uuid);
    if (need_bytes > available_bytes(gpu))
        vg_complain("vramguard",
                    "no GPU has %s free now (VRAMGUARD_NEED): the program waits for it",
                    vg_size_format(need, need_bytes));
}

int vg_gpu_select(const char *driver_folder, uint64_t need_bytes)
{
    static struct gpus gpus;
    const int decision = lock_decision();
    if (!ask_child(driver_folder, &gpus) || gpus.count == 0) {
        vg_complain("vramguard run",
                    "--gpu auto: CUDA shows no GPU here (driver not loaded, or "
                    "CUDA_VISIBLE_DEVICES is empty)");
        if (decision >= 0)
            close(decision);
        return VG_EXIT_FAILED;
    }
    vg_registry_each(add_promises, &gpus);
    const struct gpu *const best = choose_gpu(&gpus);
    reserve_memory(best, need_bytes);
    if (decision >= 0)
        close(decision);
    log_choice(&gpus, best, need_bytes);
    if (!best->uuid[0] || gpus.count == 1)
        return 0; /* a MIG instance is the only one and has another kind of name */
    return setenv("CUDA_VISIBLE_DEVICES", best->uuid, 1) == 0 ? 0 : VG_EXIT_FAILED;
}

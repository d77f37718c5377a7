/* A stand-in for NVML: two GPUs and as many processes as a test wants. Each device's handle is the
 * address of its description, so that answers of one cannot be taken for the other's. */
#ifndef VRAMGUARD_TEST_UNIT_NVML_FAKE_H
#define VRAMGUARD_TEST_UNIT_NVML_FAKE_H

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/size.h"
#include "driver/nvml.h"

enum { FAKE_GPUS = 2, FAKE_PROCESSES = 3000 };

struct fake_gpu {
    const char *uuid, *bus;
    unsigned long long total, free;
    unsigned compute_count, graphics_count;
    nvmlProcessInfo_t compute[FAKE_PROCESSES], graphics[4];
    int compute_result; /* NVML_SUCCESS, or what the question returns */
};

static struct fake_gpu fake_gpus[FAKE_GPUS];
static atomic_int fake_opened, fake_closed;
static atomic_uint fake_delay_ms; /* of each list of processes */
static int fake_open_result;
static bool fake_tells_count = true; /* the needed size when the array is too small */

static __attribute__((unused)) int fake_ok(void)
{
    return NVML_SUCCESS;
}

static int fake_shutdown(void)
{
    atomic_fetch_add(&fake_closed, 1);
    return NVML_SUCCESS;
}

static int fake_driver_version(char *out, unsigned cap)
{
    snprintf(out, cap, "580.00.00");
    return NVML_SUCCESS;
}

static int fake_count(unsigned *count)
{
    *count = FAKE_GPUS;
    return NVML_SUCCESS;
}

static int fake_handle(unsigned index, nvmlDevice_t *out)
{
    if (index >= FAKE_GPUS)
        return 2;
    *out = (nvmlDevice_t)&fake_gpus[index];
    return NVML_SUCCESS;
}

static int fake_handle_by_uuid(const char *uuid, nvmlDevice_t *out)
{
    (void)uuid, (void)out;
    return 2;
}

static const struct fake_gpu *fake_of(nvmlDevice_t device)
{
    return (const struct fake_gpu *)device;
}

static int fake_name(nvmlDevice_t device, char *out, unsigned cap)
{
    (void)device;
    snprintf(out, cap, "Fake GPU");
    return NVML_SUCCESS;
}

static int fake_uuid(nvmlDevice_t device, char *out, unsigned cap)
{
    snprintf(out, cap, "%s", fake_of(device)->uuid);
    return NVML_SUCCESS;
}

static int fake_pci(nvmlDevice_t device, nvmlPciInfo_t *out)
{
    memset(out, 0, sizeof *out);
    snprintf(out->busId, sizeof out->busId, "%s", fake_of(device)->bus);
    return NVML_SUCCESS;
}

static int fake_memory(nvmlDevice_t device, nvmlMemory_t *out)
{
    *out = (nvmlMemory_t){ .total = fake_of(device)->total, .free = fake_of(device)->free };
    return NVML_SUCCESS;
}

static int fake_list(const nvmlProcessInfo_t *list, unsigned have, unsigned *count,
                     nvmlProcessInfo_t *out)
{
    const struct timespec pause = { .tv_sec = atomic_load(&fake_delay_ms) / 1000,
                                    .tv_nsec = atomic_load(&fake_delay_ms) % 1000 * 1000000L };
    const unsigned fits = have < *count ? have : *count;
    /* One at a time with a pause in between: two who share an array would see each other's. */
    for (unsigned i = 0; i < fits; i++) {
        out[i] = list[i];
        if (i == fits / 2 && (pause.tv_sec || pause.tv_nsec))
            nanosleep(&pause, NULL);
    }
    const bool too_small = have > *count;
    *count = too_small && !fake_tells_count ? *count : have;
    return too_small ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

static int fake_compute(nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *out)
{
    const struct fake_gpu *const gpu = fake_of(device);
    if (gpu->compute_result != NVML_SUCCESS)
        return gpu->compute_result;
    return fake_list(gpu->compute, gpu->compute_count, count, out);
}

static int fake_graphics(nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *out)
{
    const struct fake_gpu *const gpu = fake_of(device);
    if (gpu->compute_result != NVML_SUCCESS)
        return gpu->compute_result;
    return fake_list(gpu->graphics, gpu->graphics_count, count, out);
}

static const struct vg_nvml_functions fake_functions = {
    .init = fake_ok,
    .shutdown = fake_shutdown,
    .driver_version = fake_driver_version,
    .count = fake_count,
    .handle = fake_handle,
    .handle_by_uuid = fake_handle_by_uuid,
    .name = fake_name,
    .uuid = fake_uuid,
    .pci = fake_pci,
    .memory = fake_memory,
    .compute_processes = fake_compute,
    .graphics_processes = fake_graphics,
};

static int fake_open(struct vg_nvml *out, char *why, size_t why_cap)
{
    if (fake_open_result != 0) {
        snprintf(why, why_cap, "no NVML here");
        return fake_open_result;
    }
    atomic_fetch_add(&fake_opened, 1);
    *out = (struct vg_nvml){ .functions = &fake_functions };
    return 0;
}

static int fake_reset(void **state)
{
    (void)state;
    memset(fake_gpus, 0, sizeof fake_gpus);
    fake_gpus[0].uuid = "GPU-aaaaaaaa-0000";
    fake_gpus[0].bus = "00000000:3B:00.0";
    fake_gpus[1].uuid = "GPU-bbbbbbbb-1111";
    fake_gpus[1].bus = "00000000:AF:00.0";
    fake_gpus[0].total = fake_gpus[1].total = 8 * VG_GIB;
    fake_gpus[0].free = 1 * VG_GIB;
    fake_gpus[1].free = 5 * VG_GIB;
    fake_delay_ms = 0;
    fake_open_result = 0;
    fake_tells_count = true;
    return 0;
}

static void fake_add(int gpu, unsigned pid, unsigned long long bytes)
{
    struct fake_gpu *const to = &fake_gpus[gpu];
    to->compute[to->compute_count++] = (nvmlProcessInfo_t){ .pid = pid, .usedGpuMemory = bytes };
}

#endif

/* An NVML of a machine whose one GPU is divided into MIG instances, for test_mig.py: the GPU is at
 * FAKE_PCI, and the instance whose "MIG-..." name is FAKE_MIG has 1 GiB, of which pid FAKE_PID
 * holds 300 MiB. What the whole GPU has and holds must not be taken for the instance's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct memory {
    unsigned long long total, free, used;
};

struct process {
    unsigned int pid;
    unsigned long long bytes;
    unsigned int gpu_instance, compute_instance;
};

struct pci {
    char legacy[16];
    unsigned int numbers[5];
    char bus_id[32];
};

static int gpu, instance;

int nvmlInit_v2(void)
{
    return 0;
}

int nvmlShutdown(void)
{
    return 0;
}

int nvmlSystemGetDriverVersion(char *out, unsigned int cap)
{
    snprintf(out, cap, "999.1");
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned int *count)
{
    *count = 1;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device)
{
    *device = &gpu;
    return index == 0 ? 0 : 2;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device)
{
    *device = &instance;
    return strcmp(uuid, getenv("FAKE_MIG")) == 0 ? 0 : 6;
}

int nvmlDeviceGetName(void *device, char *out, unsigned int cap)
{
    snprintf(out, cap, device == &gpu ? "Whole" : "Instance");
    return 0;
}

int nvmlDeviceGetUUID(void *device, char *out, unsigned int cap)
{
    snprintf(out, cap,
             device == &gpu ? "GPU-00000000-1111-2222-3333-444444444444" : getenv("FAKE_MIG"));
    return 0;
}

int nvmlDeviceGetPciInfo_v3(void *device, struct pci *out)
{
    (void)device;
    memset(out, 0, sizeof *out);
    snprintf(out->bus_id, sizeof out->bus_id, "%s", getenv("FAKE_PCI"));
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *device, struct memory *out)
{
    const unsigned long long gib = 1ull << 30;
    out->total = device == &gpu ? 80 * gib : gib;
    out->free = device == &gpu ? 70 * gib : gib / 2;
    out->used = out->total - out->free;
    return 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, struct process *out)
{
    *count = 1;
    out[0].pid = (unsigned)atoi(getenv("FAKE_PID")) + (device == &gpu);
    out[0].bytes = 300ull << 20;
    return 0;
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned int *count, struct process *out)
{
    (void)device;
    (void)out;
    *count = 0;
    return 0;
}

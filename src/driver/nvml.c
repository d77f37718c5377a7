#include "driver/nvml.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/size.h"
#include "driver/nvml_abi.h"
#include "os/elf_symbol.h"

typedef int (*processes_function)(nvmlDevice_t, unsigned int *, nvmlProcessInfo_t *);

struct vg_nvml_functions {
    int (*init)(void);
    int (*shutdown)(void);
    int (*driver_version)(char *, unsigned int);
    int (*count)(unsigned int *);
    int (*handle)(unsigned int, nvmlDevice_t *);
    int (*handle_by_uuid)(const char *, nvmlDevice_t *);
    int (*name)(nvmlDevice_t, char *, unsigned int);
    int (*uuid)(nvmlDevice_t, char *, unsigned int);
    int (*pci)(nvmlDevice_t, nvmlPciInfo_t *);
    int (*memory)(nvmlDevice_t, nvmlMemory_t *);
    processes_function compute_processes, graphics_processes;
};

_Static_assert(sizeof(struct vg_nvml_functions) <= sizeof((struct vg_nvml *)0)->functions_storage,
               "the table must fit its place");

static const struct {
    const char *name;
    size_t offset;
} symbols[] = {
    { "nvmlInit_v2", offsetof(struct vg_nvml_functions, init) },
    { "nvmlShutdown", offsetof(struct vg_nvml_functions, shutdown) },
    { "nvmlSystemGetDriverVersion", offsetof(struct vg_nvml_functions, driver_version) },
    { "nvmlDeviceGetCount_v2", offsetof(struct vg_nvml_functions, count) },
    { "nvmlDeviceGetHandleByIndex_v2", offsetof(struct vg_nvml_functions, handle) },
    { "nvmlDeviceGetHandleByUUID", offsetof(struct vg_nvml_functions, handle_by_uuid) },
    { "nvmlDeviceGetName", offsetof(struct vg_nvml_functions, name) },
    { "nvmlDeviceGetUUID", offsetof(struct vg_nvml_functions, uuid) },
    { "nvmlDeviceGetPciInfo_v3", offsetof(struct vg_nvml_functions, pci) },
    { "nvmlDeviceGetMemoryInfo", offsetof(struct vg_nvml_functions, memory) },
    { "nvmlDeviceGetComputeRunningProcesses_v3",
      offsetof(struct vg_nvml_functions, compute_processes) },
    { "nvmlDeviceGetGraphicsRunningProcesses_v3",
      offsetof(struct vg_nvml_functions, graphics_processes) },
};

/* The library's own function, not a wrapper of ours, which dlsym might answer. */
static void *real_function(void *library, const char *name)
{
    const struct link_map *map;
    struct vg_elf_object object;
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0 ||
        vg_elf_find_address((uintptr_t)map->l_ld, &object) != 0)
        return NULL;
    return vg_elf_symbol(&object, name);
}

int vg_nvml_open(struct vg_nvml *out, char *why, size_t why_cap)
{
    out->library = dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (!out->library) {
        const char *const text = dlerror();
        snprintf(why, why_cap, "%s", text ? text : "cannot be loaded");
        return -ENOENT;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        void *const address = real_function(out->library, symbols[i].name);
        if (!address) {
            snprintf(why, why_cap, "%s is missing in libnvidia-ml.so.1", symbols[i].name);
            dlclose(out->library);
            return -ENOENT;
        }
        memcpy(out->functions_storage + symbols[i].offset, &address, sizeof address);
    }
    out->functions = (const void *)out->functions_storage;
    const int result = out->functions->init();
    if (result != NVML_SUCCESS) {
        snprintf(why, why_cap, "nvmlInit returned %d", result);
        dlclose(out->library);
        return -EIO;
    }
    return 0;
}

void vg_nvml_close(struct vg_nvml *nvml)
{
    nvml->functions->shutdown();
    dlclose(nvml->library);
    nvml->library = NULL;
}

void vg_nvml_driver_version(const struct vg_nvml *nvml, char *out, size_t cap)
{
    if (nvml->functions->driver_version(out, (unsigned)cap) != NVML_SUCCESS)
        out[0] = '\0';
}

unsigned vg_nvml_device_count(const struct vg_nvml *nvml)
{
    unsigned count = 0;
    return nvml->functions->count(&count) == NVML_SUCCESS ? count : 0;
}

static int handle_of(const struct vg_nvml *nvml, unsigned index, nvmlDevice_t *out)
{
    if (index != VG_NVML_INSTANCE)
        return nvml->functions->handle(index, out);
    *out = nvml->instance;
    return NVML_SUCCESS;
}

int vg_nvml_describe_device(const struct vg_nvml *nvml, unsigned index, struct vg_nvml_device *out)
{
    nvmlDevice_t device;
    nvmlMemory_t memory;
    nvmlPciInfo_t pci;
    if (handle_of(nvml, index, &device) != NVML_SUCCESS)
        return -EIO;
    *out =
        (struct vg_nvml_device){ .total_bytes = VG_BYTES_UNKNOWN, .free_bytes = VG_BYTES_UNKNOWN };
    if (nvml->functions->uuid(device, out->uuid, sizeof out->uuid) != NVML_SUCCESS)
        out->uuid[0] = '\0';
    if (nvml->functions->name(device, out->name, sizeof out->name) != NVML_SUCCESS)
        out->name[0] = '\0';
    if (nvml->functions->pci(device, &pci) == NVML_SUCCESS)
        memcpy(out->pci_bus_id, pci.busId, sizeof out->pci_bus_id);
    out->pci_bus_id[sizeof out->pci_bus_id - 1] = '\0';
    if (nvml->functions->memory(device, &memory) == NVML_SUCCESS) {
        out->total_bytes = memory.total;
        out->free_bytes = memory.free;
    }
    return 0;
}

/* "0000:3B:00.0" and "00000000:3b:00.0" are the same place: CUDA writes four digits of the domain,
 * NVML eight. */
static bool same_pci_bus_id(const char *a, const char *b)
{
    const char *const a_rest = strchr(a, ':'), *const b_rest = strchr(b, ':');
    return a_rest && b_rest && strcasecmp(a_rest, b_rest) == 0;
}

/* Is there a MIG instance with the digits of `uuid`? */
static bool find_instance(struct vg_nvml *nvml, const char *uuid)
{
    char name[96];
    nvmlDevice_t instance;
    if (strncmp(uuid, "GPU-", 4) != 0)
        return false;
    snprintf(name, sizeof name, "MIG-%s", uuid + 4);
    if (nvml->functions->handle_by_uuid(name, &instance) != NVML_SUCCESS)
        return false;
    nvml->instance = instance;
    return true;
}

int vg_nvml_find(struct vg_nvml *nvml, const char *uuid, const char *pci_bus_id)
{
    const unsigned count = vg_nvml_device_count(nvml);
    int by_pci = -ENOENT;
    for (unsigned i = 0; i < count; i++) {
        struct vg_nvml_device device;
        if (vg_nvml_describe_device(nvml, i, &device) != 0)
            continue;
        if (uuid[0] && strcasecmp(device.uuid, uuid) == 0)
            return (int)i;
        if (by_pci < 0 && same_pci_bus_id(device.pci_bus_id, pci_bus_id))
            by_pci = (int)i;
    }
    if (find_instance(nvml, uuid))
        return VG_NVML_INSTANCE;
    return by_pci;
}

enum { QUERY_CAP = 256 };

/* Appends what `query` lists and `out` does not hold yet; returns the new count. */
static int add_processes(processes_function query, nvmlDevice_t device, struct vg_nvml_process *out,
                         size_t cap, int count)
{
    /* Not on the stack, which may be a small one: one report is made at a time (oom/emit.c). */
    static nvmlProcessInfo_t list[QUERY_CAP];
    unsigned listed = QUERY_CAP;
    const int result = query(device, &listed, list);
    if (result == NVML_ERROR_INSUFFICIENT_SIZE)
        listed = QUERY_CAP; /* the first QUERY_CAP were filled in */
    else if (result != NVML_SUCCESS)
        return count;
    for (unsigned i = 0; i < listed && i < QUERY_CAP; i++) {
        bool known = false;
        for (int k = 0; k < count && (size_t)k < cap; k++)
            known = known || out[k].pid == (int32_t)list[i].pid;
        if (known)
            continue;
        if ((size_t)count < cap)
            out[count] = (struct vg_nvml_process){
                .pid = (int32_t)list[i].pid,
                .bytes = list[i].usedGpuMemory == ~0ull ? VG_BYTES_UNKNOWN : list[i].usedGpuMemory,
            };
        count++;
    }
    return count;
}

int vg_nvml_processes(const struct vg_nvml *nvml, unsigned index, struct vg_nvml_process *out,
                      size_t cap)
{
    nvmlDevice_t device;
    if (handle_of(nvml, index, &device) != NVML_SUCCESS)
        return -EIO;
    int count = add_processes(nvml->functions->compute_processes, device, out, cap, 0);
    return add_processes(nvml->functions->graphics_processes, device, out, cap, count);
}

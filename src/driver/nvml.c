#include "driver/nvml.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/size.h"
#include "driver/nvml_abi.h"
#include "os/elf_symbol.h"
#include "os/loader.h"

static const struct {
    const char *name;
    size_t offset;
} nvml_symbols[] = {
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
    const struct link_map *const map = vg_loader_map_of(library);
    struct vg_elf_object object;
    if (!map || vg_elf_find_address((uintptr_t)map->l_ld, &object) != 0)
        return NULL;
    return vg_elf_symbol(&object, name);
}

int vg_nvml_open(struct vg_nvml *out, char *why, size_t why_cap)
{
    out->library = vg_loader_open("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (!out->library) {
        const char *const text = dlerror();
        snprintf(why, why_cap, "%s", text ? text : "cannot be loaded");
        return -ENOENT;
    }
    for (size_t i = 0; i < sizeof nvml_symbols / sizeof nvml_symbols[0]; i++) {
        void *const address = real_function(out->library, nvml_symbols[i].name);
        if (!address) {
            snprintf(why, why_cap, "%s is missing in libnvidia-ml.so.1", nvml_symbols[i].name);
            vg_loader_close(out->library);
            return -ENOENT;
        }
        memcpy((char *)&out->found + nvml_symbols[i].offset, &address, sizeof address);
    }
    out->functions = &out->found;
    const int result = out->functions->init();
    if (result != NVML_SUCCESS) {
        snprintf(why, why_cap, "nvmlInit returned %d", result);
        vg_loader_close(out->library);
        return -EIO;
    }
    return 0;
}

void vg_nvml_close(struct vg_nvml *nvml)
{
    nvml->functions->shutdown();
    if (nvml->library)
        vg_loader_close(nvml->library);
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

/* A driver that never has room enough is not asked for ever: then those that fit are told, more
 * than 65000. */
enum { QUERY_SPARE = 32, QUERY_FIRST = 64, QUERY_TRIES = 10 };

/* All that `query` lists, into `region`. Returns their number or -errno. */
static int list_processes(vg_nvml_processes_function query, nvmlDevice_t device,
                          struct vg_region *region, nvmlProcessInfo_t **out)
{
    unsigned cap = QUERY_FIRST;
    for (int i = 0;; i++) {
        unsigned listed = cap;
        *out = vg_region_array(region, cap, sizeof **out);
        if (!*out)
            return -ENOMEM;
        const int result = query(device, &listed, *out);
        if (result == NVML_SUCCESS)
            return (int)(listed < cap ? listed : cap);
        if (result != NVML_ERROR_INSUFFICIENT_SIZE)
            return -EIO;
        if (i == QUERY_TRIES)
            return (int)cap; /* as many as fitted were filled in */
        /* `listed` is how many there are, with drivers that say so. */
        cap = (listed > cap ? listed : 2 * cap) + QUERY_SPARE;
    }
}

/* Appends those of `list` that `out` does not hold yet; returns the new count. */
static size_t add_processes(const nvmlProcessInfo_t *list, int listed, struct vg_nvml_process *out,
                            size_t count)
{
    for (int i = 0; i < listed; i++) {
        size_t k = 0;
        while (k < count && out[k].pid != (int32_t)list[i].pid)
            k++;
        if (k < count)
            continue;
        out[count++] = (struct vg_nvml_process){
            .pid = (int32_t)list[i].pid,
            .bytes = list[i].usedGpuMemory == ~0ull ? VG_BYTES_UNKNOWN : list[i].usedGpuMemory,
        };
    }
    return count;
}

int vg_nvml_processes(const struct vg_nvml *nvml, unsigned index, struct vg_region *region,
                      struct vg_nvml_process **out, size_t *out_count)
{
    nvmlDevice_t device;
    nvmlProcessInfo_t *compute = NULL, *graphics = NULL;
    *out = NULL;
    *out_count = 0;
    if (handle_of(nvml, index, &device) != NVML_SUCCESS)
        return -EIO;
    const int compute_count =
        list_processes(nvml->functions->compute_processes, device, region, &compute);
    const int graphics_count =
        list_processes(nvml->functions->graphics_processes, device, region, &graphics);
    if (compute_count < 0 && graphics_count < 0)
        return compute_count;
    const size_t cap = (size_t)(compute_count > 0 ? compute_count : 0) +
                       (size_t)(graphics_count > 0 ? graphics_count : 0);
    *out = vg_region_array(region, cap, sizeof **out);
    if (cap > 0 && !*out)
        return -ENOMEM;
    *out_count = add_processes(compute, compute_count, *out, 0);
    *out_count = add_processes(graphics, graphics_count, *out, *out_count);
    return 0;
}

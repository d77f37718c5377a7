/* The simulated NVML: the same devices, UUIDs and bytes as the driver's, seen by any process. */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "cuda.h"
#include "simgpu/nvml/nvml_abi.h"

#define MIB 1048576u

static struct {
#define NVML_CALL(name, params) nvmlReturn_t(*name) params;
#define NVML_LIST                                                                                  \
    NVML_CALL(nvmlInit_v2, (void))                                                                 \
    NVML_CALL(nvmlShutdown, (void))                                                                \
    NVML_CALL(nvmlSystemGetDriverVersion, (char *version, unsigned int length))                    \
    NVML_CALL(nvmlSystemGetNVMLVersion, (char *version, unsigned int length))                      \
    NVML_CALL(nvmlSystemGetCudaDriverVersion_v2, (int *version))                                   \
    NVML_CALL(nvmlSystemGetProcessName, (unsigned int pid, char *name, unsigned int length))       \
    NVML_CALL(nvmlDeviceGetCount_v2, (unsigned int *count))                                        \
    NVML_CALL(nvmlDeviceGetHandleByIndex_v2, (unsigned int index, nvmlDevice_t *device))           \
    NVML_CALL(nvmlDeviceGetHandleByUUID, (const char *uuid, nvmlDevice_t *device))                 \
    NVML_CALL(nvmlDeviceGetHandleByPciBusId_v2, (const char *id, nvmlDevice_t *device))            \
    NVML_CALL(nvmlDeviceGetName, (nvmlDevice_t device, char *name, unsigned int length))           \
    NVML_CALL(nvmlDeviceGetUUID, (nvmlDevice_t device, char *uuid, unsigned int length))           \
    NVML_CALL(nvmlDeviceGetIndex, (nvmlDevice_t device, unsigned int *index))                      \
    NVML_CALL(nvmlDeviceGetPciInfo_v3, (nvmlDevice_t device, nvmlPciInfo_t * info))                \
    NVML_CALL(nvmlDeviceGetMemoryInfo, (nvmlDevice_t device, nvmlMemory_t * memory))               \
    NVML_CALL(nvmlDeviceGetMemoryInfo_v2, (nvmlDevice_t device, nvmlMemory_v2_t * memory))         \
    NVML_CALL(nvmlDeviceGetMigMode,                                                                \
              (nvmlDevice_t device, unsigned int *current, unsigned int *pending))                 \
    NVML_CALL(nvmlDeviceGetComputeRunningProcesses,                                                \
              (nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_v1_t *processes))         \
    NVML_CALL(nvmlDeviceGetComputeRunningProcesses_v3,                                             \
              (nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *processes))            \
    NVML_CALL(nvmlDeviceGetGraphicsRunningProcesses_v3,                                            \
              (nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *processes))            \
    NVML_CALL(nvmlDeviceGetMaxPcieLinkGeneration, (nvmlDevice_t device, unsigned int *out))        \
    NVML_CALL(nvmlDeviceGetGpuMaxPcieLinkGeneration, (nvmlDevice_t device, unsigned int *out))     \
    NVML_CALL(nvmlDeviceGetCurrPcieLinkGeneration, (nvmlDevice_t device, unsigned int *out))       \
    NVML_CALL(nvmlDeviceGetMaxPcieLinkWidth, (nvmlDevice_t device, unsigned int *out))             \
    NVML_CALL(nvmlDeviceGetCurrPcieLinkWidth, (nvmlDevice_t device, unsigned int *out))            \
    NVML_CALL(nvmlDeviceGetFieldValues, (nvmlDevice_t device, int count, nvmlFieldValue_t *values))
    NVML_LIST
#undef NVML_CALL
} nvml;

static const char *(*error_string)(nvmlReturn_t code);

static int load(void)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    void *address;
    if (library == NULL)
        return -1;
#define NVML_CALL(name, params)                                                                    \
    address = dlsym(library, #name);                                                               \
    if (address == NULL)                                                                           \
        return -1;                                                                                 \
    memcpy(&nvml.name, &address, sizeof(address));
    NVML_LIST
    address = dlsym(library, "nvmlErrorString");
    memcpy(&error_string, &address, sizeof(address));
    return address != NULL ? 0 : -1;
}

static void check_system(void)
{
    char text[96] = "";
    int version = 0;
    unsigned int count = 0;
    CHECK("before nvmlInit", nvml.nvmlDeviceGetCount_v2(&count), NVML_ERROR_UNINITIALIZED);
    CHECK("shutdown before init", nvml.nvmlShutdown(), NVML_ERROR_UNINITIALIZED);
    CHECK("init", nvml.nvmlInit_v2(), NVML_SUCCESS);
    CHECK("init again", nvml.nvmlInit_v2(), NVML_SUCCESS);
    CHECK("shutdown once", nvml.nvmlShutdown(), NVML_SUCCESS);
    CHECK("  still initialised", nvml.nvmlDeviceGetCount_v2(&count), NVML_SUCCESS);
    CHECK("  both devices, whatever CUDA_VISIBLE_DEVICES says", count, 2);
    CHECK("driver version", nvml.nvmlSystemGetDriverVersion(text, sizeof(text)), NVML_SUCCESS);
    CHECK_TRUE("  is not empty", text[0] != '\0');
    CHECK("NVML version", nvml.nvmlSystemGetNVMLVersion(text, sizeof(text)), NVML_SUCCESS);
    CHECK("a buffer too small", nvml.nvmlSystemGetDriverVersion(text, 2),
          NVML_ERROR_INSUFFICIENT_SIZE);
    CHECK("CUDA version", nvml.nvmlSystemGetCudaDriverVersion_v2(&version), NVML_SUCCESS);
    CHECK("  the driver's", version, 13000);
    CHECK_TRUE("error string",
               strcmp(error_string(NVML_ERROR_NOT_SUPPORTED), "Not Supported") == 0);
}

static void check_device(void)
{
    nvmlDevice_t device, same = NULL;
    nvmlPciInfo_t pci;
    char name[96], uuid[96];
    unsigned int index = 99, current, pending;
    CHECK("device 1", nvml.nvmlDeviceGetHandleByIndex_v2(1, &device), NVML_SUCCESS);
    CHECK("no device 2", nvml.nvmlDeviceGetHandleByIndex_v2(2, &same), NVML_ERROR_INVALID_ARGUMENT);
    CHECK("name", nvml.nvmlDeviceGetName(device, name, sizeof(name)), NVML_SUCCESS);
    CHECK("UUID", nvml.nvmlDeviceGetUUID(device, uuid, sizeof(uuid)), NVML_SUCCESS);
    CHECK("  its length", strlen(uuid), 40);
    CHECK("by UUID", nvml.nvmlDeviceGetHandleByUUID(uuid, &same), NVML_SUCCESS);
    CHECK_TRUE("  the same", same == device);
    CHECK("by no UUID", nvml.nvmlDeviceGetHandleByUUID("GPU-1", &same), NVML_ERROR_NOT_FOUND);
    CHECK("PCI", nvml.nvmlDeviceGetPciInfo_v3(device, &pci), NVML_SUCCESS);
    same = NULL;
    CHECK("by PCI id", nvml.nvmlDeviceGetHandleByPciBusId_v2(pci.busId, &same), NVML_SUCCESS);
    CHECK_TRUE("  the same", same == device);
    CHECK("index", nvml.nvmlDeviceGetIndex(device, &index), NVML_SUCCESS);
    CHECK("  as asked for", index, 1);
    CHECK("a wild handle", nvml.nvmlDeviceGetIndex((nvmlDevice_t)&index, &index),
          NVML_ERROR_INVALID_ARGUMENT);
    CHECK("MIG", nvml.nvmlDeviceGetMigMode(device, &current, &pending), NVML_ERROR_NOT_SUPPORTED);
}

/* JAX complains at its start where these are not told. */
static void check_links(void)
{
    nvmlReturn_t (*const links[])(nvmlDevice_t, unsigned int *) = {
        nvml.nvmlDeviceGetMaxPcieLinkGeneration,  nvml.nvmlDeviceGetGpuMaxPcieLinkGeneration,
        nvml.nvmlDeviceGetCurrPcieLinkGeneration, nvml.nvmlDeviceGetMaxPcieLinkWidth,
        nvml.nvmlDeviceGetCurrPcieLinkWidth,
    };
    nvmlFieldValue_t values[] = { { .fieldId = NVML_FI_DEV_NVLINK_LINK_COUNT }, { .fieldId = 1 } };
    nvmlDevice_t device;
    nvml.nvmlDeviceGetHandleByIndex_v2(1, &device);
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        unsigned int value = 99;
        CHECK("PCIe, a wild handle", links[i]((nvmlDevice_t)&value, &value),
              NVML_ERROR_INVALID_ARGUMENT);
        CHECK("PCIe, nowhere to", links[i](device, NULL), NVML_ERROR_INVALID_ARGUMENT);
        CHECK("PCIe", links[i](device, &value), NVML_SUCCESS);
        CHECK("  generation or lanes", value, i < 3 ? 4 : 16);
    }
    values[0].value.ullVal = 99;
    CHECK("fields, nowhere to", nvml.nvmlDeviceGetFieldValues(device, 1, NULL),
          NVML_ERROR_INVALID_ARGUMENT);
    CHECK("fields, a wild handle", nvml.nvmlDeviceGetFieldValues((nvmlDevice_t)values, 1, values),
          NVML_ERROR_INVALID_ARGUMENT);
    CHECK("fields", nvml.nvmlDeviceGetFieldValues(device, 2, values), NVML_SUCCESS);
    CHECK("  NVLinks are told", values[0].nvmlReturn, NVML_SUCCESS);
    CHECK("  as a number", values[0].valueType, NVML_VALUE_TYPE_UNSIGNED_INT);
    CHECK("  none", values[0].value.uiVal, 0);
    CHECK("  another field is not", values[1].nvmlReturn, NVML_ERROR_NOT_SUPPORTED);
}

/* Takes 100 MiB of the only device it sees, which is NVML's device 1, and tells its UUID. */
static int hold(struct child *parent, long unused)
{
    (void)unused;
    CUdeviceptr address;
    CUuuid uuid;
    putenv("CUDA_VISIBLE_DEVICES=1");
    cuda_start();
    cuda.alloc(&address, 100 * MIB);
    cuda.device_uuid(&uuid, 0);
    if (write(parent->to, uuid.bytes, sizeof(uuid.bytes)) != sizeof(uuid.bytes))
        return 1;
    child_wait(parent);
    return 0;
}

static void check_uuid(nvmlDevice_t device, const unsigned char *bytes)
{
    char text[96], expected[41];
    int at = sprintf(expected, "GPU-");
    for (int b = 0; b < 16; b++)
        at += sprintf(expected + at, "%s%02x", b == 4 || b == 6 || b == 8 || b == 10 ? "-" : "",
                      bytes[b]);
    nvml.nvmlDeviceGetUUID(device, text, sizeof(text));
    check_true("the driver's UUID is NVML's", strcmp(text, expected) == 0, expected, text);
}

static void check_memory(nvmlDevice_t device, unsigned long long used_mib)
{
    nvmlMemory_t memory;
    nvmlMemory_v2_t second = { .version = sizeof(second) | 2u << 24 };
    CHECK("memory", nvml.nvmlDeviceGetMemoryInfo(device, &memory), NVML_SUCCESS);
    CHECK("  total MiB", memory.total / MIB, 2048);
    CHECK("  used MiB", memory.used / MIB, used_mib);
    CHECK("  adds up", memory.free + memory.used, memory.total);
    CHECK("memory, second version", nvml.nvmlDeviceGetMemoryInfo_v2(device, &second), NVML_SUCCESS);
    CHECK("  adds up", second.free + second.used + second.reserved, second.total);
    second.version = 1;
    CHECK("memory of another version", nvml.nvmlDeviceGetMemoryInfo_v2(device, &second),
          NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
}

static void check_processes(void)
{
    nvmlDevice_t first, second;
    nvmlProcessInfo_t found[8];
    nvmlProcessInfo_v1_t old[8];
    unsigned int count = 0;
    unsigned char uuid[16] = { 0 };
    char name[64] = "";
    nvml.nvmlDeviceGetHandleByIndex_v2(0, &first);
    nvml.nvmlDeviceGetHandleByIndex_v2(1, &second);
    CHECK("no processes", nvml.nvmlDeviceGetComputeRunningProcesses_v3(second, &count, NULL),
          NVML_SUCCESS);
    CHECK("  none", count, 0);
    struct child child = child_start(hold, 0);
    if (read(child.from, uuid, sizeof(uuid)) != sizeof(uuid))
        uuid[0] = 0;
    check_uuid(second, uuid);
    check_memory(second, 100 + 300);

    CHECK("how many", nvml.nvmlDeviceGetComputeRunningProcesses_v3(second, &count, NULL),
          NVML_ERROR_INSUFFICIENT_SIZE);
    CHECK("  one", count, 1);
    count = 8;
    CHECK("which", nvml.nvmlDeviceGetComputeRunningProcesses_v3(second, &count, found),
          NVML_SUCCESS);
    CHECK("  one", count, 1);
    CHECK("  the child", found[0].pid, child.pid);
    CHECK("  its MiB", found[0].usedGpuMemory / MIB, 400);
    CHECK("  no MIG instance", found[0].gpuInstanceId, 0xffffffff);
    count = 8;
    CHECK("first version", nvml.nvmlDeviceGetComputeRunningProcesses(second, &count, old),
          NVML_SUCCESS);
    CHECK("  its MiB", old[0].usedGpuMemory / MIB, 400);
    count = 8;
    nvml.nvmlDeviceGetComputeRunningProcesses_v3(first, &count, found);
    CHECK("none on the other device", count, 0);
    count = 8;
    CHECK("graphics", nvml.nvmlDeviceGetGraphicsRunningProcesses_v3(second, &count, found),
          NVML_SUCCESS);
    CHECK("  none", count, 0);
    CHECK("process name", nvml.nvmlSystemGetProcessName((unsigned)child.pid, name, sizeof(name)),
          NVML_SUCCESS);
    CHECK_TRUE("  is this program", strstr(name, "simgpu_nvml") != NULL);

    kill(child.pid, SIGKILL);
    CHECK("killed", child_end(&child), 1000 + SIGKILL);
    count = 8;
    nvml.nvmlDeviceGetComputeRunningProcesses_v3(second, &count, found);
    CHECK("  and gone", count, 0);
    check_memory(second, 0);
    CHECK("name of the dead", nvml.nvmlSystemGetProcessName((unsigned)child.pid, name, 64),
          NVML_ERROR_NOT_FOUND);
}

/* Programs look these up and take their absence for a fault. */
static void check_absent(void)
{
    static const char *const names[] = {
#define ABSENT(name) #name,
#include "../../../src/simgpu/nvml/absent_table.def"
#undef ABSENT
    };
    void *const library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    nvmlDevice_t device;
    CHECK("a device", nvml.nvmlDeviceGetHandleByIndex_v2(0, &device), NVML_SUCCESS);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        nvmlReturn_t (*function)(nvmlDevice_t, void *, void *);
        void *const address = dlsym(library, names[i]);
        CHECK_TRUE(names[i], address != NULL);
        memcpy(&function, &address, sizeof(function));
        if (address)
            CHECK(names[i], function(device, &device, &device), NVML_ERROR_NOT_SUPPORTED);
    }
}

int main(void)
{
    check_start();
    setenv("SIMGPU_DEVICES", "1GiB,2GiB", 1);
    setenv("CUDA_VISIBLE_DEVICES", "0", 1);
    if (load() != 0) {
        printf("no NVML: %s\n", dlerror());
        return 2;
    }
    check_system();
    check_device();
    check_links();
    check_processes();
    check_absent();
    return check_finish();
}

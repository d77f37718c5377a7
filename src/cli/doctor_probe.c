/* The child of `vramguard doctor`, in which our library is preloaded: asks the driver as programs
 * do, and says who answers. It makes no context and takes no GPU memory. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "base/text.h"
#include "cli/doctor.h"
#include "driver/cuda_abi.h"
#include "driver/nvml.h"
#include "os/elf_symbol.h"

typedef CUresult (*init_function)(unsigned);
typedef CUresult (*count_function)(int *);
typedef CUresult (*name_function)(char *, int, CUdevice);
typedef CUresult (*total_function)(size_t *, CUdevice);
typedef CUresult (*look_up_function)(const char *, void **, int, cuuint64_t);

#define FIND(type, library, name)                                                                  \
    (((union {                                                                                     \
         void *object;                                                                             \
         type call;                                                                                \
     }){ .object = dlsym(library, name) })                                                         \
         .call)

/* "ours", or the file that the address lies in. */
static void print_owner(const char *key, uintptr_t address)
{
    struct vg_elf_object object;
    if (address == 0 || vg_elf_find_address(address, &object) != 0)
        return;
    const char *const name = vg_text_base_name(object.path);
    printf("%s %s\n", key, strcmp(name, "libvramguard.so") == 0 ? "ours" : object.path);
}

static void print_routes(void *driver)
{
    static const char symbol[] = "cuMemAlloc_v2";
    struct vg_elf_object object;
    void *answer = NULL;
    /* What the loader binds the reference of a linked program to. */
    if (vg_elf_find_definition(symbol, &object) == 0)
        print_owner("linked", (uintptr_t)vg_elf_symbol(&object, symbol));
    print_owner("dlsym", (uintptr_t)dlsym(driver, symbol));
    const look_up_function look_up = FIND(look_up_function, driver, "cuGetProcAddress");
    enum { SINCE = 3020 }; /* CUDA 3.2, cuMemAlloc's second version */
    if (look_up && look_up("cuMemAlloc", &answer, SINCE, 0) == CUDA_SUCCESS)
        print_owner("cuGetProcAddress", (uintptr_t)answer);
}

static void print_gpus(void *driver)
{
    const count_function count_devices = FIND(count_function, driver, "cuDeviceGetCount");
    const name_function name_device = FIND(name_function, driver, "cuDeviceGetName");
    const total_function total_memory = FIND(total_function, driver, "cuDeviceTotalMem_v2");
    int count = 0;
    if (!count_devices || count_devices(&count) != CUDA_SUCCESS)
        return;
    for (int i = 0; i < count; i++) {
        char name[100] = "unknown", amount[VG_SIZE_TEXT_CAP];
        size_t total_bytes = SIZE_MAX;
        if (name_device)
            name_device(name, sizeof name, i);
        if (total_memory)
            total_memory(&total_bytes, i);
        printf("gpu %d: %s, %s\n", i, name, vg_size_format(amount, total_bytes));
    }
}

static void print_nvml(void)
{
    struct vg_nvml nvml;
    char why[160], version[64];
    if (vg_nvml_open(&nvml, why, sizeof why) != 0) {
        printf("no-nvml %s\n", why);
        return;
    }
    vg_nvml_driver_version(&nvml, version, sizeof version);
    printf("nvml %s\n", version[0] ? version : "unknown");
    vg_nvml_close(&nvml);
}

int vg_doctor_probe(void)
{
    typedef const char *(*text_function)(void);
    const text_function own_version = FIND(text_function, RTLD_DEFAULT, "vramguard_version");
    if (own_version)
        printf("preloaded %s\n", own_version());
    void *const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
    struct vg_elf_object object;
    if (!driver || vg_elf_find_soname("libcuda.so.1", &object) != 0)
        return 0;
    printf("driver %s\n", object.path);
    const init_function initialise = FIND(init_function, driver, "cuInit");
    const count_function driver_version = FIND(count_function, driver, "cuDriverGetVersion");
    int version = 0;
    if (driver_version && driver_version(&version) == CUDA_SUCCESS)
        printf("version %d\n", version);
    printf("init %d\n", initialise ? initialise(0) : -1);
    print_gpus(driver);
    print_nvml();
    print_routes(driver);
    return 0;
}

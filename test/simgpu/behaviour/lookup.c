/* cuGetProcAddress: names, versions, flags and status. */
#include <string.h>

#include "check.h"
#include "cuda.h"

struct expectation {
    const char *name;
    int version;
    cuuint64_t flags;
    const char *symbol; /* what the answer must be the address of; NULL: not found */
    int status;
};

static const struct expectation expectations[] = {
    { "cuMemAlloc", 3020, 0, "cuMemAlloc_v2", 0 },
    { "cuMemAlloc", 12000, 0, "cuMemAlloc_v2", 0 },
    { "cuMemAlloc", 2000, 0, "cuMemAlloc", 0 },
    { "cuMemAlloc", 3000, 0, "cuMemAlloc", 0 },
    { "cuMemAlloc", 1000, 0, NULL, 2 },
    { "cuMemFree", 3020, 0, "cuMemFree_v2", 0 },
    { "cuMemGetInfo", 3020, 0, "cuMemGetInfo_v2", 0 },
    { "cuMemAllocManaged", 6000, 0, "cuMemAllocManaged", 0 },
    { "cuMemAllocManaged", 5050, 0, NULL, 2 },
    { "cuMemHostRegister", 4000, 0, "cuMemHostRegister", 0 },
    { "cuMemHostRegister", 6050, 0, "cuMemHostRegister_v2", 0 },
    { "cuCtxCreate", 3020, 0, "cuCtxCreate_v2", 0 },
    { "cuCtxCreate", 11040, 0, "cuCtxCreate_v3", 0 },
    { "cuDeviceGetUuid", 9020, 0, "cuDeviceGetUuid", 0 },
    { "cuDeviceGetUuid", 11040, 0, "cuDeviceGetUuid_v2", 0 },
    { "cuMemAllocAsync", 11020, 0, "cuMemAllocAsync", 0 },
    { "cuMemAllocAsync", 11020, 2, "cuMemAllocAsync_ptsz", 0 },
    { "cuMemAllocAsync", 11020, 1, "cuMemAllocAsync", 0 },
    { "cuMemAllocAsync", 11010, 0, NULL, 2 },
    { "cuMemcpyHtoD", 7000, 0, "cuMemcpyHtoD_v2", 0 },
    { "cuMemcpyHtoD", 7000, 2, "cuMemcpyHtoD_v2_ptds", 0 },
    { "cuMemAlloc", 7000, 2, "cuMemAlloc_v2", 0 },
    { "cuStreamBeginCapture", 10000, 0, "cuStreamBeginCapture", 0 },
    { "cuStreamBeginCapture", 10010, 0, "cuStreamBeginCapture_v2", 0 },
    { "cuGetProcAddress", 11030, 0, "cuGetProcAddress", 0 },
    { "cuGetProcAddress", 12000, 0, "cuGetProcAddress_v2", 0 },
    { "cuNoSuchFunction", 12000, 0, NULL, 1 },
    { "cuMemAlloc_v2", 12000, 0, NULL, 1 },
    { "", 12000, 0, NULL, 1 },
};

static void check_answers(int driver_version)
{
    for (size_t i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
        const struct expectation *e = &expectations[i];
        char label[100] = "lookup ";
        strncat(label, e->name, 60);
        strcat(label, e->flags == 2 ? " per-thread" : e->flags == 1 ? " legacy" : "");
        if (e->version > driver_version) {
            check_skip(label, "the driver is older");
            continue;
        }
        void *found = &found, *again = NULL;
        int status = -1;
        CUresult result = cuda.proc_address(e->name, &found, e->version, e->flags, &status);
        CHECK(label, result, e->symbol != NULL ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND);
        CHECK("  status", status, e->status);
        CHECK_TRUE("  address", (found != NULL) == (e->symbol != NULL));
        cuda.proc_address(e->name, &again, e->version, e->flags, NULL);
        CHECK_TRUE("  same address again", again == found);
    }
}

static void check_simulated_addresses(void)
{
    for (size_t i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
        const struct expectation *e = &expectations[i];
        void *found = NULL;
        if (e->symbol == NULL)
            continue;
        cuda.proc_address(e->name, &found, e->version, e->flags, NULL);
        CHECK_TRUE("the address is the one that dlsym gives", found == cuda_symbol(e->symbol));
    }
}

static void check_bad_arguments(int driver_version)
{
    void *found = NULL;
    int status = -1;
    CHECK("no name", cuda.proc_address(NULL, &found, 12000, 0, &status), CUDA_ERROR_INVALID_VALUE);
    CHECK("no place for the answer", cuda.proc_address("cuInit", NULL, 12000, 0, &status),
          CUDA_ERROR_INVALID_VALUE);
    CHECK("flags that do not exist", cuda.proc_address("cuInit", &found, 12000, 8, &status),
          CUDA_ERROR_INVALID_VALUE);
    CHECK("no place for the status", cuda.proc_address("cuInit", &found, 12000, 0, NULL),
          CUDA_SUCCESS);
    CHECK("a version newer than the driver",
          cuda.proc_address("cuInit", &found, driver_version + 1000, 0, NULL),
          CUDA_ERROR_INVALID_VALUE);
}

/* What the lookup gives must work, and reach the same driver. */
static void check_calls(void)
{
    CUresult (*init)(unsigned int) = NULL;
    CUresult (*first_version)(const char *, void **, int, cuuint64_t) = NULL;
    void *address = NULL;
    cuda.proc_address("cuGetProcAddress", &address, 11030, 0, NULL);
    memcpy(&first_version, &address, sizeof(address));
    CHECK("the first version, found by the second",
          first_version != NULL ? first_version("cuInit", &address, 2000, 0) : -1, CUDA_SUCCESS);
    memcpy(&init, &address, sizeof(address));
    CHECK("a function found by the first version", init(0), CUDA_SUCCESS);
    int count = -1;
    CHECK("and the driver is initialised", cuda.device_count(&count), CUDA_SUCCESS);
    CHECK("the first version knows no name", cuda.proc_address_v1("cuNo", &address, 11030, 0),
          CUDA_ERROR_NOT_FOUND);
}

int main(void)
{
    check_start();
    cuda_load();
    int version = 0;
    cuda.driver_version(&version);
    check_answers(version);
    check_bad_arguments(version);
    char name[64] = "";
    check_calls();
    cuda.device_name(name, sizeof(name), 0);
    if (strcmp(name, "SimGPU") == 0)
        check_simulated_addresses();
    else
        check_skip("addresses are the symbols'", "a real driver may have others");
    return check_finish();
}

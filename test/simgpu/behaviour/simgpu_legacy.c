/* What only the simulation is asked: the functions of before CUDA 3.2, those that are not
 * supported, and that nothing outside can reach into the library. */
#include <string.h>

#include "check.h"
#include "cuda.h"

#define MIB 1048576u

static CUresult (*old_alloc)(CUdeviceptr_v1 *address, unsigned int bytes);
static CUresult (*old_free)(CUdeviceptr_v1 address);
static CUresult (*old_htod)(CUdeviceptr_v1 to, const void *from, unsigned int bytes);
static CUresult (*old_dtoh)(void *to, CUdeviceptr_v1 from, unsigned int bytes);
static CUresult (*old_info)(unsigned int *free_bytes, unsigned int *total_bytes);

static void find(void *function, const char *name)
{
    void *address = cuda_symbol(name);
    memcpy(function, &address, sizeof(address));
}

static void check_old(void)
{
    CUdeviceptr_v1 address = 0, other = 0;
    char out[4] = "";
    unsigned int free_bytes = 0, total_bytes = 0;
    size_t before = cuda_free_bytes();
    find(&old_alloc, "cuMemAlloc");
    find(&old_free, "cuMemFree");
    find(&old_htod, "cuMemcpyHtoD");
    find(&old_dtoh, "cuMemcpyDtoH");
    find(&old_info, "cuMemGetInfo");
    CHECK("alloc below 4 GiB", old_alloc(&address, 3 * MIB), CUDA_SUCCESS);
    CHECK("alloc another", old_alloc(&other, 100), CUDA_SUCCESS);
    CHECK_TRUE("  elsewhere", address != other && address != 0 && other != 0);
    CHECK("  in whole blocks: MiB", (before - cuda_free_bytes()) / MIB, 6);
    CHECK("copy in", old_htod(address, "old", 4), CUDA_SUCCESS);
    CHECK("copy out", old_dtoh(out, address, 4), CUDA_SUCCESS);
    CHECK("  the data comes back", strcmp(out, "old"), 0);
    CHECK("info", old_info(&free_bytes, &total_bytes), CUDA_SUCCESS);
    CHECK("  cut to 32 bits", total_bytes, UINT32_MAX);
    CHECK("free", old_free(address), CUDA_SUCCESS);
    CHECK("free with today's function", cuda.free(other), CUDA_SUCCESS);
    CHECK("free twice", old_free(address), CUDA_ERROR_INVALID_VALUE);
    CHECK("all is back", cuda_free_bytes(), before);
    other = 4711;
    CHECK("more than lies below 4 GiB", old_alloc(&other, UINT32_MAX), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK("  leaves the output alone", other, 4711);
    CHECK("  and takes nothing", cuda_free_bytes(), before);
}

static void check_unsupported(void)
{
    CUresult (*export_table)(const void **table, const CUuuid *id);
    CUresult (*green)(void *context);
    const void *table = &table;
    CUuuid id = { { 0 } };
    find(&export_table, "cuGetExportTable");
    find(&green, "cuGreenCtxDestroy");
    CHECK("no export tables", export_table(&table, &id), CUDA_ERROR_NOT_SUPPORTED);
    CHECK_TRUE("  and the output is left alone", table == &table);
    CHECK("no green contexts", green(NULL), CUDA_ERROR_NOT_SUPPORTED);
}

/* The manual: used is what at least one graph has mapped. */
static void check_mapped(void)
{
    enum { USED_CURRENT = 0 };
    CUgraph graph;
    CUgraphExec exec;
    CUgraphNode alloc, release;
    cuuint64_t used = 0;
    CUDA_MEM_ALLOC_NODE_PARAMS params = {
        .poolProps = { .allocType = 1, .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } },
        .bytesize = 4 * MIB,
    };
    cuda.graph_create(&graph, 0);
    cuda.graph_add_alloc(&alloc, graph, NULL, 0, &params);
    cuda.graph_add_free(&release, graph, &alloc, 1, params.dptr);
    cuda.graph_instantiate(&exec, graph, 0);
    cuda.graph_launch(exec, NULL);
    cuda.graph_memory(0, USED_CURRENT, &used);
    CHECK("a graph has memory mapped", used, 4 * MIB);
    cuda.graph_exec_destroy(exec);
    cuda.graph_memory(0, USED_CURRENT, &used);
    CHECK("  until it ends", used, 0);
    cuda.graph_destroy(graph);
    cuda.graph_trim(0);
}

/* This program exports a cuMemAlloc_v2 of its own (-rdynamic), as a preloaded library would. */
__attribute__((visibility("default"))) CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes);

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    (void)address;
    (void)bytes;
    return CUDA_ERROR_UNKNOWN;
}

static void check_interposition(void)
{
    CUresult (*found)(CUdeviceptr * address, size_t bytes);
    void *address = NULL;
    CUdeviceptr memory;
    cuda.proc_address("cuMemAlloc", &address, 3020, 0, NULL);
    memcpy(&found, &address, sizeof(address));
    CHECK_TRUE("the lookup gives the driver's own function", found != cuMemAlloc_v2);
    CHECK("  which works", found(&memory, MIB), CUDA_SUCCESS);
    CHECK("  and whose memory is the driver's", cuda.free(memory), CUDA_SUCCESS);
}

int main(void)
{
    check_start();
    cuda_start();
    check_old();
    check_unsupported();
    check_mapped();
    check_interposition();
    return check_finish();
}

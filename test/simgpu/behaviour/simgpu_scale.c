/* What large numbers do to the simulation: a million allocations, more memory than the host has,
 * several threads. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "cuda.h"

#define MIB     1048576u
#define MILLION 1000000

static CUdeviceptr *addresses;

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Resident memory of this process in MiB. */
static long resident_mib(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long total = 0, resident = 0;
    if (file == NULL || fscanf(file, "%ld %ld", &total, &resident) != 2)
        resident = -1;
    if (file != NULL)
        fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024) / 1024;
}

static void shuffle(int count)
{
    unsigned long long seed = 88172645463325252ull;
    for (int i = count - 1; i > 0; i--) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        int j = (int)(seed % (unsigned)(i + 1));
        CUdeviceptr kept = addresses[i];
        addresses[i] = addresses[j];
        addresses[j] = kept;
    }
}

static void check_million(void)
{
    size_t before = cuda_free_bytes();
    int failures = 0;
    double start = now_s();
    for (int i = 0; i < MILLION; i++)
        failures += cuda.alloc(&addresses[i], (size_t)(i % 1000) + 1) != CUDA_SUCCESS;
    double seconds = now_s() - start;
    printf("a million allocations: %.0f ns each\n", seconds * 1e9 / MILLION);
    CHECK("a million allocations", failures, 0);
    check_between("  in 2 MiB blocks: MiB", (long long)((before - cuda_free_bytes()) / MIB), 726,
                  732);
    CHECK_TRUE("  quickly", seconds < 2);
    check_between("  with little of the host's memory: MiB", resident_mib(), 0, 200);
    for (int i = 1; i < MILLION; i++)
        failures += addresses[i] % 256 != 0;
    CHECK("  all aligned", failures, 0);

    shuffle(MILLION);
    start = now_s();
    CUdeviceptr base;
    size_t bytes;
    for (int i = 0; i < MILLION; i += 10)
        failures += cuda.address_range(&base, &bytes, addresses[i] + 0) != CUDA_SUCCESS ||
                    base != addresses[i];
    CHECK("  all found", failures, 0);
    start = now_s();
    for (int i = 0; i < MILLION; i++)
        failures += cuda.free(addresses[i]) != CUDA_SUCCESS;
    seconds = now_s() - start;
    printf("freed in random order: %.0f ns each\n", seconds * 1e9 / MILLION);
    CHECK("  all freed in random order", failures, 0);
    CHECK_TRUE("  quickly", seconds < 4);
    CHECK("  and all is back", cuda_free_bytes(), before);
}

/* The same pair again and again makes no system calls; this only bounds its time. */
static void check_pair(void)
{
    enum { PAIRS = 200000 };
    CUdeviceptr address;
    double start = now_s();
    for (int i = 0; i < PAIRS; i++) {
        cuda.alloc(&address, 512);
        cuda.free(address);
    }
    double ns = (now_s() - start) * 1e9 / PAIRS;
    printf("allocate and free with nothing live: %.0f ns\n", ns);
    CHECK_TRUE("a pair is quick", ns < 2000);
}

/* Frees leave holes of all sizes, and large ones must still be found. */
static void check_fragments(void)
{
    enum { COUNT = 4000 };
    size_t before = cuda_free_bytes();
    int failures = 0;
    for (int i = 0; i < COUNT; i++)
        failures += cuda.alloc(&addresses[i], 2 * MIB * (size_t)(i % 2 + 1)) != CUDA_SUCCESS;
    for (int i = 0; i < COUNT; i += 2)
        failures += cuda.free(addresses[i]) != CUDA_SUCCESS;
    CUdeviceptr large;
    size_t rest = cuda_free_bytes();
    CHECK("all that is free, in one piece", cuda.alloc(&large, rest), CUDA_SUCCESS);
    CHECK("  and nothing is left", cuda_free_bytes(), 0);
    failures += cuda.free(large) != CUDA_SUCCESS;
    for (int i = 1; i < COUNT; i += 2)
        failures += cuda.free(addresses[i]) != CUDA_SUCCESS;
    CHECK("no failures", failures, 0);
    CHECK("all is back", cuda_free_bytes(), before);
}

/* Pages are the host's only while they are used. */
static void check_pages(void)
{
    CUdeviceptr large, part;
    long before = resident_mib();
    CHECK("half a TiB", cuda.alloc(&large, 512ull << 30), CUDA_SUCCESS);
    CHECK("  written at its ends", cuda.set_d8(large, 1, 100), CUDA_SUCCESS);
    CHECK("  and there", cuda.set_d8(large + (512ull << 30) - 100, 2, 100), CUDA_SUCCESS);
    check_between("  takes what was touched: MiB", resident_mib() - before, 0, 4);
    cuda.free(large);
    cuda.alloc(&part, 256 * MIB);
    cuda.set_d8(part, 3, 256 * MIB);
    check_between("256 MiB written: MiB", resident_mib() - before, 250, 270);
    cuda.free(part);
    check_between("  and freed: MiB", resident_mib() - before, -4, 10);
}

/* MiB that the files behind physical handles have. */
static long file_mib(void)
{
    long blocks = 0;
    for (int fd = 0; fd < 100; fd++) {
        char path[64], name[64] = "";
        struct stat status;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, name, sizeof(name) - 1) > 0 && strstr(name, "memfd:simgpu") != NULL &&
            fstat(fd, &status) == 0)
            blocks += status.st_blocks;
    }
    return blocks * 512 / MIB;
}

static void check_physical_pages(void)
{
    CUmemAllocationProp props = { .type = 1, .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } };
    CUmemAccessDesc access = { { CU_MEM_LOCATION_TYPE_DEVICE, 0 }, 3 };
    CUmemGenericAllocationHandle handle;
    CUdeviceptr base;
    cuda.reserve(&base, 64 * MIB, 0, 0, 0);
    cuda.create(&handle, 64 * MIB, &props, 0);
    cuda.map(base, 64 * MIB, 0, handle, 0);
    cuda.set_access(base, 64 * MIB, &access, 1);
    CHECK("a physical handle takes no host memory: MiB", file_mib(), 0);
    cuda.set_d8(base, 1, 32 * MIB);
    CHECK("  but what is written: MiB", file_mib(), 32);
    cuda.unmap(base, 64 * MIB);
    cuda.release(handle);
    CHECK("  until it ends: MiB", file_mib(), 0);
    cuda.unreserve(base, 64 * MIB);
}

static void *churn(void *seed_argument)
{
    enum { LIVE = 500, STEPS = 60000 };
    CUdeviceptr live[LIVE] = { 0 };
    CUcontext context;
    unsigned int seed = (unsigned)(uintptr_t)seed_argument;
    long failures = 0;
    cuda.primary_retain(&context, 0);
    cuda.context_set(context);
    for (int i = 0; i < STEPS; i++) {
        int at = (int)(rand_r(&seed) % LIVE);
        if (live[at] != 0) {
            failures += cuda.free(live[at]) != CUDA_SUCCESS;
            live[at] = 0;
        } else {
            size_t bytes = rand_r(&seed) % 100 == 0 ? 3 * MIB : (size_t)rand_r(&seed) % 5000 + 1;
            failures += cuda.alloc(&live[at], bytes) != CUDA_SUCCESS;
            failures +=
                cuda.set_d8(live[at], (unsigned char)at, bytes < 64 ? bytes : 64) != CUDA_SUCCESS;
        }
    }
    for (int at = 0; at < LIVE; at++) {
        unsigned char byte = (unsigned char)at;
        if (live[at] == 0)
            continue;
        failures += cuda.copy_dtoh(&byte, live[at], 1) != CUDA_SUCCESS;
        failures += byte != (unsigned char)at;
        failures += cuda.free(live[at]) != CUDA_SUCCESS;
    }
    cuda.primary_release(0);
    return (void *)failures;
}

static void check_threads(void)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    size_t before = cuda_free_bytes();
    long failures = 0;
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, churn, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++) {
        void *found;
        pthread_join(threads[i], &found);
        failures += (long)found;
    }
    CHECK("eight threads allocate, write, read and free", failures, 0);
    CHECK("  and all is back", cuda_free_bytes(), before);
}

/* Addresses are reserved for sixteen times the device: runs of freed blocks must grow together
 * again, or larger and larger requests use them up. Returns the size in MiB that failed, 0 for
 * none. */
static int use_addresses_up(void)
{
    enum { DEVICE_MIB = 256, MOST = DEVICE_MIB / 2 };
    CUdeviceptr blocks[MOST];
    cuda_start();
    for (int mib = 2; mib <= DEVICE_MIB / 2; mib += 2) {
        int count = 0;
        while (count < MOST && cuda.alloc(&blocks[count], mib * (size_t)MIB) == CUDA_SUCCESS)
            count++;
        for (int i = 0; i < count; i++)
            cuda.free(blocks[i]);
        if (count != DEVICE_MIB / mib)
            return mib;
    }
    return 0;
}

static void check_addresses(void)
{
    char *environment[] = { "SIMGPU_DEVICES=256MiB", "SIMGPU_CONTEXT=0", NULL };
    CHECK("freed addresses grow together again", child_run(environment, use_addresses_up), 0);
}

int main(void)
{
    check_start();
    check_addresses();
    setenv("SIMGPU_DEVICES", "1TiB", 1); /* more than the host has */
    cuda_start();
    addresses = calloc(MILLION, sizeof(*addresses));
    memset(addresses, 0, MILLION * sizeof(*addresses));
    check_million();
    check_pair();
    check_fragments();
    check_pages();
    check_physical_pages();
    check_threads();
    return check_finish();
}

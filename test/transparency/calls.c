/* Calls every wrapped function with valid, missing and wild arguments, one at a time, and prints
 * what each call left: the result, errno, and every word of memory that it was given.
 *
 * Usage: calls STATE FIRST
 * STATE  early: before cuInit; bare: no context; context: with one; full: no device memory left
 * FIRST  number of the first call to make. A call that crashes or hangs ends the program with exit
 *        code 90, having said so; calls after it want another run. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "observe.h"
#include "simgpu/abi.h"

struct row {
    const char *symbol;
    CUresult (*call)(void *function, const uint64_t *words);
    int count;
    struct parameter parameters[PARAMETERS_MAX];
};

#include "calls_table.h"

enum { ROWS = sizeof rows / sizeof rows[0], CRASHED = 90, HANG_S = 10, ERRNO = 123 };

static void *driver;
static bool has_context;
static struct objects objects;
static long next_number, first_number;

static void on_fault(int number)
{
    char text[] = "fault 00\n";
    text[6] = (char)('0' + number / 10);
    text[7] = (char)('0' + number % 10);
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0)
        _exit(1);
    _exit(CRASHED);
}

/* Calls a function of the driver that the test itself needs; what it fails to make is not there. */
#define DRIVER(symbol, types, ...)                                                                 \
    AS_FUNCTION(dlsym(driver, #symbol), CUresult(*) types)(__VA_ARGS__)

static void make_objects(void)
{
    static CUipcMemHandle ipc;
    CUdeviceptr_v1 address_v1 = 0;
    const struct parameter pool = { "const CUmemPoolProps *", "" };
    const struct parameter handle = { "const CUmemAllocationProp *", "" };
    const struct parameter array = { "const CUDA_ARRAY_DESCRIPTOR *", "" };
    size_t bytes;
    memset(&objects, 0, sizeof objects);
    DRIVER(cuCtxCreate_v2, (void *, unsigned, int), &objects.context, 0, 0);
    DRIVER(cuStreamCreate, (void *, unsigned), &objects.stream, 0);
    DRIVER(cuDeviceGetDefaultMemPool, (void *, int), &objects.default_pool, 0);
    DRIVER(cuMemPoolCreate, (void *, const void *), &objects.own_pool,
           sample_of(pool.type, &bytes));
    DRIVER(cuMemCreate, (void *, size_t, const void *, unsigned long long), &objects.handle,
           2 << 20, sample_of(handle.type, &bytes), 0);
    DRIVER(cuArrayCreate_v2, (void *, const void *), &objects.array, sample_of(array.type, &bytes));
    DRIVER(cuMemHostAlloc, (void *, size_t, unsigned), &objects.pinned, 4096, 0);
    DRIVER(cuMemAlloc_v2, (void *, size_t), &objects.freed, 4096);
    DRIVER(cuMemAlloc_v2, (void *, size_t), &objects.live, 4096);
    DRIVER(cuMemAlloc, (void *, unsigned), &address_v1, 4096);
    DRIVER(cuMemFree_v2, (CUdeviceptr), objects.freed);
    objects.live_v1 = address_v1;
    if (DRIVER(cuIpcGetMemHandle, (void *, CUdeviceptr), &ipc, objects.live) == CUDA_SUCCESS)
        objects.ipc_handle = &ipc;
}

/* With everything that was made in it. */
static void drop_objects(void)
{
    DRIVER(cuMemFreeHost, (uint64_t), objects.pinned);
    DRIVER(cuMemRelease, (uint64_t), objects.handle);
    DRIVER(cuMemPoolDestroy, (uint64_t), objects.own_pool);
    DRIVER(cuCtxDestroy_v2, (uint64_t), objects.context);
}

/* Memory for one parameter, and what it is filled with. */
static void fill(unsigned char *memory, uint64_t choice, const char *type)
{
    size_t bytes;
    poison(memory, BUFFER_BYTES);
    if (choice == CHOICE_ZEROED)
        memset(memory, 0, BUFFER_BYTES);
    if (choice == CHOICE_SAMPLE) {
        const void *const sample = sample_of(type, &bytes);
        memcpy(memory, sample, bytes);
    }
}

/* Names for other processes hold a pid, descriptors and inodes, which differ from run to run: of
 * those only whether they were written. */
static void print_memory(const struct parameter *parameter, const unsigned char *memory)
{
    unsigned char untouched[BUFFER_BYTES];
    printf(" %s:", parameter->name);
    poison(untouched, sizeof untouched);
    if (strcmp(parameter->type, "CUipcMemHandle *") != 0)
        print_words(memory, BUFFER_BYTES / 4);
    else
        printf(" %s", memcmp(memory, untouched, 64) != 0 &&
                              memcmp(memory + 64, untouched + 64, BUFFER_BYTES - 64) == 0
                          ? "written"
                          : "not written");
}

static void make_call(const struct row *row, void *function, const uint64_t *chosen)
{
    static unsigned char memory[PARAMETERS_MAX][BUFFER_BYTES] __attribute__((aligned(4096)));
    uint64_t words[PARAMETERS_MAX];
    bool given[PARAMETERS_MAX];
    for (int i = 0; i < row->count; i++) {
        given[i] = chosen[i] >= CHOICE_POISONED && chosen[i] <= CHOICE_SAMPLE;
        words[i] = chosen[i];
        if (given[i]) {
            fill(memory[i], chosen[i], row->parameters[i].type);
            words[i] = (uint64_t)(uintptr_t)memory[i];
        }
    }
    alarm(HANG_S);
    errno = ERRNO;
    const CUresult result = row->call(function, words);
    const int error = errno;
    alarm(0);
    forget_ids();
    printf("%d errno %d", result, error);
    for (int i = 0; i < row->count; i++)
        if (given[i])
            print_memory(&row->parameters[i], memory[i]);
    printf("\n");
}

/* One call, with parameter `changed` at its choice `choice` and all others at their first. */
static void try(const struct row *row, int changed, int choice)
{
    uint64_t values[CHOICES_MAX], chosen[PARAMETERS_MAX];
    if (next_number++ < first_number)
        return;
    void *const function = dlsym(driver, row->symbol);
    printf("%ld %s", next_number - 1, row->symbol);
    if (changed >= 0)
        printf(" %s choice %d", row->parameters[changed].name, choice);
    if (!function) {
        printf(" not in this driver\n");
        return;
    }
    if (has_context)
        make_objects();
    for (int i = 0; i < row->count; i++) {
        choose(&row->parameters[i], &objects, values);
        chosen[i] = values[i == changed ? choice : 0];
    }
    printf(": ");
    fflush(stdout);
    make_call(row, function, chosen);
    if (has_context)
        drop_objects();
}

static void try_row(const struct row *row)
{
    uint64_t values[CHOICES_MAX];
    try(row, -1, 0);
    for (int i = 0; i < row->count; i++) {
        const int choices = choose(&row->parameters[i], &objects, values);
        for (int choice = 1; choice < choices; choice++)
            try(row, i, choice);
    }
}

static void fill_device(void)
{
    CUcontext context;
    CUdeviceptr address;
    DRIVER(cuCtxCreate_v2, (CUcontext *, unsigned, int), &context, 0, 0);
    while (DRIVER(cuMemAlloc_v2, (CUdeviceptr *, size_t), &address, 2 << 20) == CUDA_SUCCESS)
        ;
    while (DRIVER(cuMemAlloc_v2, (CUdeviceptr *, size_t), &address, 1) == CUDA_SUCCESS)
        ;
}

/* NVIDIA's driver makes threads at its start, the guard one at a failure. In a program that has had
 * one malloc looks for memory elsewhere after an amount that it does not have, which moves what
 * overlaps what: so that it is the same bare and guarded, this program has one from the start. */
static void *do_nothing(void *unused)
{
    return unused;
}

static void become_threaded(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, do_nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
        give_up("no thread");
}

int main(int argc, char **argv)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM };
    if (argc != 3)
        give_up("usage");
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        signal(faults[i], on_fault);
    setvbuf(stdout, NULL, _IOLBF, 0);
    become_threaded();
    driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!driver)
        give_up(dlerror());
    first_number = strtol(argv[2], NULL, 10);
    has_context = strcmp(argv[1], "context") == 0;
    if (strcmp(argv[1], "early") != 0)
        printf("cuInit: %d\n", DRIVER(cuInit, (unsigned), 0));
    if (strcmp(argv[1], "full") == 0)
        fill_device();
    for (int i = 0; i < ROWS; i++)
        try_row(&rows[i]);
    printf("all %ld calls made\n", next_number);
    return 0;
}

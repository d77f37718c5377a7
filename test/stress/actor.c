/* actor STEP...: does one thing after the other, and prints each with its time
 * (CLOCK_MONOTONIC, nanoseconds).
 *
 *   gpu=N         makes the context of GPU N current
 *   alloc=MIB     "alloc MIB NS NS": asks for memory; when it was asked and answered; or "failed
 * ..." free          "free MIB NS": gives the last allocation back; when that began sleep=MS await
 * waits for a line on standard input trade=N,MIB,MS  N times: alloc, sleep, free */
#include "cuda.h"

enum { HELD_MAX = 64 };

static CUdeviceptr held[HELD_MAX];
static long held_mib[HELD_MAX];
static int held_count;

static long linger_ms;

/* Runs after the handlers of those who come later, the guard's among them. */
static void linger(void)
{
    sleep_us((uint64_t)linger_ms * 1000);
}

static void use_gpu(long ordinal)
{
    CUcontext context;
    MUST(cuDevicePrimaryCtxRetain(&context, (CUdevice)ordinal) == CUDA_SUCCESS);
    MUST(cuCtxSetCurrent(context) == CUDA_SUCCESS);
}

static void allocate(long mib)
{
    CUdeviceptr address = 77;
    MUST(held_count < HELD_MAX);
    const uint64_t asked_ns = now_ns();
    const CUresult result = cuMemAlloc_v2(&address, (size_t)mib * MIB);
    const uint64_t got_ns = now_ns();
    MUST(result == CUDA_SUCCESS || (result == CUDA_ERROR_OUT_OF_MEMORY && address == 77));
    printf("%s %ld %lu %lu\n", result == CUDA_SUCCESS ? "alloc" : "failed", mib, asked_ns, got_ns);
    if (result != CUDA_SUCCESS)
        return;
    held[held_count] = address;
    held_mib[held_count++] = mib;
}

static void give_back(void)
{
    MUST(held_count > 0);
    const uint64_t begin_ns = now_ns();
    held_count--;
    MUST(cuMemFree_v2(held[held_count]) == CUDA_SUCCESS);
    printf("free %ld %lu\n", held_mib[held_count], begin_ns);
}

static void trade(const char *text)
{
    long rounds, mib, ms;
    MUST(sscanf(text, "%ld,%ld,%ld", &rounds, &mib, &ms) == 3);
    for (long i = 0; i < rounds; i++) {
        allocate(mib);
        sleep_us((uint64_t)ms * 1000);
        give_back();
    }
}

static void step(const char *text)
{
    char line[64];
    const char *const equals = strchr(text, '=');
    const long number = equals ? strtol(equals + 1, NULL, 10) : 0;
    if (strncmp(text, "gpu=", 4) == 0)
        use_gpu(number);
    else if (strncmp(text, "alloc=", 6) == 0)
        allocate(number);
    else if (strcmp(text, "free") == 0)
        give_back();
    else if (strncmp(text, "sleep=", 6) == 0)
        sleep_us((uint64_t)number * 1000);
    else if (strncmp(text, "linger=", 7) == 0)
        MUST((linger_ms = number) > 0 && atexit(linger) == 0);
    else if (strncmp(text, "trade=", 6) == 0)
        trade(equals + 1);
    else
        MUST(strcmp(text, "await") == 0 && fgets(line, sizeof line, stdin));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    MUST(cuInit(0) == CUDA_SUCCESS);
    for (int i = 1; i < argc; i++)
        step(argv[i]);
    return 0;
}

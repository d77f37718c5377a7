/* The SIMGPU_* variables and CUDA_VISIBLE_DEVICES. Each check runs in a child with its own
 * environment; what the child finds is its exit status. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "cuda.h"

#define MIB              1048576u
#define ENVIRONMENT(...) ((char *[]){ __VA_ARGS__, NULL })

static int try_init(void)
{
    cuda_load();
    return cuda.init(0);
}

static int lines_of(const char *text)
{
    int lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

/* A bad value: one line that names the variable and the value, and no device. */
static void check_bad(char *setting)
{
    char text[2000], label[200], name[64];
    char *environment[] = { setting, NULL };
    snprintf(label, sizeof(label), "bad value %.100s", setting);
    snprintf(name, sizeof(name), "%.*s=\"%.30s", (int)strcspn(setting, "="), setting,
             strchr(setting, '=') + 1);
    int status = child_run_stderr(environment, try_init, text, sizeof(text));
    CHECK(label, status, CUDA_ERROR_NO_DEVICE);
    CHECK("  one line", lines_of(text), 1);
    CHECK_TRUE("  that names variable and value", strstr(text, name) != NULL);
    CHECK_TRUE("  and what is allowed", strstr(text, "want") != NULL);
}

static void check_bad_values(void)
{
    check_bad("SIMGPU_DEVICES=");
    check_bad("SIMGPU_DEVICES=lots");
    check_bad("SIMGPU_DEVICES=16GB");
    check_bad("SIMGPU_DEVICES=16GiB,");
    check_bad("SIMGPU_DEVICES=0");
    check_bad("SIMGPU_DEVICES=-1GiB");
    check_bad("SIMGPU_DEVICES=1e400");
    check_bad("SIMGPU_DEVICES=99999999999999999999");
    check_bad(
        "SIMGPU_DEVICES=1GiB,1GiB,1GiB,1GiB,1GiB,1GiB,1GiB,1GiB,1GiB,"
        "1GiB,1GiB,1GiB,1GiB,1GiB,1GiB,1GiB,1GiB");
    check_bad("SIMGPU_CONTEXT=300MB");
    check_bad("SIMGPU_CONTEXT=1000GiB");
    check_bad("SIMGPU_ID=a/b");
    check_bad("SIMGPU_DRIVER_VERSION=twelve");
    check_bad("SIMGPU_DRIVER_VERSION=12.4");
    check_bad("SIMGPU_FAIL=cuMemAlloc");
    check_bad("SIMGPU_FAIL=cuMemAlloc:0");
    check_bad("SIMGPU_FAIL=cuMemAlloc:3-2");
    check_bad("SIMGPU_FAIL=cuMemAlloc:1=MANY");
    check_bad("SIMGPU_FAIL=cuNoFunction:1");
    check_bad("SIMGPU_LATENCY=cuMemAlloc=5");
    check_bad("SIMGPU_LATENCY=cuMemAlloc=100s");
}

static int total_mib(void)
{
    size_t total = 0;
    cuda_start();
    cuda.device_total(&total, 0);
    return total % (2 * MIB) == 0 ? (int)(total / MIB / 100) : 255;
}

static int device_count(void)
{
    int count = 0;
    CUresult result = try_init();
    cuda.device_count(&count);
    return result == CUDA_SUCCESS ? count : 100 + result;
}

static int free_mib(void)
{
    cuda_start();
    return (int)(cuda_free_bytes() / MIB);
}

static void check_devices(void)
{
    CHECK("11.17GiB", child_run(ENVIRONMENT("SIMGPU_DEVICES=11.17GiB"), total_mib), 114);
    CHECK("plain bytes", child_run(ENVIRONMENT("SIMGPU_DEVICES=2147483648"), total_mib), 20);
    CHECK("mebibytes", child_run(ENVIRONMENT("SIMGPU_DEVICES=1500MiB"), total_mib), 15);
    CHECK("three devices", child_run(ENVIRONMENT("SIMGPU_DEVICES=1GiB,2GiB,3GiB"), device_count),
          3);
    CHECK("one device by default", child_run(ENVIRONMENT("X=1"), device_count), 1);
}

static void check_context(void)
{
    CHECK("a context's price",
          child_run(ENVIRONMENT("SIMGPU_DEVICES=200MiB", "SIMGPU_CONTEXT=60MiB"), free_mib), 140);
    CHECK("no price", child_run(ENVIRONMENT("SIMGPU_DEVICES=200MiB", "SIMGPU_CONTEXT=0"), free_mib),
          200);
}

static int dear_context(void)
{
    CUcontext context = (CUcontext)&context;
    cuda_load();
    cuda.init(0);
    if (cuda.context_create(&context, 0, 0) != CUDA_ERROR_OUT_OF_MEMORY)
        return 1;
    if (cuda.primary_retain(&context, 0) != CUDA_ERROR_OUT_OF_MEMORY)
        return 2;
    return context == (CUcontext)&context ? 0 : 3;
}

/* A context for each cuCtxCreate, the primary one once however often it is retained. */
static int context_prices(void)
{
    CUcontext context, primary;
    cuda_start();
    long first = (long)cuda_free_bytes();
    cuda.primary_retain(&primary, 0);
    if ((long)cuda_free_bytes() != first)
        return 1;
    cuda.context_create(&context, 0, 0);
    if (first - (long)cuda_free_bytes() != 30 * (long)MIB)
        return 2;
    cuda.context_destroy(context);
    return (long)cuda_free_bytes() == first ? 0 : 3;
}

static void check_context_prices(void)
{
    CHECK("a context that does not fit",
          child_run(ENVIRONMENT("SIMGPU_DEVICES=200MiB", "SIMGPU_CONTEXT=300MiB"), dear_context),
          0);
    CHECK("contexts are charged once each",
          child_run(ENVIRONMENT("SIMGPU_DEVICES=200MiB", "SIMGPU_CONTEXT=30MiB"), context_prices),
          0);
}

static char visible[600]; /* "CUDA_VISIBLE_DEVICES=..." */

/* The total of each visible device in GiB, as digits. */
static int visible_totals(void)
{
    int count = 0, digits = 0;
    if (try_init() != CUDA_SUCCESS)
        return 99;
    cuda.device_count(&count);
    for (int i = 0; i < count; i++) {
        size_t total = 0;
        cuda.device_total(&total, i);
        digits = digits * 10 + (int)(total >> 30);
    }
    return digits;
}

static int see(const char *list)
{
    snprintf(visible, sizeof(visible), "CUDA_VISIBLE_DEVICES=%s", list);
    return child_run(ENVIRONMENT("SIMGPU_DEVICES=1GiB,2GiB,3GiB", visible), visible_totals);
}

/* The UUIDs of the three devices, from a child that sees them all. */
static char uuids[3][41];

static int print_uuids(struct child *parent, long unused)
{
    (void)unused;
    putenv("SIMGPU_DEVICES=1GiB,2GiB,3GiB");
    try_init();
    for (int i = 0; i < 3; i++) {
        CUuuid u;
        char text[41];
        cuda.device_uuid(&u, i);
        int at = sprintf(text, "GPU-");
        for (int b = 0; b < 16; b++)
            at += sprintf(text + at, "%s%02x", b == 4 || b == 6 || b == 8 || b == 10 ? "-" : "",
                          (unsigned char)u.bytes[b]);
        if (write(parent->to, text, sizeof(text)) != sizeof(text))
            return 1;
    }
    return 0;
}

static void check_visible(void)
{
    struct child child = child_start(print_uuids, 0);
    for (int i = 0; i < 3; i++)
        if (read(child.from, uuids[i], sizeof(uuids[i])) != sizeof(uuids[i]))
            uuids[i][0] = '\0';
    child_end(&child);
    CHECK_TRUE("UUIDs differ", strcmp(uuids[0], uuids[1]) != 0 && strcmp(uuids[1], uuids[2]) != 0);

    CHECK("all visible in order", see("0,1,2"), 123);
    CHECK("in another order", see("2,0"), 31);
    CHECK("nothing after a number that is none", see("1,7,0"), 2);
    CHECK("nothing after -1", see("1,-1,0"), 2);
    CHECK("none", see(""), 99);
    CHECK("none by name", see("NoDevFiles"), 99);
    CHECK("a device twice", see("1,1"), 99);
    CHECK("a UUID", see(uuids[2]), 3);
    char list[200];
    snprintf(list, sizeof(list), "%.12s,%s", uuids[1], uuids[0]);
    CHECK("the beginning of one, and another", see(list), 21);
    CHECK("a MIG id", see("MIG-GPU-1234/1/0"), 99);
}

static int hold_device(struct child *parent, long unused)
{
    (void)unused;
    putenv("SIMGPU_DEVICES=1GiB");
    cuda_start();
    child_sign(parent);
    child_wait(parent);
    return 0;
}

static void check_reconfiguration(void)
{
    char text[1000];
    struct child child = child_start(hold_device, 0);
    child_wait(&child);
    int status = child_run_stderr(ENVIRONMENT("SIMGPU_DEVICES=2GiB"), try_init, text, sizeof(text));
    CHECK("other devices while a process runs", status, CUDA_ERROR_NO_DEVICE);
    CHECK("  one line", lines_of(text), 1);
    CHECK("the same devices", child_run(ENVIRONMENT("SIMGPU_DEVICES=1GiB"), total_mib), 10);
    unsetenv("SIMGPU_DEVICES");
    CHECK("no devices named: those of the process", child_run(ENVIRONMENT("X=1"), total_mib), 10);
    child_sign(&child);
    child_end(&child);
    CHECK("other devices after its end", child_run(ENVIRONMENT("SIMGPU_DEVICES=2GiB"), total_mib),
          20);
    CHECK("no devices named: the default", child_run(ENVIRONMENT("X=1"), total_mib), 163);
}

static int version_hundreds(void)
{
    int version = 0;
    cuda_load();
    cuda.driver_version(&version);
    return version / 100;
}

static int newer_function(void)
{
    void *address = NULL;
    int status = -1;
    cuda_load();
    CUresult result = cuda.proc_address("cuMemAllocAsync", &address, 11000, 0, &status);
    return result == CUDA_ERROR_NOT_FOUND && address == NULL ? status : 100;
}

static void check_version(void)
{
    CHECK("driver version", child_run(ENVIRONMENT("SIMGPU_DRIVER_VERSION=12040"), version_hundreds),
          120);
    CHECK("  default", child_run(ENVIRONMENT("X=1"), version_hundreds), 130);
    CHECK("an old driver does not know newer names",
          child_run(ENVIRONMENT("SIMGPU_DRIVER_VERSION=11000"), newer_function), 1);
    CHECK("a new driver knows them, for newer versions",
          child_run(ENVIRONMENT("X=1"), newer_function), 2);
}

/* One digit for each of five allocations: 0 for success, else the error. */
static int five_allocations(void)
{
    int digits = 0;
    cuda_start();
    for (int i = 0; i < 5; i++) {
        CUdeviceptr address = 12345;
        CUresult result = cuda.alloc(&address, MIB);
        if (result != CUDA_SUCCESS && address != 12345)
            return 255;
        digits = digits * 2 + (result != CUDA_SUCCESS);
    }
    return digits;
}

static int sixth_error(void)
{
    five_allocations();
    CUdeviceptr address;
    return cuda.alloc(&address, MIB);
}

static int init_result(void)
{
    int first = try_init();
    return first * 2 + (cuda.init(0) == CUDA_SUCCESS);
}

static void check_failures(void)
{
    CHECK("the third call", child_run(ENVIRONMENT("SIMGPU_FAIL=cuMemAlloc:3"), five_allocations),
          4);
    CHECK("from the fourth on",
          child_run(ENVIRONMENT("SIMGPU_FAIL=cuMemAlloc:4+"), five_allocations), 3);
    CHECK("the second to fourth",
          child_run(ENVIRONMENT("SIMGPU_FAIL=cuMemAlloc:2-4"), five_allocations), 14);
    CHECK("two rules",
          child_run(ENVIRONMENT("SIMGPU_FAIL=cuMemAlloc:1,cuMemAlloc:5"), five_allocations), 17);
    CHECK("all", child_run(ENVIRONMENT("SIMGPU_FAIL=cuMemAlloc:*"), five_allocations), 31);
    CHECK("another function", child_run(ENVIRONMENT("SIMGPU_FAIL=cuMemFree:1"), five_allocations),
          0);
    CHECK("an error by number", child_run(ENVIRONMENT("SIMGPU_FAIL=cuMemAlloc:6=46"), sixth_error),
          46);
    CHECK("an error by name",
          child_run(ENVIRONMENT("SIMGPU_FAIL=cuMemAlloc:6=CUDA_ERROR_INVALID_DEVICE"), sixth_error),
          CUDA_ERROR_INVALID_DEVICE);
    CHECK("cuInit fails once", child_run(ENVIRONMENT("SIMGPU_FAIL=cuInit:1=100"), init_result),
          100 * 2 + 1);
}

static long ten_allocations_ms(void)
{
    struct timespec start, end;
    CUdeviceptr address;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < 10; i++)
        cuda.alloc(&address, MIB);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000;
}

/* The quickest of three: a busy machine only ever adds. */
static int milliseconds_of_ten(void)
{
    long quickest = 200;
    cuda_start();
    for (int i = 0; i < 3; i++) {
        long ms = ten_allocations_ms();
        quickest = ms < quickest ? ms : quickest;
    }
    return (int)quickest;
}

static void check_latency(void)
{
    check_between("3 ms each",
                  child_run(ENVIRONMENT("SIMGPU_LATENCY=cuMemAlloc=3ms"), milliseconds_of_ten), 30,
                  150);
    check_between("50 us each, spinning",
                  child_run(ENVIRONMENT("SIMGPU_LATENCY=cuMemAlloc=50us"), milliseconds_of_ten), 0,
                  20);
    check_between(
        "the first rule counts",
        child_run(ENVIRONMENT("SIMGPU_LATENCY=cuMemAlloc=1ns,*=3ms"), milliseconds_of_ten), 0, 20);
    check_between("any function",
                  child_run(ENVIRONMENT("SIMGPU_LATENCY=*=3ms"), milliseconds_of_ten), 30, 150);
}

int main(void)
{
    check_start();
    signal(SIGPIPE, SIG_IGN);
    check_bad_values();
    check_devices();
    check_context();
    check_context_prices();
    check_visible();
    check_reconfiguration();
    check_version();
    check_failures();
    check_latency();
    return check_finish();
}

/* steps SCENARIO [THREAD]: makes the calls of one scenario and says what each gave, a line a call;
 * in a thread that may be cancelled where a second argument is given, and then a few more in the
 * main thread. Whatever fails, it goes on.
 *   failing   small and large allocations of several kinds, two failures, a forked child
 *   waiting   a call that waits until another process gives its memory back
 *   spilling  what does not fit, filled and read again (VRAMGUARD_POLICY=spill)
 *   limited   more than VRAMGUARD_LIMIT allows */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "simgpu/driver/exports.h"

enum { MIB = 1 << 20 };

/* Of libfaulty.so, where that is preloaded: no fault is made in this process. */
extern void faulty_stop(void) __attribute__((weak));

static CUdeviceptr held[16];
static int held_count;

static void say(const char *what, CUresult result)
{
    printf("%s %d\n", what, (int)result);
    pthread_testcancel();
}

static void nap(long ms)
{
    const struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&pause, NULL);
}

static void use_context(void)
{
    CUcontext context = NULL;
    say("init", cuInit(0));
    say("retain", cuDevicePrimaryCtxRetain(&context, 0));
    say("current", cuCtxSetCurrent(context));
}

static void take(size_t bytes)
{
    CUdeviceptr address = 0;
    const CUresult result = cuMemAlloc_v2(&address, bytes);
    if (result == CUDA_SUCCESS)
        held[held_count++] = address;
    say("alloc", result);
}

static void give_back(void)
{
    while (held_count > 0)
        say("free", cuMemFree_v2(held[--held_count]));
}

static void fork_child(void)
{
    int status = 0;
    const pid_t pid = fork();
    if (pid == 0) {
        CUdeviceptr address;
        cuMemAlloc_v2(&address, MIB);
        exit(5);
    }
    waitpid(pid, &status, 0);
    say("child", status);
}

static void fail_twice(void)
{
    CUdeviceptr address = 0;
    void *host = NULL;
    use_context();
    take(4096);
    take(16 * (size_t)MIB);
    say("managed", cuMemAllocManaged(&address, MIB, 1));
    say("free managed", cuMemFree_v2(address));
    say("pinned", cuMemHostAlloc(&host, MIB, 0));
    say("free pinned", cuMemFreeHost(host));
    say("pooled", cuMemAllocAsync(&address, MIB, NULL));
    say("free pooled", cuMemFreeAsync(address, NULL));
    take((size_t)1 << 40);
    take((size_t)2 << 40);
    fork_child();
    give_back();
}

/* A process that is nobody's child holds the memory for a while: a call does not wait for the own
 * family's. */
static void hold(int told, int over)
{
    if (fork() != 0)
        return;
    if (setsid() < 0 || fork() != 0)
        _exit(0);
    close(STDOUT_FILENO);
    if (faulty_stop)
        faulty_stop();
    use_context();
    take(150 * (size_t)MIB);
    nap(write(told, "x", 1) == 1 ? 60 : 0);
    give_back();
    close(over);
    _exit(0);
}

static void wait_for_other(void)
{
    int told[2], over[2];
    char byte = 0;
    if (pipe(told) != 0 || pipe(over) != 0)
        exit(1);
    hold(told[1], over[1]);
    close(told[1]);
    close(over[1]);
    wait(NULL);
    nap(read(told[0], &byte, 1) == 1 ? 0 : 1);
    use_context();
    take(150 * (size_t)MIB);
    while (read(over[0], &byte, 1) > 0)
        ;
    close(told[0]);
    close(over[0]);
    give_back();
}

static void spill(void)
{
    char text[] = "kept", read_again[sizeof text] = "";
    use_context();
    take(100 * (size_t)MIB);
    take(200 * (size_t)MIB);
    say("write", cuMemcpyHtoD_v2(held[held_count - 1], text, sizeof text));
    say("read", cuMemcpyDtoH_v2(read_again, held[held_count - 1], sizeof text));
    say(read_again, CUDA_SUCCESS);
    give_back();
}

static void reach_limit(void)
{
    use_context();
    take(30 * (size_t)MIB);
    take(40 * (size_t)MIB);
    take(30 * (size_t)MIB);
    give_back();
    take(30 * (size_t)MIB);
    give_back();
}

static void *run_scenario(void *name)
{
    if (strcmp(name, "failing") == 0)
        fail_twice();
    else if (strcmp(name, "waiting") == 0)
        wait_for_other();
    else if (strcmp(name, "spilling") == 0)
        spill();
    else if (strcmp(name, "limited") == 0)
        reach_limit();
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    setlinebuf(stdout);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL); /* of this thread's only */
    if (argc < 2)
        return 2;
    if (argc == 2) {
        run_scenario(argv[1]);
    } else {
        if (pthread_create(&thread, NULL, run_scenario, argv[1]) != 0)
            return 1;
        pthread_join(thread, NULL);
        printf("the thread has ended\n");
        held_count = 0;
        use_context();
        take(4096);
        take((size_t)1 << 40);
        give_back();
    }
    printf("went on\n");
    return 3;
}

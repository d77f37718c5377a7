/* A process is killed at each instruction at which it holds the lock over the shared accounting:
 * its memory comes back, and nobody is stuck. The process is stepped through cuMemAlloc and
 * cuMemFree with ptrace. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "cuda.h"

#define MIB         1048576u
#define LOCK_OFFSET 16 /* of the mutex's word in the shared state: behind magic, version, size */
#define MAX_STEPS   200000 /* far more instructions than the two calls have */

static const volatile int *lock_word;

static int map_shared_state(void)
{
    char path[200];
    const char *id = getenv("SIMGPU_ID");
    if (id != NULL)
        snprintf(path, sizeof(path), "/dev/shm/simgpu-%s", id);
    else
        snprintf(path, sizeof(path), "/dev/shm/simgpu-uid-%u", geteuid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    const char *mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED)
        return -1;
    lock_word = (const volatile int *)(const volatile void *)(mapped + LOCK_OFFSET);
    return 0;
}

/* Answers each sign with the free bytes of the device. */
static int observe(struct child *parent, long unused)
{
    (void)unused;
    cuda_start();
    while (child_wait(parent) == 0) {
        long bytes = (long)cuda_free_bytes();
        if (write(parent->to, &bytes, sizeof(bytes)) != sizeof(bytes))
            break;
    }
    return 0;
}

static long free_bytes(struct child *observer)
{
    long bytes = -1;
    child_sign(observer);
    return read(observer->from, &bytes, sizeof(bytes)) == sizeof(bytes) ? bytes : -1;
}

/* Stops itself before the calls and ends after them. */
static int be_stepped(struct child *parent, long unused)
{
    (void)parent;
    (void)unused;
    CUdeviceptr address;
    cuda_start();
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        return 99;
    raise(SIGSTOP);
    cuda.alloc(&address, 2 * MIB);
    cuda.free(address);
    return 0;
}

/* Steps the child until it has held the lock for `wanted` instructions, and kills it there. Returns
 * 1 if it did, 0 if the child ended before, -1 if it cannot be traced. */
static int kill_at(long wanted)
{
    struct child child = child_start(be_stepped, 0);
    int status, result = 0;
    long held = 0;
    waitpid(child.pid, &status, 0);
    if (!WIFSTOPPED(status))
        return -1;
    for (long step = 0; step < MAX_STEPS; step++) {
        if (*lock_word != 0 && held++ == wanted) {
            kill(child.pid, SIGKILL);
            result = 1;
        }
        ptrace(PTRACE_SINGLESTEP, child.pid, NULL, NULL);
        waitpid(child.pid, &status, 0);
        if (!WIFSTOPPED(status))
            break;
    }
    close(child.to);
    close(child.from);
    return result;
}

int main(void)
{
    check_start();
    signal(SIGPIPE, SIG_IGN);
    struct child observer = child_start(observe, 0);
    long before = free_bytes(&observer);
    if (map_shared_state() != 0) {
        printf("no shared state\n");
        return 2;
    }
    long wrong = 0, instants = 0;
    int killed = 1;
    for (long wanted = 0; killed == 1; wanted++) {
        killed = kill_at(wanted);
        instants += killed == 1;
        wrong += free_bytes(&observer) != before;
    }
    if (killed < 0) {
        check_skip("killed at each instruction", "ptrace is not permitted here");
    } else {
        check_between("instructions under the lock", instants, 20, 2000);
        CHECK("killed at each of them: nothing lost, nothing stuck", wrong, 0);
    }
    child_end(&observer);
    return check_finish();
}

/* Device memory shared between processes. The program starts itself again as the other process. */
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cuda.h"

#define MIB              1048576u
#define LAZY_PEER_ACCESS 1
#define OFFSET           12345

extern char **environ;

static CUipcMemHandle parse_handle(const char *text)
{
    CUipcMemHandle handle;
    for (size_t i = 0; i < sizeof(handle.reserved); i++) {
        unsigned int byte = 0;
        sscanf(text + 2 * i, "%2x", &byte);
        handle.reserved[i] = (char)byte;
    }
    return handle;
}

/* The other process: opens the memory, reads what the first wrote, and answers in it. The exit
 * status names the step that went wrong. */
static int other(const char *text)
{
    CUipcMemHandle handle = parse_handle(text);
    CUdeviceptr address = 0, again = 0;
    char word[6] = "";
    cuda_start();
    size_t before = cuda_free_bytes();
    if (cuda.ipc_open(&address, handle, LAZY_PEER_ACCESS) != CUDA_SUCCESS)
        return 10;
    size_t after = cuda_free_bytes();
    if (before > after && before - after > 16 * MIB)
        return 11; /* an importer pays nothing */
    if (cuda.copy_dtoh(word, address + OFFSET, sizeof(word)) != CUDA_SUCCESS)
        return 12;
    if (strcmp(word, "first") != 0)
        return 13;
    if (cuda.copy_htod(address + OFFSET, "other", sizeof(word)) != CUDA_SUCCESS)
        return 14;
    if (cuda.ipc_open(&again, handle, LAZY_PEER_ACCESS) != CUDA_SUCCESS || again != address)
        return 15; /* opened twice: the same address, and it counts */
    if (cuda.free(address) != CUDA_ERROR_INVALID_VALUE)
        return 16;
    if (cuda.ipc_close(address) != CUDA_SUCCESS)
        return 17;
    if (cuda.set_d8(address, 0, 1) != CUDA_SUCCESS)
        return 18;
    if (cuda.ipc_close(address) != CUDA_SUCCESS)
        return 19;
    return cuda.ipc_close(address) == CUDA_SUCCESS ? 20 : 0;
}

static int run_other(const CUipcMemHandle *handle)
{
    char text[2 * sizeof(handle->reserved) + 1];
    for (size_t i = 0; i < sizeof(handle->reserved); i++)
        sprintf(text + 2 * i, "%02x", (unsigned char)handle->reserved[i]);
    char path[4096] = "", flag[] = "--other";
    if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
        return -1;
    char *arguments[] = { path, flag, text, NULL };
    pid_t pid;
    int status;
    if (posix_spawn(&pid, path, NULL, NULL, arguments, environ) != 0 ||
        waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void check_sharing(const char *name, size_t bytes, size_t skipped)
{
    CUdeviceptr address, first = 0;
    CUipcMemHandle handle;
    char word[6] = "";
    if (skipped > 0)
        cuda.alloc(&first, skipped); /* so that the next does not begin its block */
    cuda.alloc(&address, bytes);
    cuda.copy_htod(address + OFFSET, "first", sizeof(word));
    CHECK(name, cuda.ipc_get(&handle, address), CUDA_SUCCESS);
    cuda.copy_dtoh(word, address + OFFSET, sizeof(word));
    CHECK("  the data stays", strcmp(word, "first"), 0);
    CHECK("  another process uses it", run_other(&handle), 0);
    cuda.copy_dtoh(word, address + OFFSET, sizeof(word));
    CHECK("  its answer is there", strcmp(word, "other"), 0);
    CHECK("free", cuda.free(address), CUDA_SUCCESS);
    if (first != 0)
        cuda.free(first);
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 3 && strcmp(arguments[1], "--other") == 0) {
        return other(arguments[2]);
    }
    check_start();
    cuda_start();
    check_sharing("share a large allocation", 8 * MIB, 0);
    check_sharing("share a small allocation", 100000, 5000);
    CUipcMemHandle handle;
    memset(&handle, 0, sizeof(handle));
    CUdeviceptr address = 12345;
    CHECK("get a handle of nothing", cuda.ipc_get(&handle, 0), CUDA_ERROR_INVALID_VALUE);
    CHECK_TRUE("open nonsense", cuda.ipc_open(&address, handle, LAZY_PEER_ACCESS) != CUDA_SUCCESS);
    CHECK("  leaves the output alone", address, 12345);
    cuda.alloc(&address, MIB);
    cuda.ipc_get(&handle, address);
    CUdeviceptr same = 12345;
    CHECK_TRUE("open one's own", cuda.ipc_open(&same, handle, LAZY_PEER_ACCESS) != CUDA_SUCCESS);
    cuda.free(address);
    return check_finish();
}

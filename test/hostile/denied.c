/* denied HOW CALLS COMMAND...: runs a command under a seccomp profile (seccomp(2)). CALLS are names
 * of system calls, separated by commas. HOW:
 *   eperm, enosys   those fail, with that error
 *   only            all others end the process with SIGSYS */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILTER_MAX = 250 };

/* clang-format off */
#define CALL(name) { #name, SYS_##name }
static const struct {
    const char *name;
    long number;
} calls[] = {
    CALL(brk), CALL(clone), CALL(clone3), CALL(clock_gettime), CALL(clock_nanosleep), CALL(close),
    CALL(dup3), CALL(execve), CALL(exit), CALL(exit_group), CALL(fallocate), CALL(fchdir),
    CALL(fcntl), CALL(flock), CALL(fstat), CALL(ftruncate), CALL(futex), CALL(getcwd),
    CALL(getdents64), CALL(getegid), CALL(geteuid), CALL(getgid), CALL(getpid), CALL(getppid),
    CALL(getrandom), CALL(gettid), CALL(getuid), CALL(ioctl), CALL(kill), CALL(linkat), CALL(lseek),
    CALL(madvise), CALL(membarrier), CALL(memfd_create), CALL(mincore), CALL(mkdirat), CALL(mmap),
    CALL(mprotect), CALL(mremap), CALL(munmap), CALL(nanosleep), CALL(newfstatat), CALL(openat),
    CALL(perf_event_open), CALL(pipe2), CALL(ppoll), CALL(prctl), CALL(pread64), CALL(prlimit64),
    CALL(process_vm_readv), CALL(ptrace), CALL(pwrite64), CALL(read), CALL(readlinkat), CALL(rseq),
    CALL(rt_sigaction), CALL(rt_sigpending), CALL(rt_sigprocmask), CALL(rt_sigreturn),
    CALL(rt_sigtimedwait), CALL(sched_yield), CALL(set_robust_list), CALL(set_tid_address),
    CALL(setsid), CALL(shmat), CALL(shmctl), CALL(shmdt), CALL(shmget), CALL(sigaltstack),
    CALL(statx), CALL(tgkill), CALL(uname), CALL(unlinkat), CALL(userfaultfd), CALL(wait4),
    CALL(write),
#ifdef __x86_64__
    CALL(access), CALL(arch_prctl), CALL(dup2), CALL(lstat), CALL(mkdir), CALL(open), CALL(pipe),
    CALL(poll), CALL(readlink), CALL(stat), CALL(unlink),
#endif
};
/* clang-format on */

static struct sock_filter filter[FILTER_MAX];
static unsigned short length;

static void add(struct sock_filter one)
{
    if (length < FILTER_MAX)
        filter[length++] = one;
}

static void add_call(const char *name, uint32_t action)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (strcmp(calls[i].name, name) == 0) {
            add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].number,
                                             0, 1));
            add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
            return;
        }
    fprintf(stderr, "denied: unknown system call %s\n", name);
    exit(125);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 125;
    const int is_only = strcmp(argv[1], "only") == 0;
    const uint32_t error = strcmp(argv[1], "eperm") == 0 ? EPERM : ENOSYS;
    const uint32_t named = is_only ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | error;
    add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    for (char *name = strtok(argv[2], ","); name; name = strtok(NULL, ","))
        add_call(name, named);
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
                                     is_only ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ALLOW));
    const struct sock_fprog program = { .len = length, .filter = filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        perror("denied: seccomp");
        return 125;
    }
    execvp(argv[3], argv + 3);
    perror("denied: exec");
    return 125;
}

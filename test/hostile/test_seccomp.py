"""Under a seccomp profile that denies what the library uses and the program does not, the program
ends as it does bare; and what the library uses is what any program does."""

import os
import platform
import re

import pytest

# What the program of these tests calls itself, with the C library and the simulated driver.
PROGRAM = (
    "access arch_prctl brk clone clone3 clock_nanosleep close dup2 execve exit exit_group flock fstat "
    "ftruncate futex getpid getrandom ioctl kill lseek madvise mmap mprotect munmap newfstatat openat "
    "pipe2 pread64 prlimit64 read rseq rt_sigprocmask rt_sigreturn set_robust_list set_tid_address "
    "setsid wait4 write"
).split()

# What the guard adds: nothing that a profile for services denies (systemd.exec(5), @system-service).
GUARD = (
    "clock_gettime fallocate fcntl getcwd getdents64 getegid geteuid getgid getppid gettid getuid linkat "
    "mincore mkdir nanosleep poll prctl pwrite64 readlink rt_sigaction rt_sigpending rt_sigtimedwait "
    "sched_yield sigaltstack tgkill uname unlink unlinkat"
).split()

# What others of its kind use: it is denied in containers, or ends the program.
UNUSED = "memfd_create perf_event_open process_vm_readv ptrace statx userfaultfd membarrier".split()

# By default a quarter of the calls, each by itself.
ALL = os.environ.get("VG_TEST_FAULTS") == "all"

SCENARIOS = {
    "failing": {"VRAMGUARD_POLICY": "trim,wait=1s"},
    "waiting": {"VRAMGUARD_POLICY": "wait=2s"},
    "spilling": {"VRAMGUARD_POLICY": "spill"},
    "limited": {"VRAMGUARD_POLICY": "off", "VRAMGUARD_LIMIT": "80MiB"},
}

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the lists above are those of x86-64"
)


def said(result):
    """What the guard says except of memory. Two processes of a scenario may say the same."""
    return {
        re.sub("[0-9]+", "N", line)
        for line in result.guard_lines
        if line.startswith("vramguard: ") and not line.startswith("vramguard: GPU 0")
    }


def run(hostile, scenario, how, calls, guarded=True):
    command = hostile.program("denied", how, ",".join(calls))
    return hostile.run(
        command + hostile.program("steps", scenario), guarded=guarded, **SCENARIOS[scenario]
    )


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_it_calls_nothing_unusual(hostile, scenario):
    usual = hostile.run(
        hostile.program("steps", scenario), guarded=True, **SCENARIOS[scenario]
    )
    result = run(hostile, scenario, "only", PROGRAM + GUARD)
    assert result.own == usual.own, result.stderr
    assert len(result.guard_lines) == len(usual.guard_lines), result.guard_text


@pytest.mark.parametrize("error", ["eperm", "enosys"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_only_it_uses_is_denied(hostile, scenario, error):
    bare = run(hostile, scenario, error, GUARD + UNUSED, guarded=False)
    usual = hostile.run(
        hostile.program("steps", scenario), guarded=True, **SCENARIOS[scenario]
    )
    assert bare.code == 3, bare.stderr
    known = set(bare.stdout.splitlines()) | set(usual.stdout.splitlines())
    wrong = []
    some = GUARD if ALL else GUARD[len(scenario + error) % 4 :: 4]
    for calls in [GUARD + UNUSED, *([call] for call in some)]:
        result = run(hostile, scenario, error, calls)
        new = said(result) - said(usual)
        if not (
            result.code == 3
            and result.own_stderr == ""
            and set(result.stdout.splitlines()) <= known
            and len(new) <= (1 if len(calls) == 1 else 3)
        ):
            wrong.append("%s: %s\n%s\n%s" % (calls, result.code, result.stdout, result.stderr))
    assert not wrong, "\n".join(wrong)


def test_a_denied_folder_is_not_said_to_be_another_users(hostile):
    result = run(hostile, "waiting", "eperm", ["mkdir"])
    (line,) = [line for line in said(result) if "/dev/shm" in line]
    assert "Permission denied" in line and "belong" not in line

"""Every call that the library makes, of the C library, of the driver and of NVML, fails once, is
interrupted once, is slow once, and is once the moment of a pthread_cancel and of a SIGKILL. The
program ends as it does bare or keeps its results, and nothing but one clear line is said about it.

By default a sample of the calls, another one for each scenario; VG_TEST_FAULTS=all does all of them
(scripts/test --long), the first TIMES at each place of the library."""

import os
import platform
import re
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROGRAMS, e2e

STEPS = Path(__file__).with_name("steps.py")
FAULTY = Path(__file__).with_name("faulty.c")
MAY_BE_ABSENT = {"close_range", "pthread_attr_setsigmask_np"}  # depends on the C library
LIBRARY = PROGRAMS / "libfaulty.so"
ALL = os.environ.get("VG_TEST_FAULTS") == "all"
SAMPLE = 4  # calls of a scenario and a way
TIMES = 4
PATIENCE_S = 90

# faulty.c: struct plan
HEAD, SITE, SITES = struct.Struct("8I"), struct.Struct("3I36s"), 4096
LIST, FAIL, INTERRUPT, SLOW, CANCEL, KILL = range(6)
WAYS = {"fails": FAIL, "interrupted": INTERRUPT, "slow": SLOW, "cancelled": CANCEL, "killed": KILL}
UNKNOWN, OUT_OF_MEMORY = 999, 2

LIMITED = {"VRAMGUARD_POLICY": "off", "VRAMGUARD_LIMIT": "80MiB"}
SCENARIOS = {  # steps.c's, or Python's, and the settings
    "failing": ("failing", {"VRAMGUARD_POLICY": "trim,wait=1s"}),
    "waiting": ("waiting", {"VRAMGUARD_POLICY": "wait=2s"}),
    "spilling": ("spilling", {"VRAMGUARD_POLICY": "spill"}),
    "python": (None, {"VRAMGUARD_POLICY": "trim,wait=1s"}),
    "limited": ("limited", LIMITED),
    "shared": ("limited", {**LIMITED, "VRAMGUARD_LIMIT_SCOPE": "shared"}),
    "trimming": ("failing", {"VRAMGUARD_POLICY": "trim", "VRAMGUARD_TRIM_CMD": "true"}),
    "needing": ("limited", {"VRAMGUARD_NEED": "64MiB", "VRAMGUARD_NEED_WAIT": "2s"}),
}

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="faulty.c knows the calls of x86-64 only"
)


class Matrix:
    """Runs one scenario again and again, each time with one call going wrong."""

    def __init__(self, machine, scenario, in_thread):
        self.machine = machine
        steps, settings = SCENARIOS[scenario]
        self.command = [sys.executable, STEPS]
        if steps:
            self.command = machine.program("steps", steps, *(["thread"] if in_thread else []))
        self.settings = dict(settings, VRAMGUARD_KEEP="3")
        self.plan = machine.folder / "plan"
        self.bare = machine.run(self.command, **self.settings)
        assert self.bare.code == 3 and self.bare.stdout.endswith("went on\n"), self.bare.stderr
        self.registry = machine.registry_file()
        self.usual = self.run(LIST)
        assert self.usual.code == 3, self.usual.stderr
        self.calls = self.read_calls()

    def run(self, how, site=0, time=0, error=0):
        """Like the first run of this user's on this machine: folders and shared files are made."""
        shutil.rmtree(self.machine.state, ignore_errors=True)
        self.registry.unlink(missing_ok=True)
        return self.run_again(how, site, time, error)

    def run_again(self, how, site=0, time=0, error=0):
        head = HEAD.pack(how, site, time, error, 0, 0, 0, 0)
        self.plan.write_bytes(head.ljust(HEAD.size + SITES * SITE.size, b"\0"))
        preload = "%s %s" % (self.machine.preload, LIBRARY)
        return self.machine.run(
            self.command,
            timeout_s=PATIENCE_S,
            LD_PRELOAD=preload,
            FAULTY_FILE=str(self.plan),
            **self.settings,
        )

    def was_hit(self):
        return HEAD.unpack_from(self.plan.read_bytes())[5] == 1

    def read_calls(self):
        """(site, which time, kind, name) of each call of the library's."""
        data, calls = self.plan.read_bytes(), []
        for at in range(SITES):
            site, times, kind, name = SITE.unpack_from(data, HEAD.size + at * SITE.size)
            for time in range(1, min(times, TIMES) + 1):
                calls.append((site, time, kind, name.rstrip(b"\0").decode()))
        assert len(calls) > 50, "the library makes more calls than these: %s" % calls
        return sorted(calls)

    def check(self, result, what):
        """Is that how the program ends bare, or with what the library gives it?"""
        context = "%s: exit code %s\n%s\n%s" % (what, result.code, result.stdout, result.stderr)
        assert result.code == 3 and result.own_stderr == "", context
        known = set(self.bare.stdout.splitlines()) | set(self.usual.stdout.splitlines())
        # A second try of the library's own may be what fails, or the free of what it has spilled.
        known |= {"alloc %d" % OUT_OF_MEMORY, "free %d" % UNKNOWN}
        assert set(result.stdout.splitlines()) <= known, context
        assert result.stdout.endswith("went on\n"), context
        assert len(new_lines(result, self.usual)) <= 1, context


def plain(line):
    return re.sub(r"[0-9][0-9.]*|vramguard report.*", "N", line)


PREFIX = "vramguard: "
TOLD_ANYWAY = tuple(
    PREFIX + "GPU 0" + rest for rest in (" out of memory", ": waiting up to ", ": got ")
)


def new_lines(result, usual):
    """What the guard says that it does not say usually: lines that begin a message. A wait is told
    when it takes a second, which depends on what else the machine does.
    """
    said = [plain(line) for line in usual.guard_lines if line.startswith(PREFIX)]
    new = []
    for line in result.guard_lines:
        if line.startswith(PREFIX) and not line.startswith(TOLD_ANYWAY):
            if plain(line) in said:
                said.remove(plain(line))
            else:
                new.append(line)
    return new


def chosen(calls, way, scenario):
    if ALL:
        return calls
    step = max(1, len(calls) // SAMPLE)
    return calls[(7 * len(way) + len(scenario)) % step :: step]


# What cannot fail, or whose failure the library would not survive in any form: functions that only
# compute, those of the caller's own thread and its signals, and what finds things out by other means.
NEVER_FAIL = set(
    """backtrace clock_gettime dl_iterate_phdr dlclose dlerror environ fnmatch getenv geteuid
    getpid getppid getuid memchr memcmp memcpy memmem memmove memset pthread_attr_destroy
    pthread_attr_getstack pthread_attr_setdetachstate pthread_self pthread_setcancelstate
    pthread_sigmask rewinddir sched_yield secure_getenv sigaddset sigdelset sigemptyset sigfillset
    sigismember sigpending sigprocmask snprintf strcasecmp strchr strchrnul strcmp strcpy strcspn
    strerror strlen strncasecmp strncat strncmp strnlen strpbrk strrchr strspn strstr strtol strtoul
    strtoull vsnprintf _longjmp""".split()
)


def test_every_import_has_a_row():
    """A call that the library has begun to make is made to fail, too."""
    symbols = subprocess.run(
        ["nm", "-D", "--undefined-only", e2e.BUILD / "libvramguard.so"],
        stdout=subprocess.PIPE, check=True, text=True,
    )
    imported = {line.split()[-1].split("@")[0] for line in symbols.stdout.splitlines()}
    rows = set(re.findall(r'^    \{ "(\w+)", ', FAULTY.read_text(), re.MULTILINE))
    of_the_compiler = {name for name in imported if name.startswith("_") and name not in rows}
    assert rows - imported <= MAY_BE_ABSENT, "rows that nothing imports"
    assert imported - rows - NEVER_FAIL - of_the_compiler == set()


# Python's main thread is not cancelled.
COURSES = [(scenario, way) for scenario in SCENARIOS for way in WAYS]
COURSES.remove(("python", "cancelled"))


@pytest.mark.parametrize("scenario, way", COURSES)
def test_one_call_goes_wrong(hostile, scenario, way):
    matrix = Matrix(hostile, scenario, in_thread=way == "cancelled")
    hits = tried = 0
    wrong = []
    for site, time, kind, name in chosen(matrix.calls, way, scenario):
        # What the driver answers; NVML's errors have other numbers, and 999 in both is "unknown".
        what = "%s: %s at %#x, time %d" % (way, name, site, time)
        tried += 1
        try:
            result = matrix.run(WAYS[way], site, time, UNKNOWN)
        except subprocess.TimeoutExpired:
            wrong.append(what + ": hangs")
            continue
        if not matrix.was_hit():
            continue  # another course of threads, or nothing that can be interrupted
        hits += 1
        try:
            if way == "killed":
                # It, or its child. Nothing of it is left for the next.
                assert result.code == -signal.SIGKILL or "child 9\n" in result.stdout, what
                result = matrix.run_again(LIST)
            matrix.check(result, what)
        except AssertionError as error:
            wrong.append(str(error))
    print("%s, %s: %d of %d calls" % (scenario, way, hits, tried))
    assert not wrong, "\n".join(["%d of %d:" % (len(wrong), hits)] + wrong[:20])
    assert hits > 0 or way == "interrupted"

"""Memory that a Python framework only caches is given back: to other processes that wait for memory,
and to code of the same process that lacks it. Nobody is harmed by it."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import BUILD, at_most
from test_python_stacks import READABLE, each

HERE = Path(__file__).with_name("python_trim")
ALLOCATORS = BUILD / "test" / "e2e" / "python_trim"
TAKE = ALLOCATORS / "take"
MACHINE = {"SIMGPU_DEVICES": "1GiB", "SIMGPU_CONTEXT": "32MiB"}
GAVE = r"vramguard: GPU 0: gave back %s of cached memory: pid \d+ \(take 512.*\) asked for 512 MiB"


def settings(**extra):
    return {
        **MACHINE,
        "ALLOCATORS": str(ALLOCATORS),
        "PYTHONPATH": str(HERE / "modules"),
        "VRAMGUARD_POLICY": "trim,wait=10s",
        **extra,
    }


class Neighbour:
    """A program with a cache."""

    def __init__(self, machine, mode, framework="torch", python=sys.executable, guarded=True,
                 **extra):
        self.machine = machine
        self.process = machine.start([python, HERE / "program.py", mode, framework], guarded,
                                     stdin=subprocess.PIPE, **settings(**extra))

    def await_ready(self):
        line = self.process.stdout.readline()
        while line and line != "ready\n":
            line = self.process.stdout.readline()
        assert line == "ready\n", self.process.communicate()[1]
        return self

    def end(self):
        """Its result; it must have ended well."""
        try:
            self.process.stdin.write("end\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        result = self.machine.finish(self.process)
        assert result.code == 0, (result.code, result.stdout, result.stderr)
        assert result.own_stderr == ""
        return result


def take(machine, mib=512, keep_ms=0, wait="10s", **extra):
    """A program in C that asks for memory: (its code, the milliseconds it took, its result)."""
    extra = {"VRAMGUARD_POLICY": "trim,wait=" + wait, **extra}
    result = machine.run([TAKE, mib, keep_ms], guarded=True, **settings(**extra))
    code, ms = map(int, result.stdout.split())
    return code, ms, result


def gave(result, amount="800 MiB"):
    return [line for line in result.guard_lines if re.fullmatch(GAVE % amount, line)]


# ---- neighbours


@each(READABLE)
@pytest.mark.parametrize("mode", ["idle", "busy"])
def test_a_cache_lets_the_neighbour_load(machine, python, mode):
    neighbour = Neighbour(machine, mode, python=python).await_ready()
    code, ms, asker = take(machine)
    assert (code, asker.guard_lines) == (0, [])
    assert at_most(ms, 1000)
    result = neighbour.end()
    assert len(gave(result)) == 1, result.stderr
    assert len(result.guard_lines) == 1
    (record,) = [path for path in machine.records()
                 if not path.stem.endswith("-%d" % neighbour.process.pid)]
    report = machine.vramguard("report", record).stdout
    assert re.search(r"wait: got it,\s+pid\s+\d+\s+\(python.*\)\s+gave\s+back\s+800\s+MiB\s+of\s+"
                     r"its\s+cache", report), report


def test_a_bare_neighbour_gives_nothing(machine):
    neighbour = Neighbour(machine, "idle", guarded=False).await_ready()
    code, _, _ = take(machine, wait="1s")
    assert code == 2
    neighbour.end()


def test_one_that_sleeps_gives_back_and_can_be_killed(machine):
    neighbour = Neighbour(machine, "sleep").await_ready()
    code, ms, _ = take(machine)
    assert code == 0 and at_most(ms, 1000)
    neighbour.process.send_signal(signal.SIGTERM)
    result = machine.finish(neighbour.process)
    assert result.code == -signal.SIGTERM
    assert len(gave(result)) == 1


@pytest.mark.parametrize("keeps_gil", [None, "1"])
def test_both_kinds_of_empty_cache(machine, keeps_gil):
    neighbour = Neighbour(machine, "idle", TORCH_KEEPS_GIL=keeps_gil).await_ready()
    assert take(machine)[0] == 0
    assert len(gave(neighbour.end())) == 1


def test_cupy(machine):
    neighbour = Neighbour(machine, "idle", "cupy").await_ready()
    code, ms, _ = take(machine)
    assert code == 0 and at_most(ms, 1000)
    assert len(gave(neighbour.end())) == 1


def test_memory_in_use_stays(machine):
    neighbour = Neighbour(machine, "in_use").await_ready()
    code, ms, result = take(machine, wait="1s")
    assert code == 2 and ms >= 1000 and at_most(ms, 2000)
    assert "still holds" in result.guard_text
    result = neighbour.end()
    assert (result.stdout, result.guard_lines) == ("kept 4\n", [])


@pytest.mark.parametrize(
    "extra",
    [{"VRAMGUARD_PYTHON_TRIM": "off"}, {"VRAMGUARD_POLICY": "wait=10s"},
     {"VRAMGUARD_POLICY": "off"}, {"VRAMGUARD": "off"}],
    ids=["python_trim", "no trim", "report only", "off"],
)
def test_who_does_not_want_to_is_not_asked(machine, extra):
    neighbour = Neighbour(machine, "idle", **extra).await_ready()
    assert take(machine, wait="1s")[0] == 2
    assert neighbour.end().guard_lines == []


def test_garbage_is_collected_only_where_the_user_allows_it(machine):
    neighbour = Neighbour(machine, "garbage").await_ready()
    assert take(machine, wait="1s")[0] == 2
    assert neighbour.end().guard_lines == []
    neighbour = Neighbour(machine, "garbage", VRAMGUARD_PYTHON_TRIM="full").await_ready()
    code, ms, _ = take(machine)
    assert code == 0 and at_most(ms, 1000)
    assert len(gave(neighbour.end())) == 1


def test_need_asks(machine):
    neighbour = Neighbour(machine, "idle").await_ready()
    started = time.monotonic()
    code, _, result = take(machine, VRAMGUARD_NEED="512MiB", VRAMGUARD_POLICY="off")
    assert code == 0 and at_most(time.monotonic() - started, 1.5)
    assert result.guard_lines == []
    assert len(gave(neighbour.end())) == 1


def test_a_python_that_asks_is_served_too(machine):
    neighbour = Neighbour(machine, "idle").await_ready()
    asker = Neighbour(machine, "in_use").await_ready()
    assert asker.end().stdout == "kept 4\n"
    assert any("gave back 800 MiB" in line for line in neighbour.end().guard_lines)


def test_answers_are_seldom(machine):
    neighbour = Neighbour(machine, "refills").await_ready()
    start = time.monotonic()
    code, ms, _ = take(machine)
    assert code == 0 and at_most(ms, 1000)
    assert neighbour.process.stdout.readline() == "filled\n"
    code, ms, _ = take(machine)
    assert code == 0 and at_most(ms, 3000)
    assert time.monotonic() - start >= 2  # the first answer came after the start
    assert len(gave(neighbour.end())) == 2


# ---- where it must not disturb


def test_python_that_keeps_the_gil(machine):
    neighbour = Neighbour(machine, "keeps_gil", VRAMGUARD_TRIM_TIMEOUT="1s").await_ready()
    time.sleep(0.3)
    code, ms, _ = take(machine, wait="1s")
    assert code == 2 and ms >= 1000 and at_most(ms, 2000)
    # When the GIL is there again, the first question has become too late; the next one comes after
    # five seconds.
    code, ms, _ = take(machine)
    assert code == 0 and ms > 4000 and at_most(ms, 8000)
    result = neighbour.end()
    assert result.stdout == "calls 1\n"
    assert "could not be emptied within 1 s" in result.guard_lines[0]
    assert len(gave(result)) == 1 and len(result.guard_lines) == 2


def test_who_waits_says_where_it_came_from(machine):
    neighbour = Neighbour(machine, "keeps_gil").await_ready()
    time.sleep(0.3)
    code, ms, result = take(machine)
    assert code == 0 and ms > 1000 and at_most(ms, 4000)
    first, last = result.guard_lines
    assert "waiting up to 10 s for 512 MiB" in first
    assert re.fullmatch(r"vramguard: GPU 0: got 512 MiB after [\d.]+ s"
                        r": pid \d+ \(python.*\) gave back 800 MiB of its cache", last), last
    assert len(gave(neighbour.end())) == 1


def test_askers_that_are_killed_at_random(machine):
    neighbour = Neighbour(machine, "churn", VRAMGUARD_POLICY="trim").await_ready()
    for i in range(30):
        asker = machine.start([TAKE, 700, 5000], guarded=True, **settings())
        time.sleep(0.01 + 0.01 * i)
        machine.kill(asker)
    result = neighbour.end()
    words = result.stdout.split()
    assert int(words[1]) >= 2 and at_most(float(words[3]), 0.5), result.stdout


def test_who_gives_is_killed_meanwhile(machine):
    neighbour = Neighbour(machine, "idle", SIMGPU_LATENCY="cuMemFree=300ms").await_ready()
    asker = machine.start([TAKE, 900], guarded=True, **settings())
    time.sleep(0.5)
    machine.kill(neighbour.process)
    result = machine.finish(asker)
    assert result.stdout.startswith("0 "), result.stderr


def test_nothing_is_done_for_an_asker_that_was_killed(machine):
    neighbour = Neighbour(machine, "keeps_gil").await_ready()
    time.sleep(0.3)
    asker = machine.start([TAKE, 512], guarded=True, **settings())
    time.sleep(0.5)
    machine.kill(asker)
    time.sleep(3)
    result = neighbour.end()
    assert result.stdout == "calls 0\n"
    assert result.guard_lines == []


def test_exception(machine):
    neighbour = Neighbour(machine, "idle", TORCH_RAISES="1").await_ready()
    assert take(machine, wait="1s")[0] == 2
    (line,) = neighbour.end().guard_lines
    assert line == ("vramguard: GPU 0: emptying Python's caches: empty_cache raised RuntimeError")


@pytest.mark.parametrize("keeps_gil", [None, "1"])
def test_a_waiting_call_is_not_waited_for(machine, keeps_gil):
    """It holds the allocator's lock as long as it waits; who asks is not answered then."""
    holder = machine.start([TAKE, 400, 60000], guarded=True, **settings())
    holder.stdout.readline()
    neighbour = Neighbour(machine, "fails", TORCH_KEEPS_GIL=keeps_gil,
                          VRAMGUARD_POLICY="trim,wait=3s").await_ready()
    code, _, _ = take(machine, wait="1s", VRAMGUARD_PRIORITY="100")
    assert code == 2
    result = neighbour.end()
    words = result.stdout.split()
    longest = float(words[words.index("longest") + 1])
    assert result.stdout.startswith("CUDA out of memory. 3."), result.stdout
    assert at_most(longest, 0.5) and "calls 0" in result.stdout
    machine.kill(holder)


def test_a_trim_that_is_behind_a_call_ends_its_wait(machine):
    """The call comes to lack memory after the trim has begun, with the GIL kept."""
    holder = machine.start([TAKE, 400, 60000], guarded=True, **settings())
    holder.stdout.readline()
    neighbour = Neighbour(machine, "fails_late", TORCH_KEEPS_GIL="1",
                          VRAMGUARD_POLICY="trim,wait=20s",
                          SIMGPU_LATENCY="cuMemAlloc=1s").await_ready()
    take(machine, wait="1s")
    result = neighbour.end()
    words = result.stdout.split()
    waited, longest = float(words[4]), float(words[words.index("longest") + 1])
    assert at_most(waited, 6), result.stdout
    assert at_most(longest, 5), result.stdout
    assert "calls 1" in result.stdout
    assert "waits for this very call" in " ".join(result.guard_text.split())
    machine.kill(holder)


def test_capture(machine):
    neighbour = Neighbour(machine, "captures").await_ready()
    assert take(machine, wait="1s")[0] == 2
    result = neighbour.end()
    assert (result.stdout, result.guard_lines) == ("calls 0\n", [])


# ---- processes that end, fork, have several GPUs


@each(READABLE)
def test_the_end_waits_for_a_trim_that_is_under_way(machine, python):
    neighbour = Neighbour(machine, "ends", python=python,
                          SIMGPU_LATENCY="cuMemFree=100ms").await_ready()
    code, _, _ = take(machine)
    assert code == 0
    assert len(gave(neighbour.end())) == 1


@each(READABLE)
def test_nothing_begins_at_the_end(machine, python):
    neighbour = Neighbour(machine, "ends_slowly", python=python).await_ready()
    assert take(machine, wait="1s")[0] == 2
    result = neighbour.end()
    assert result.stdout == "calls 0\n"
    assert result.guard_lines == []


@each(READABLE)
def test_many_ends_while_asked(machine, python):
    """Python ends at any moment after the question."""
    for i in range(6):
        neighbour = Neighbour(machine, "idle", python=python).await_ready()
        asker = machine.start([TAKE, 512], guarded=True, **settings())
        time.sleep(0.002 * i)
        neighbour.end()
        assert machine.finish(asker).stdout.startswith("0 ")


@each(READABLE)
def test_fork(machine, python):
    # From 3.12 on Python warns who forks with several threads; a real driver has some of its own.
    neighbour = Neighbour(machine, "fork", python=python, PYTHONWARNINGS="ignore")
    assert neighbour.process.stdout.readline() == "child ['vramguard-give'] 0\n"
    lines = [neighbour.process.stdout.readline() for _ in range(2)]
    assert sorted(lines) == ["ready\n", "second child []\n"]
    assert take(machine)[0] == 0
    result = neighbour.end()
    assert result.stdout == "parent ['vramguard-give']\n"
    assert len(gave(result)) == 1


def test_another_gpu_gets_no_context(machine):
    two = {"SIMGPU_DEVICES": "1GiB,1GiB"}
    neighbour = Neighbour(machine, "second_gpu", **two).await_ready()
    code, ms, _ = take(machine, CUDA_VISIBLE_DEVICES="1", **two)
    assert code == 0 and at_most(ms, 1000)
    nvml = machine.run([sys.executable, "-c", PROCESSES], **two)
    assert nvml.stdout.strip() == "[0, 1]", nvml.stderr
    result = neighbour.end()
    assert result.stdout == "calls 1\n"
    assert "GPU 1: gave back 800 MiB" in result.guard_lines[0]


PROCESSES = """
import ctypes
nvml, counts = ctypes.CDLL("libnvidia-ml.so.1"), []
nvml.nvmlInit_v2()
for index in range(2):
    device, count = ctypes.c_void_p(), ctypes.c_uint(8)
    list = ctypes.create_string_buffer(8 * 64)
    assert nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) == 0
    assert nvml.nvmlDeviceGetComputeRunningProcesses_v3(device, ctypes.byref(count), list) == 0
    counts.append(count.value)
print(counts)
"""


# ---- who pays what


def test_only_who_has_something_to_give_listens(machine):
    def listeners(*arguments, **extra):
        result = machine.run([sys.executable, HERE / "program.py", "small", *arguments],
                             guarded=True, **settings(**extra))
        assert (result.code, result.guard_lines) == (0, []), result.stderr
        return result.stdout.splitlines()

    assert listeners("torch") == ["[]", "['vramguard-give']"]
    assert listeners("cupy") == ["[]", "['vramguard-give']"]
    assert listeners("torch", VRAMGUARD_PYTHON_TRIM="off") == ["[]", "[]"]
    code = (
        "import os, sys; sys.path[:0] = [%r, %r]\n"
        "from cuda_runtime import Runtime; Runtime().malloc(500 << 20)\n"
        "print([open('/proc/self/task/' + t + '/comm').read() for t in os.listdir("
        "'/proc/self/task')])" % (str(HERE.parent), str(HERE.parent.parent / "model"))
    )
    result = machine.run([sys.executable, "-c", code], guarded=True, **settings())
    assert "vramguard" not in result.stdout and result.code == 0


# ---- the process itself


@each(READABLE)
def test_other_code_gets_what_pytorch_caches(machine, python):
    extra = settings(VRAMGUARD_POLICY="trim")
    result = machine.run([python, HERE / "program.py", "without_gil"], guarded=True, **extra)
    assert (result.stdout, result.guard_lines) == ("0 calls 1 True\n", [])
    report = machine.vramguard("report").stdout
    assert "Python's caches +800 MiB" in " ".join(report.split())
    bare = machine.run([python, HERE / "program.py", "without_gil"], **extra)
    assert bare.stdout == "2 calls 0 True\n"


@each(READABLE)
def test_a_failing_thread_with_the_gil_does_not_wait_for_it(machine, python):
    result = machine.run([python, HERE / "program.py", "with_gil"], guarded=True,
                         **settings(VRAMGUARD_POLICY="trim"))
    assert result.stdout == "2 calls 0 True\n"
    assert ("Python's caches not emptied (the failing thread holds the GIL)"
            in " ".join(result.guard_text.split()))


def test_an_allocator_plugged_into_pytorch(machine):
    result = machine.run([sys.executable, HERE / "program.py", "plugged"], guarded=True,
                         **settings(VRAMGUARD_POLICY="trim"))
    assert result.stdout == "2 calls 0 True\n"
    assert ("Python's caches not emptied (PyTorch's allocator is in the call)"
            in " ".join(result.guard_text.split()))


def test_own_caches_stay_where_the_option_is_off(machine):
    result = machine.run([sys.executable, HERE / "program.py", "without_gil"], guarded=True,
                         **settings(VRAMGUARD_POLICY="trim", VRAMGUARD_PYTHON_TRIM="off"))
    assert result.stdout == "2 calls 0 True\n"
    assert "Python's caches" not in result.guard_text

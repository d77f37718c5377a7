"""The action trim: hooks, library and command are asked in their order, may do whatever they like,
and what they free lets the failing call succeed."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from conftest import BUILD, at_most

HERE = str(Path(__file__).parent)
PROGRAMS = BUILD / "test" / "e2e"
DEVICE = {"SIMGPU_DEVICES": "2GiB", "SIMGPU_CONTEXT": "32MiB"}


def hooks(machine, mode, guarded=True, timeout_s=60, **settings):
    settings = {"VRAMGUARD_POLICY": "trim", **DEVICE, **settings}
    result = machine.run([PROGRAMS / "trim_hooks", mode], guarded, timeout_s, **settings)
    assert result.code == 0, (result.code, result.stdout, result.stderr)
    return result


def lines(result):
    return result.stdout.splitlines()


def tried(result):
    """What the report says of trim, without its time."""
    text = re.search(r"\n  [Tt]ried +trim: (.*?)\s+in\s+[\d.]+\s+[mu]?s\n", result.guard_text, re.DOTALL)
    return re.sub(r"\s+", " ", text.group(1))


# ---- what a hook is for


def test_a_hook_that_frees_lets_the_failing_call_succeed(machine):
    bare = hooks(machine, "release", guarded=False)
    assert lines(bare) == ["add -38", "asked 1536 MiB: 2", "the cache is still there", "remove -38"]
    result = hooks(machine, "release")
    assert lines(result) == ["add 0", "asked 1536 MiB: 0", "the cache is gone", "remove 0"]
    assert result.guard_lines == []


def test_no_hook_is_called_without_the_policy(machine):
    result = hooks(machine, "release", VRAMGUARD_POLICY="off")
    assert lines(result)[1:3] == ["asked 1536 MiB: 2", "the cache is still there"]


def test_order_and_arguments(machine):
    result = hooks(machine, "order")
    called = [line.split(":")[0] for line in lines(result)]
    # Those of higher priority first; at the second call, until enough is free.
    assert called == [
        "first", "second", "third", "fourth", "last", "asked 2040 MiB", "second", "asked 1536 MiB",
    ]
    assert all("device 0 wanted" in line for line in lines(result) if "asked" not in line)
    assert all("in the context" in line for line in lines(result) if "asked" not in line)
    assert "first: device 0 wanted 2040 MiB freed 0 MiB" in result.stdout
    assert "third: device 0 wanted 2040 MiB freed 1024 MiB" in result.stdout
    assert lines(result)[-1] == "asked 1536 MiB: 0"
    assert tried(result) == 'pools +0 B, hook "cache" +1.00 GiB, +1.00 GiB'


def test_return_codes(machine):
    assert lines(hooks(machine, "codes")) == [
        "wrong: -22 -22 -22 -2",
        "add: 0 -17 0",
        "there is room for 64",
        "more: -28 0 0",
        "version 0.1.0",
    ]


def test_nothing_starts_because_of_a_hook(machine):
    # Without a use of CUDA no file is made and nothing is said.
    assert hooks(machine, "codes").stderr == ""
    assert machine.records() == []


# ---- hooks that misbehave


def test_exceptions_end_at_their_caller(machine):
    result = hooks(machine, "throwing")
    assert lines(result) == [
        "asked 1536 MiB: 0",
        "calls 2 destroyed 2 exceptions 0",
        "caught own",
        "asked 2040 MiB: 2",
        "calls 4 destroyed 4 exceptions 0",
    ]
    told = [line for line in result.guard_lines if "exception, which" in line]
    assert told == ['vramguard: trim: hook "thrower" threw an exception, which ends here']


def test_a_hook_may_end_its_thread(machine):
    result = hooks(machine, "exiting")
    assert lines(result) == ["asked 1536 MiB: 0", "asked 2040 MiB: 2", "calls 2 destroyed 2"]
    assert 'hook "exits" ended its thread' in tried(result)


def test_a_hook_that_hangs_is_left_alone(machine):
    start = time.monotonic()
    result = hooks(machine, "hanging", VRAMGUARD_TRIM_TIMEOUT="300ms")
    assert at_most(time.monotonic() - start, 5)
    assert lines(result) == [
        "asked 1536 MiB: 2",
        "asked 1536 MiB: 2",
        "calls 1, the cache is still there",
        "remove, again, add: -16 -16 -16",
        "remove, again: 0 -2",
        "asked 1536 MiB: 0",
        "calls 1, the cache is gone",
    ]
    told = [line for line in result.guard_lines if "has not returned" in line and "trim: hook" in line]
    assert len(told) == 1
    assert 'hook "hangs" has not returned after 300 ms' in told[0]


def test_calls_from_a_hook(machine):
    result = hooks(machine, "calling-back")
    assert "in the hook: 2 untouched report 0 small 0" in lines(result)
    assert lines(result).count("calls 1") == 1
    assert "out of memory" not in result.stderr  # neither outside, which succeeded, nor inside
    # What the hook has allocated is in the books afterwards.
    assert re.search(r"16\.0 MiB of this process on GPU 0: 1 live allocation", result.stdout)


def test_a_hook_that_forks(machine):
    result = hooks(machine, "forking")
    # One child ended with 9, the one that came back ended quietly: no buffer, no exit handler of it.
    assert lines(result) == ["buffered asked 1536 MiB: 0", "calls 902", "exit handler"]


def test_a_hook_that_removes_itself(machine):
    result = hooks(machine, "removing-itself")
    assert lines(result) == [
        "in the hook: remove 0", "asked 1536 MiB: 0", "asked 2040 MiB: 2", "calls 1",
    ]


def test_what_takes_longer_than_a_second_is_told(machine):
    result = hooks(machine, "slow")
    assert sorted(lines(result)) == [
        "asked 1536 MiB: 0", "remove 0, and the call is over: the cache is gone",
    ]
    assert result.guard_lines == [
        'vramguard: GPU 0: trim: waiting up to 10 s for hook "slow" to free 1.50 GiB',
        'vramguard: GPU 0: trim: pools +0 B, hook "slow" +1.00 GiB: got 1.50 GiB',
    ]


def test_a_claim_without_memory_is_shown_as_one(machine):
    assert tried(hooks(machine, "boasting")) == 'pools +0 B, hook "boasts" +0 B (says 3.00 GiB)'


def test_all_kinds_are_asked_in_their_order(machine):
    """A library that takes its time is told of, and so is the command that is not run because of it."""
    library = {"VRAMGUARD_TRIM_LIB": str(PROGRAMS / "libtrim_slow.so")}
    result = hooks(
        machine, "boasting", VRAMGUARD_TRIM_CMD="true", VRAMGUARD_TRIM_TIMEOUT="200ms", **library
    )
    kinds = re.findall(r"(?:^|, )(pools|hook|library|command)", tried(result))
    assert kinds == ["pools", "hook", "library", "command"], tried(result)


def test_threads_that_fail_together(machine):
    for _ in range(5):
        assert lines(hooks(machine, "threads")) == ["got 24 of 24"]


def test_children_have_the_hooks(machine):
    result = hooks(machine, "child")
    assert [line.split(":")[0] for line in lines(result)] == ["first", "asked 2040 MiB"] * 2


# ---- the library


def test_the_library_is_asked(machine):
    result = hooks(machine, "ask", VRAMGUARD_TRIM_LIB=str(PROGRAMS / "libtrim_library.so"))
    assert lines(result) == [
        "library: device 0 wanted 2040 MiB freed 0 with nothing", "asked 2040 MiB: 2",
    ]


def test_the_library_may_name_its_function(machine):
    path = "%s:other_name" % (PROGRAMS / "libtrim_library.so")
    assert lines(hooks(machine, "ask", VRAMGUARD_TRIM_LIB=path))[0] == "library: the other function"


@pytest.mark.parametrize("suffix", ["", ":no_such_function"])
def test_a_library_that_cannot_be_used_is_one_line(machine, suffix):
    path = "/nowhere/libx.so" if not suffix else str(PROGRAMS / "libtrim_library.so") + suffix
    result = hooks(machine, "command", VRAMGUARD_TRIM_LIB=path)
    assert lines(result)[:3] == ["asked 2040 MiB: 2"] * 3
    told = [line for line in result.guard_lines if "VRAMGUARD_TRIM_LIB" in line]
    assert len(told) == 1
    assert told[0].endswith(": trim goes on without it")
    assert ("/nowhere/libx.so" if not suffix else "no_such_function") in told[0]


def test_a_library_that_hangs(machine):
    library = str(PROGRAMS / "libtrim_slow.so")
    start = time.monotonic()
    result = hooks(machine, "ask", VRAMGUARD_TRIM_LIB=library, VRAMGUARD_TRIM_TIMEOUT="200ms")
    assert lines(result) == ["asked 2040 MiB: 2"]
    assert at_most(time.monotonic() - start, 5)
    assert any("trim: library has not returned after 200 ms" in l for l in result.guard_lines)


# ---- the command

TELL = """
import os, signal, sys
out = sys.stderr
print("COMMAND", *sys.argv[1:], file=out)
for name in sorted(os.environ):
    if name.startswith("VRAMGUARD_TRIM") or name == "LD_PRELOAD":
        print("ENV", name, os.environ[name], file=out)
print("INPUT", repr(sys.stdin.read()), file=out)
print("FDS", sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1], file=out)
print("MASK", signal.pthread_sigmask(signal.SIG_BLOCK, []), file=out)
with open("/proc/self/maps") as maps:
    print("GUARDED", "libvramguard" in maps.read(), file=out)
print("to standard output")
"""


def command_lines(result):
    return [line for line in result.own_stderr.splitlines()]


def test_the_command_gets_the_facts_and_nothing_else(machine):
    script = machine.folder / "tell.py"
    script.write_text(TELL)
    command = "%s %s 'two words' \"a\\\"b\" c\\ d" % (sys.executable, script)
    result = hooks(machine, "ask", VRAMGUARD_TRIM_CMD=command)
    told = command_lines(result)
    assert told[0] == "COMMAND two words a\"b c d"
    env = dict(line.split(" ", 2)[1:] for line in told if line.startswith("ENV ") and line.count(" ") > 1)
    assert env.pop("VRAMGUARD_TRIM_UUID").startswith("GPU-")
    assert int(env.pop("VRAMGUARD_TRIM_PID")) > 1
    assert int(env.pop("VRAMGUARD_TRIM_FREE_BYTES")) == (2048 - 32) << 20
    assert env == {
        "VRAMGUARD_TRIM_DEVICE": "0",
        "VRAMGUARD_TRIM_WANTED_BYTES": str(2040 << 20),
        "VRAMGUARD_TRIM_FREED_BYTES": "0",
    }
    assert "INPUT ''" in told and "FDS [0, 1, 2]" in told and "MASK set()" in told
    assert "GUARDED False" in told
    assert "to standard output" in told  # on standard error
    assert lines(result) == ["asked 2040 MiB: 2"]
    assert tried(result) == "pools +0 B, command +0 B"


def test_other_preloaded_libraries_stay(machine):
    library = str(PROGRAMS / "libtrim_library.so")
    preload = "%s:%s" % (machine.preload, library)
    result = hooks(
        machine, "ask", LD_PRELOAD=preload, VRAMGUARD_TRIM_CMD="/bin/sh -c 'echo $LD_PRELOAD'"
    )
    assert command_lines(result) == [library]


NEIGHBOUR = """
import sys, time
sys.path.insert(0, {here!r})
from driver_calls import *
call("cuInit", 0)
current_primary_context()
print("holding" if allocate(1000 * MIB)[0] == 0 else "failed", flush=True)
time.sleep(60)
"""

ASK = """
import sys
sys.path.insert(0, {here!r})
from driver_calls import *
call("cuInit", 0)
current_primary_context()
print(allocate({mib} * MIB)[0], flush=True)
"""


def test_the_failing_call_succeeds_when_the_command_has_made_room(machine):
    neighbour = machine.start([sys.executable, "-c", NEIGHBOUR.format(here=HERE)], **DEVICE)
    assert neighbour.stdout.readline() == "holding\n"
    program = [sys.executable, "-c", ASK.format(here=HERE, mib=1500)]
    assert machine.run(program, guarded=True, VRAMGUARD_POLICY="trim", **DEVICE).stdout == "2\n"
    result = machine.run(
        program,
        guarded=True,
        VRAMGUARD_POLICY="trim",
        VRAMGUARD_TRIM_CMD="/bin/sh -c 'kill -9 %d; sleep 0.2'" % neighbour.pid,
        **DEVICE,
    )
    assert result.stdout == "0\n", result.stderr
    assert result.guard_lines == []


def test_the_program_sees_nothing_of_the_command(machine):
    command = "/bin/sh -c 'sleep 0.05'"
    result = hooks(machine, "command", VRAMGUARD_TRIM_CMD=command)
    assert lines(result)[-1] == "signals 0 reaped 0 left 0"
    assert tried(result) == "pools +0 B, command +0 B"  # it did run


def test_a_command_that_takes_too_long_is_killed_with_its_children(machine):
    start = time.monotonic()
    command = "/bin/sh -c 'sleep 4711 & exec sleep 4712'"
    result = hooks(
        machine, "ask", VRAMGUARD_TRIM_CMD=command, VRAMGUARD_TRIM_TIMEOUT="400ms"
    )
    took = time.monotonic() - start
    assert took > 0.4 and at_most(took, 5)
    assert "VRAMGUARD_TRIM_CMD had not ended after 400 ms: killed" in result.guard_text
    assert "command (killed after 400 ms) +0 B" in tried(result)
    assert running("sleep 4711") == running("sleep 4712") == []


def running(command):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(
                errors="replace"
            ).strip() == command:
                found.append(int(entry.name))
        except OSError:
            pass
    return found


def test_a_command_does_not_outlive_the_program(machine):
    process = machine.start(
        [PROGRAMS / "trim_hooks", "ask"],
        guarded=True,
        VRAMGUARD_POLICY="trim",
        VRAMGUARD_TRIM_CMD="sleep 4713",
        VRAMGUARD_TRIM_TIMEOUT="5m",
        **DEVICE,
    )
    until = time.monotonic() + 60
    while not running("sleep 4713") and time.monotonic() < until:
        time.sleep(0.01)
    assert len(running("sleep 4713")) == 1
    os.kill(process.pid, signal.SIGKILL)
    machine.finish(process)
    while running("sleep 4713") and time.monotonic() < until:
        time.sleep(0.01)
    assert running("sleep 4713") == []


@pytest.mark.parametrize(
    "command, said",
    [
        ("/bin/sh -c 'exit 3'", "command (exit status 3) +0 B"),
        ("/bin/sh -c 'kill -9 $$'", "command (signal 9) +0 B"),
        ("/nowhere/command", "command could not be started"),
    ],
)
def test_a_command_that_fails(machine, command, said):
    result = hooks(machine, "ask", VRAMGUARD_TRIM_CMD=command)
    assert said in tried(result)
    starts = [line for line in result.guard_lines if "cannot start it: No such file" in line]
    assert len(starts) == ("nowhere" in command)


def test_an_unclosed_quote_is_said_and_not_used(machine):
    result = hooks(machine, "ask", VRAMGUARD_TRIM_CMD="echo 'a")
    assert "VRAMGUARD_TRIM_CMD=\"echo 'a\": a quote is not closed" in result.guard_lines[0]
    assert tried(result) == "pools +0 B"


def test_what_cannot_fit_is_not_asked_for(machine):
    program = [sys.executable, "-c", ASK.format(here=HERE, mib=4000)]
    result = machine.run(
        program, guarded=True, VRAMGUARD_POLICY="trim", VRAMGUARD_TRIM_CMD="echo run", **DEVICE
    )
    assert result.own_stderr == ""
    assert "the request is larger than the GPU" in tried(result)


# ---- the header and Python


@pytest.mark.parametrize("program", ["header", "header_no_pie", "header_cpp"])
def test_the_header_works_with_and_without_the_library(machine, program):
    bare, guarded = machine.both([PROGRAMS / program])
    assert bare.stdout == "version none, add -38, remove -38, report -38, mark -38\n"
    assert guarded.stdout == "version 0.1.0, add 0, remove 0, report -19, mark -19\n"
    assert bare.stderr == guarded.stderr == ""


PYTHON = """
import ctypes, sys
sys.path.insert(0, {here!r})
from driver_calls import *

guard = ctypes.CDLL(None)
TRIM = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_int, ctypes.c_uint64, ctypes.c_uint64,
                        ctypes.c_void_p)
call("cuInit", 0)
current_primary_context()
cache = [allocate(512 * MIB)[1] for _ in range(3)]

@TRIM
def free_cache(device, wanted_bytes, freed_bytes, argument):
    print("hook", device, wanted_bytes // MIB, freed_bytes // MIB, argument)
    if {raises}:
        raise RuntimeError("in the hook")
    call("cuMemFree_v2", cache.pop())
    return 512 * MIB

if hasattr(guard, "vramguard_add_trim_hook"):
    print("add", guard.vramguard_add_trim_hook(b"cache", 0, free_cache, None))
print("got", allocate(600 * MIB)[0])
if hasattr(guard, "vramguard_remove_trim_hook"):
    print("remove", guard.vramguard_remove_trim_hook(free_cache, None))
"""


def test_a_hook_in_python(machine):
    program = [sys.executable, "-c", PYTHON.format(here=HERE, raises=False)]
    bare, guarded = machine.both(program, VRAMGUARD_POLICY="trim", **DEVICE)
    assert bare.stdout == "got 2\n"
    assert guarded.stdout == "add 0\nhook 0 600 0 None\ngot 0\nremove 0\n", guarded.stderr
    assert guarded.stderr == ""


def test_an_exception_in_a_python_hook(machine):
    program = [sys.executable, "-c", PYTHON.format(here=HERE, raises=True)]
    result = machine.run(program, guarded=True, VRAMGUARD_POLICY="trim", **DEVICE)
    assert result.stdout == "add 0\nhook 0 600 0 None\ngot 2\nremove 0\n"
    assert "RuntimeError: in the hook" in result.own_stderr

"""Fixtures of the stress tests: those of the end-to-end tests, and programs that tell the time of
each thing they do."""

import importlib.util
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

spec = importlib.util.spec_from_file_location("e2e_fixtures", ROOT / "test/e2e/conftest.py")
e2e = importlib.util.module_from_spec(spec)
spec.loader.exec_module(e2e)

machine = e2e.machine
built_tree = e2e.built_tree
PROGRAMS = e2e.BUILD / "test" / "stress"


class Event:
    """A line of an actor: what it did, with how many MiB, when (seconds; begin and end)."""

    def __init__(self, line):
        self.what, mib, *times = line.split()
        self.mib = int(mib)
        self.begin, self.end = int(times[0]) / 1e9, int(times[-1]) / 1e9

    def __repr__(self):
        return "%s %d at %.3f until %.3f" % (self.what, self.mib, self.begin, self.end)


def start_actor(machine, *steps, guarded=True, **extra):
    extra.setdefault("VRAMGUARD_POLICY", "trim,wait")
    return machine.start(
        [PROGRAMS / "actor", *steps], guarded=guarded, stdin=subprocess.PIPE, **extra
    )


def finish_actor(machine, process):
    """Let an actor come to its end; return (its events, its Result)."""
    process.stdin.close()
    process.stdin = None
    result = machine.finish(process)
    assert result.code == 0, result.stdout + result.stderr
    return [Event(line) for line in result.stdout.splitlines()], result


def read_event(process):
    return Event(process.stdout.readline())


def go_on(process):
    process.stdin.write("\n")
    process.stdin.flush()


def await_condition(condition, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.01)


@pytest.fixture
def stage(machine):
    """The machine with actors on it; two devices of 256 MiB, contexts of 32."""

    machine.actor = lambda *steps, **extra: start_actor(machine, *steps, **extra)
    machine.exit = lambda process: finish_actor(machine, process)
    return machine

"""CUDA used at unusual moments and from unusual places; programs that end in every way."""

import pytest
from conftest import PROGRAMS

MOMENTS = PROGRAMS / "moments"
LIBRARY = PROGRAMS / "libmoments.so"

ENDS = ["exit 5", "_exit 6", "quick_exit 7", "pthread_exit", "abort", "SIGSEGV", "SIGTERM"]
ENDS += ["SIGKILL"]
PLACES = ["use", "thread", "fork", "fork twice", "namespace", "library", "deepbind", "exec"]


def was_guarded(machine):
    return any(path.is_file() for path in machine.state.rglob("*"))


@pytest.mark.parametrize("what", [[], ["use"], ["use", "use"], ["atexit"], ["use", "atexit"]])
def test_from_the_program(machine, what):
    machine.same([MOMENTS, *what])
    assert was_guarded(machine) == bool(what)


@pytest.mark.parametrize("what", PLACES)
@pytest.mark.parametrize("first", [[], ["use"]], ids=["at once", "after use"])
def test_from_another_place(machine, first, what):
    machine.same([MOMENTS, *first, what])
    # A library opened with RTLD_DEEPBIND binds to its own driver, past every preloaded library.
    assert was_guarded(machine) or (what == "deepbind" and not first)


@pytest.mark.parametrize("end", ENDS)
def test_ends(machine, end):
    machine.same([MOMENTS, end])
    machine.same([MOMENTS, "use", "atexit", end])


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("when", ["MOMENTS_EARLY", "MOMENTS_LATE"])
def test_in_constructors_and_destructors(machine, side, when):
    setattr(machine, side, [LIBRARY])
    _, guarded = machine.same([MOMENTS], **{when: "1"})
    assert len(guarded.stdout.splitlines()) > 50
    machine.same([MOMENTS, "use", "atexit", "fork"], **{when: "1"})


def test_in_the_constructor_of_an_opened_library(machine):
    machine.same([MOMENTS, "library", "deepbind"], MOMENTS_EARLY="1", MOMENTS_LATE="1")


@pytest.mark.parametrize("devices", ["none", "2MiB", "24GiB,24GiB"])
def test_on_other_machines(machine, devices):
    machine.same([MOMENTS, "use", "fork", "thread"], SIMGPU_DEVICES=devices)


@pytest.mark.parametrize("name", ["runtime_static", "runtime_shared"])
def test_through_the_runtime(machine, name):
    _, guarded = machine.same([PROGRAMS / name])
    assert "cudaSuccess" in guarded.stdout and was_guarded(machine)

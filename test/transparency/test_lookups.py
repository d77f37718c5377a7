"""dlsym and dlvsym answer as the C library does, whoever asks, however often."""

import pytest
from conftest import PROGRAMS

OPENED = PROGRAMS / "libopened.so"  # has a cuMemFree_v2 of its own
LINKED = PROGRAMS / "liblinked.so"  # depends on the driver
BEFORE = PROGRAMS / "libbefore.so"
AFTER = PROGRAMS / "libafter.so"


@pytest.mark.parametrize("preloads", ["guard alone", "between others", "a name of the driver's"])
@pytest.mark.parametrize("driver", ["local", "global", "none"])
@pytest.mark.parametrize("program", ["lookups", "lookups_linked"])
def test_lookups(machine, program, driver, preloads):
    if preloads != "guard alone":
        machine.before, machine.after = [BEFORE], [AFTER]
    if preloads == "a name of the driver's":
        machine.after = [AFTER, OPENED]
        if program == "lookups_linked":  # calls it, so that is where the guard's function leads to
            machine.stands_for = ["libopened.so:cuMemFree_v2"]
    command = [PROGRAMS / program, driver, OPENED, LINKED]
    _, guarded = machine.same(command)
    assert guarded.wrapped > 0


def test_a_program_without_cuda(machine):
    _, guarded = machine.same([PROGRAMS / "lookups", "none"])
    assert guarded.wrapped == 0


def test_switched_off(machine):
    bare, guarded = machine.same([PROGRAMS / "lookups", "global", OPENED], VRAMGUARD="off")
    assert guarded.wrapped == 0


def test_without_a_driver(machine):
    machine.search_path = [PROGRAMS]
    machine.same([PROGRAMS / "lookups", "none", OPENED])

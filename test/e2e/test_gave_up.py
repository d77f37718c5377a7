"""A program that asks for the free memory and gives up by itself: its run says what it was told, and
who held the rest."""

import re
import sys
from pathlib import Path

import pytest

PROGRAM = [sys.executable, str(Path(__file__).with_name("gave_up_program.py"))]


def report(machine, *arguments, code=3, **extra):
    bare, guarded = machine.both([*PROGRAM, *arguments], **extra)
    assert (guarded.own, guarded.code) == (bare.own, code)
    assert guarded.guard_lines == []
    text = machine.vramguard("report").stdout
    assert "No allocation failed." in text
    return " ".join(text.split())


@pytest.mark.parametrize("taken", [[], ["16"]], ids=["nothing taken", "something taken"])
def test_another_process_has_it(machine, taken):
    neighbour = machine.neighbour("150MiB")
    text = report(machine, "100", *taken)
    free = 256 - 150 - 2 * 32 - (16 if taken else 0)
    assert f"When it asked last, {free}.0 MiB of 256 MiB were free" in text
    assert f"it held {'16.0 MiB' if taken else '0 B'} itself" in text
    held = re.search(r"Other processes held 182 MiB of 256 MiB \S+ \S+ after its start: (.*)", text)
    assert held and re.match(rf"pid {neighbour.pid} \(.+?\) 182 MiB\b", held.group(1)), text


def test_the_program_has_it_itself(machine):
    text = report(machine, "100", "180")
    assert "asked last" not in text


def test_enough_is_free(machine):
    machine.neighbour("20MiB")
    assert "asked last" not in report(machine, "100", code=0)


"""Marks that a program sets are in its report, and cost it nothing."""

import re
import sys
from pathlib import Path

import pytest
from conftest import BUILD

HERE = Path(__file__).parent
PROGRAMS = BUILD / "test" / "e2e"


def marks(report):
    """The lines of the section, without their times."""
    section = re.search(r"\n  \d+ marks?\n((?:    .*\n)+)", report)
    return [re.sub(r"^\d\d:\d\d:\d\d  ", "", line.strip()) for line in
            section.group(1).splitlines()] if section else []


@pytest.mark.parametrize("program", ["marks", "marks_cpp"])
def test_from_c_and_cpp(machine, program):
    bare, guarded = machine.both([PROGRAMS / program])
    assert bare.own == (0, "-38 -38 -38 -38\n", "")
    assert guarded.own == (0, "0 0 0 -22\n", "") and guarded.guard_lines == []
    assert marks(machine.vramguard("report").stdout) == [
        "start",
        "loaded: 100 MiB live on GPU 0, peak 100 MiB",
        "freed: 0 B live on GPU 0, peak 100 MiB",
    ]


PYTHON = """
import ctypes, sys, threading
sys.path.insert(0, {here!r})
from driver_calls import *

def mark(text, guard=ctypes.CDLL(None)):
    return guard.vramguard_mark(text.encode()) if hasattr(guard, "vramguard_mark") else None

print(mark("before the first context"))
call("cuInit", 0)
current_primary_context()
kept = []
for epoch in range({epochs}):
    kept.append(allocate(MIB)[1])
    result = mark("epoch %d" % epoch)
print(result, mark("z\\u00fcgig \\x1b[31mred"))
thread = threading.Thread(target=mark, args=("in a thread",))
thread.start()
thread.join()
if {fails}:
    print(allocate(1000 * MIB)[0])
"""


def python(epochs, fails=False):
    return [sys.executable, "-c", PYTHON.format(here=str(HERE), epochs=epochs, fails=fails)]


def test_from_python(machine):
    bare, guarded = machine.both(python(epochs=2))
    assert bare.own == (0, "None\nNone None\n", "")
    assert guarded.own == (0, "0\n0 0\n", "") and guarded.guard_lines == []
    assert marks(machine.vramguard("report").stdout) == [
        "before the first context",
        "epoch 0: 1.00 MiB live on GPU 0, peak 1.00 MiB",
        "epoch 1: 2.00 MiB live on GPU 0, peak 2.00 MiB",
        "z\u00fcgig ?[31mred: 2.00 MiB live on GPU 0, peak 2.00 MiB",
        "in a thread: 2.00 MiB live on GPU 0, peak 2.00 MiB",
    ]


def test_the_latest_are_shown_and_all_on_request(machine):
    assert machine.run(python(epochs=50, fails=True), guarded=True).stdout.endswith("2\n")
    report = machine.vramguard("report").stdout
    assert "53 marks" in report and "Tried" not in report
    lines = marks(report)
    assert lines[0] == "(33 earlier ones: --all)" and len(lines) == 21
    assert lines[1].startswith("epoch 32: 33.0 MiB live")
    assert len(marks(machine.vramguard("report", "--all").stdout)) == 53


def test_switched_off(machine):
    result = machine.run(python(epochs=1), guarded=True, VRAMGUARD="off")
    assert result.own == (0, "-19\n-19 -19\n", "") and result.guard_lines == []
    assert not machine.state.exists()


def test_a_killed_run_has_its_marks(machine):
    code = PYTHON.format(here=str(HERE), epochs=3, fails=False) + "import os; os.kill(os.getpid(), 9)"
    assert machine.run([sys.executable, "-c", code], guarded=True).code == -9
    assert len(marks(machine.vramguard("report").stdout)) == 6


@pytest.mark.parametrize("extra, code", [({}, -5), ({"VRAMGUARD": "off"}, -19)])
def test_a_report_that_cannot_be_written(machine, extra, code):
    program = PYTHON.format(here=str(HERE), epochs=1, fails=False) + (
        "import os\n"
        "print(ctypes.CDLL(None).vramguard_write_report(os.open('/dev/full', os.O_WRONLY)))\n"
    )
    result = machine.run([sys.executable, "-c", program], guarded=True, **extra)
    assert result.code == 0 and result.stdout.splitlines()[-1] == str(code), result.stderr

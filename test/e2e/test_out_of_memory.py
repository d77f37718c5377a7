"""The main job: a guarded program that runs out of GPU memory says why, and nothing else
about it changes."""

import os
import re
import sys

import pytest
from conftest import FIRST_LINE, MODEL, report_of

UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
AMOUNT = r"([0-9][0-9.,]*) (B|KiB|MiB|GiB|TiB)"

# Asks twice for more than there is, and says what it got each time.
ASK_TWICE = """
import sys
sys.path.insert(0, {path!r})
from cuda_runtime import OutOfMemoryError, Runtime
runtime = Runtime()
for size in (1 << 30, 2 << 30):
    try:
        runtime.malloc(size)
    except OutOfMemoryError as error:
        print(size, error)
pointer = runtime.malloc(1 << 20)
runtime.free(pointer)
print("still works")
"""


def whole_report(machine, result):
    """What `vramguard report` tells of the run whose report on stderr is checked as well."""
    report_of(result)
    return machine.vramguard("report").stdout


def amount(text):
    number, unit = re.search(AMOUNT, text).groups()
    return float(number.replace(",", "")) * UNITS[unit]


@pytest.fixture
def neighbour(machine):
    """Leaves 12 MiB of the device to a model of 17 MiB."""
    return machine.neighbour("180MiB")


def test_bare_run_dies_with_the_runtimes_error(machine, neighbour, load_model):
    result = machine.run(load_model)
    assert result.code == 1
    assert result.guard_lines == []
    assert "CUDA out of memory. Tried to allocate 14.90 MiB. GPU 0 has" in result.own_stderr
    assert "(cudaMalloc: out of memory (cudaErrorMemoryAllocation))" in result.own_stderr
    assert "in load_state_dict" in result.own_stderr and "in to_device" in result.own_stderr


def test_report_says_what_was_asked_and_what_there_was(machine, neighbour, load_model):
    result = machine.run(load_model, guarded=True)
    report_of(result)
    asked, free, total = map(amount, FIRST_LINE.fullmatch(result.guard_lines[0]).groups())
    program = re.search(
        "allocate (.*?)\\. GPU 0 has a total capacity of (.*?) of which (.*?) is",
        result.own_stderr,
    )
    for reported, seen in zip((asked, total, free), program.groups()):
        assert reported == pytest.approx(amount(seen), rel=0.01)


def test_report_names_the_neighbour(machine, neighbour, load_model):
    report = report_of(machine.run(load_model, guarded=True))
    lines = [line for line in report.splitlines() if "pid %d" % neighbour.pid in line]
    assert any("hold_memory.py" in line for line in lines), report
    why = re.search(r"\n  why +(.*?)\n  do ", report, re.DOTALL).group(1)
    assert "pid %d" % neighbour.pid in why


def test_report_names_the_program_itself(machine, neighbour, load_model):
    assert "run_model.py" in report_of(machine.run(load_model, guarded=True))


def test_everything_else_is_as_in_the_bare_run(machine, neighbour, load_model):
    bare, guarded = machine.both(load_model)
    assert guarded.own == bare.own


def test_report_fits_a_terminal_and_has_no_colour(machine, neighbour, load_model):
    report = report_of(machine.run(load_model, guarded=True))
    assert [line for line in report.splitlines()[1:] if len(line) > 80] == []
    assert "\x1b" not in report


def test_numbers_of_the_device_add_up(machine, neighbour, load_model):
    report = whole_report(machine, machine.run(load_model, guarded=True))
    total = amount(FIRST_LINE.search(report).group(3))
    rows = re.findall(r"^    (\S.*?) +" + AMOUNT + r" +<?[0-9]+ %", report, re.MULTILINE)
    names = [row[0] for row in rows]
    assert any(name.startswith("this process, tracked") for name in names), names
    assert any(name.startswith("this process, context") for name in names), names
    assert any("pid %d" % neighbour.pid in name for name in names), names
    assert "free" in names
    parts = sum(float(number) * UNITS[unit] for _, number, unit in rows)
    assert parts == pytest.approx(total, rel=0.01)


def test_two_neighbours_are_listed_largest_first(machine, load_model):
    small, large = machine.neighbour("40MiB"), machine.neighbour("110MiB")
    report = whole_report(machine, machine.run(load_model, guarded=True))
    table = report[report.index("this process, tracked") :]
    assert table.index("pid %d" % large.pid) < table.index("pid %d" % small.pid)


def test_a_program_alone_is_told_that_it_is_alone(machine, load_model):
    report = report_of(machine.run([*load_model, "--copies", "20"], guarded=True))
    assert not re.search(r"pid [0-9]+ .*hold_memory", report)
    why = re.search(r"\n  why +(.*?)\n  do ", report, re.DOTALL).group(1)
    assert "this process" in why or "this program" in why


def test_second_failure_soon_after_is_one_line(machine):
    command = [sys.executable, "-c", ASK_TWICE.format(path=str(MODEL))]
    bare, guarded = machine.both(command)
    assert "still works" in bare.stdout
    assert guarded.own == bare.own
    firsts = [n for n, line in enumerate(guarded.guard_lines) if FIRST_LINE.fullmatch(line)]
    assert len(firsts) == 2, guarded.stderr
    assert firsts[1] == len(guarded.guard_lines) - 1


def test_a_ninth_failure_soon_after_is_only_counted(machine):
    sizes = "(%s)" % ", ".join("1 << %d" % (30 + n) for n in range(9))
    code = ASK_TWICE.format(path=str(MODEL)).replace("(1 << 30, 2 << 30)", sizes)
    bare, guarded = machine.both([sys.executable, "-c", code])
    assert guarded.own == bare.own and "still works" in bare.stdout
    told = [line for line in guarded.guard_lines if FIRST_LINE.fullmatch(line)]
    assert len(told) == 8 and "asked 128.00 GiB" in told[-1], guarded.stderr
    assert "\n  9 allocations failed, 8 of them recorded\n" in machine.vramguard("report").stdout


def test_report_survives_a_closed_standard_error(machine, neighbour, load_model):
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", *load_model]
    bare, guarded = machine.both(shell)
    assert bare.code == 1
    assert guarded.own == bare.own
    assert guarded.stderr == ""


def test_report_never_goes_into_a_file_of_the_program(machine):
    # Started with standard error closed, a program's first own file may become descriptor 2.
    program = (
        "import cuda_runtime, os\n"
        "runtime = cuda_runtime.Runtime()\n"
        "runtime.memory_info()\n"
        "file = open('mine', 'w')\n"
        "print(file.fileno())\n"
        "try:\n"
        "    runtime.malloc(1 << 40)\n"
        "except cuda_runtime.OutOfMemoryError:\n"
        "    file.close()\n"
        "print(os.path.getsize('mine'))\n"
    )
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", program]
    bare, guarded = machine.both(shell, PYTHONPATH=str(MODEL))
    assert bare.stdout == "2\n0\n"
    assert guarded.own == bare.own


def test_report_survives_a_reader_that_went_away(machine, neighbour, load_model):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        codes = []
        for guarded in (False, True):
            shell = ["sh", "-c", 'exec "$@" 2>&%d' % writer, "sh", *load_model]
            process = machine.start(shell, guarded, pass_fds=(writer,))
            codes.append(machine.finish(process).code)
    finally:
        os.close(writer)
    assert codes[0] == codes[1]


def test_memory_that_came_back_can_be_used(machine, neighbour, load_model):
    assert machine.run(load_model, guarded=True).code == 1
    machine.kill(neighbour)
    result = machine.run(load_model, guarded=True)
    assert result.code == 0
    assert result.guard_lines == []

"""What PyTorch's tensors held at the peak, of a run that ended well."""

import re

from conftest import needs_cuda

pytestmark = needs_cuda()
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def amount(text):
    number, unit = text.split()
    return float(number) * UNITS[unit]


def test_the_peak_by_line_is_pytorchs_own(machine):
    result = machine.run(machine.program("peak"), True)
    assert result.code == 0 and result.guard_lines == [], result.stderr
    report = machine.vramguard("report").stdout
    title = re.search(r"The peak of GPU 0: (\S+ \w+) of PyTorch tensors, by line\n", report)
    rows = re.findall(r"^ +(\S+ \w+) +(\d+)x  peak\.py:(\d+) step", report[title.end() :], re.M)
    assert sum(amount(size) for size, _, _ in rows) == int(result.stdout) == amount(title.group(1))
    # z of the step before, and x, y and z of this one.
    assert [(line, count) for _, count, line in rows] == [("9", "2"), ("7", "1"), ("8", "1")]


CACHED = """
import os, torch

def keep():
    return [torch.empty(40 << 20, dtype=torch.uint8, device="cuda") for _ in range(5)]

kept = keep()
released = keep()
del released
os._exit(0)
"""


def test_what_lives_at_the_end_is_tensors_not_segments(machine):
    """Half of what PyTorch has reserved is in no tensor any more."""
    program = machine.folder / "cached.py"
    program.write_text(CACHED)
    assert machine.run([*machine.code("")[:1], program], True).code == 0
    report = machine.vramguard("report").stdout
    assert re.search(r"^ +400 MiB +10x  segments of PyTorch's allocator", report, re.M)
    live = re.search(r"  200 MiB of PyTorch tensors on GPU 0 .*, by line\n(.*)\n", report)
    # From 3.12 on a comprehension is a part of its function.
    assert re.match(r" +200 MiB +5x  cached\.py:5 (<listcomp>|keep)  return \[torch", live.group(1))
    assert "The peak of GPU 0: 400 MiB of PyTorch tensors, by line\n" in report

"""Managed memory is where the driver moves it: it may be larger than the GPU, and it is no reason
why other memory does not fit there."""

import re
import sys
from pathlib import Path

import pytest
from conftest import report_of

SIZE = {"SIMGPU_DEVICES": "1GiB"}
PROGRAM = [sys.executable, str(Path(__file__).with_name("managed_program.py"))]


def shares(report):
    """The GPU's block: its lines' shares in per cent, and whether an amount is negative."""
    block = report.split("\n  GPU 0")[1].split("\n\n")[0]
    return [int(share) for share in re.findall(r"(\d+) %", block)], re.search(r" -\d", block)


@pytest.fixture
def gigabyte(machine):
    """The machine, with 1 GiB on its GPU."""
    environment = machine.environment
    machine.environment = lambda guarded, extra: environment(guarded, {**SIZE, **extra})
    machine.policy = "wait=1s"
    return machine


def test_a_neighbour_is_waited_for(gigabyte):
    neighbour = gigabyte.neighbour("700MiB")
    bare, guarded = gigabyte.both([*PROGRAM, 3000, 500])
    assert guarded.own == bare.own and guarded.stdout == "2\n"
    waiting, *_ = guarded.guard_lines
    assert "waiting up to 1 s for 500 MiB" in waiting, guarded.stderr
    report = gigabyte.vramguard("report").stdout
    assert f"pid {neighbour.pid}" in report.split("  why")[1].split("\n  do")[0]
    parts, negative = shares(report)
    assert not negative and 97 <= sum(parts) <= 103
    assert "(managed memory: 2.93 GiB, at most " in report


def test_own_memory_is_what_is_not_managed(gigabyte):
    guarded = gigabyte.run([*PROGRAM, 3000, 600, 500], guarded=True)
    assert guarded.stdout == "0\n2\n"
    report_of(guarded)
    report = gigabyte.vramguard("report").stdout
    parts, negative = shares(report)
    assert not negative and 97 <= sum(parts) <= 103
    assert "The 600 MiB of this process: 1 live allocation" in report
    assert "managed: 2.93 GiB in 1" in report
    assert "this process itself holds 600 MiB" in " ".join(re.split("[Tt]ried", report)[1].split())


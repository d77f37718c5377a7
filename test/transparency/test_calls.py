"""Every wrapped function gives the driver's own results, whatever it is called with."""

import difflib
import re

import pytest
from conftest import PROGRAMS, as_bare

CRASHED = 90


def result_lines(lines):
    """Without what each new process says at its start."""
    return [line for line in lines if re.match(r"\d+ cu|all ", line)]


def run_all(machine, guarded, state, **extra):
    """The lines of all calls; a run goes on after a call that crashed in a new process."""
    lines, first = [], 0
    while True:
        result = machine.run([PROGRAMS / "calls", state, first], guarded, **extra)
        lines += as_bare(result.stdout).splitlines()
        if result.code != CRASHED:
            return result_lines(lines) + ["exit code %d" % result.code]
        first = int(re.findall(r"^(\d+) cu", result.stdout, re.M)[-1]) + 1


def fail_unless_same(bare, guarded):
    if bare != guarded:
        lines = difflib.unified_diff(bare, guarded, "bare", "guarded", "", "", 0, "")
        changes = [line for line in lines if not line.startswith("@@")]
        pytest.fail("%d lines\n%s" % (len(changes), "\n".join(changes[:60])), pytrace=False)


# A limit as large as the device is none.
@pytest.mark.parametrize("limit", [None, "100%", "1TiB"])
@pytest.mark.parametrize("state", ["early", "bare", "context", "full", "no device"])
def test_every_function(machine, state, limit):
    extra = {"SIMGPU_DEVICES": "1GiB", "SIMGPU_CONTEXT": "0"}
    if state == "full":
        extra["SIMGPU_DEVICES"] = "8MiB"
    if state == "no device":
        state, extra["SIMGPU_DEVICES"] = "bare", "none"
    bare = run_all(machine, False, state, **extra)
    if limit:
        extra["VRAMGUARD_LIMIT"] = limit
    guarded = run_all(machine, True, state, **extra)
    assert "exit code 0" in bare and len(bare) > 200
    fail_unless_same(bare, guarded)


def is_refused_early(bare, guarded):
    """The limit refused a call in which the driver would have found a bad argument."""
    return ": 2 errno" in guarded and bare.replace(": 1 errno", ": 2 errno") == guarded


@pytest.mark.parametrize("state", ["early", "bare", "context"])
def test_every_function_under_a_limit(machine, state):
    """Its arguments, wild ones too, are looked at before the driver has seen them."""
    extra = {"SIMGPU_DEVICES": "1GiB", "SIMGPU_CONTEXT": "0"}
    bare = run_all(machine, False, state, **extra)
    guarded = run_all(machine, True, state, VRAMGUARD_LIMIT="512MiB", **extra)
    shown = re.compile(r"\d+ cu(MemGetInfo|DeviceTotalMem)")
    assert len(bare) == len(guarded)
    pairs = [pair for pair in zip(bare, guarded) if not shown.match(pair[0])]
    refused = [pair for pair in pairs if pair[0] != pair[1] and is_refused_early(*pair)]
    assert len(refused) < 20 and (len(refused) > 0) == (state == "context")
    same = [pair for pair in pairs if pair not in refused]
    fail_unless_same([pair[0] for pair in same], [pair[1] for pair in same])

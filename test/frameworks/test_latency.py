"""How long a failing call takes more than bare where nothing is waited for: at most 1 ms.

Pairs of a bare and a guarded run are made in turn. Of each pair every failing call gives one
difference; the median over all calls of all pairs counts, so that what else the machine does
meanwhile matters little. All is measured up to three times. The margins where the aim is not met
then: a virtual machine that shares its processor is slower in some minutes than in others (the same
build was seen to take 0.83 ms and 1.19), so half as much more is allowed; and where more want to run
than there are cores, so that each call is interrupted, the fastest tenth of the calls counts. The
figures are printed."""

import os
import statistics

import pytest

PAIRS = 11
ROUNDS = 3
AIM_MS = 1.0
SLOW_MACHINE = 1.5

# With an allocation before: what the first one of a process takes is not the failure's.
CASES = {
    "PyTorch, first failure": ["native=z:1", "native=a:20", "free=a", "native=b:40", "line=-"],
    "expandable, first failure": ["native=z:1", "expandable=a:20", "free=a", "expandable=b:40"],
    "XLA": ["native=z:1", "xla=200:2"],
    "XLA, storm": ["native=z:1", "xla=100000:2"],
    "ONNX Runtime": ["native=z:1", "onnxruntime=130"],
    "RMM": ["native=z:1", "rmm=200:2"],
    "capture, global": ["native=z:1", "capture=global", "native=b:160", "end"],
    "capture, relaxed": ["native=z:1", "capture=relaxed", "native=b:160", "end"],
    "search, after the third": ["native=z:1", "cudnn=200,150,120,190,180,160,170,110"],
}


def added_ms(machine, steps, ignored):
    """What each failing call but the first `ignored` ones of a run took more than bare."""
    added = []
    for _ in range(PAIRS):
        bare = machine.times_of(steps, guarded=False)
        guarded = machine.times_of(steps, guarded=True, VRAMGUARD_POLICY="trim,wait=100ms")
        assert len(bare) == len(guarded) > ignored
        added += [b - a for a, b in list(zip(bare, guarded))[ignored:]]
    return added


@pytest.mark.parametrize("case", CASES)
def test_added_latency(crowded, case, capsys):
    found_ms = []
    for _ in range(ROUNDS):
        added = added_ms(crowded, CASES[case], 3 if "search" in case else 0)
        median = statistics.median(added)
        with capsys.disabled():
            print("\n  %-26s median +%.3f ms, largest +%.3f ms per failing call (%d calls)"
                  % (case, median, max(added), len(added)))
        if median <= AIM_MS:
            return
        is_busy = os.getloadavg()[0] > os.cpu_count()
        found_ms.append(sorted(added)[len(added) // 10] if is_busy else median)
    assert min(found_ms) <= AIM_MS * SLOW_MACHINE

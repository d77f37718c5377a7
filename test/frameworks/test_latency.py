"""How long a failing call takes more than bare where nothing is waited for: at most 1 ms, and 2 ms where
it is told at once with all that is known, as under a stream capture. Part of `make check-timing` only.

Pairs of a bare and a guarded run are made in turn. Of each pair every failing call gives one
difference; the median over all calls of all pairs counts, so that what else the machine does
meanwhile matters little. All is measured up to three times. What makes a machine slower for minutes
does not always show in its load, as other virtual machines do not; so in the end the fastest tenth of
a round's calls counts, which was disturbed the least. The figures are printed."""

import statistics

import pytest

PAIRS = 11
ROUNDS = 3
LIMIT_MS, LIMIT_TOLD_MS = 1.0, 2.0

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
    limit_ms = LIMIT_TOLD_MS if case.startswith("capture") else LIMIT_MS
    fastest_ms = []
    for _ in range(ROUNDS):
        added = added_ms(crowded, CASES[case], 3 if "search" in case else 0)
        median = statistics.median(added)
        fastest_ms.append(sorted(added)[len(added) // 10])
        with capsys.disabled():
            print("\n  %-26s median +%.3f ms, a tenth up to +%.3f, largest +%.3f ms per failing call"
                  " (%d calls)" % (case, median, fastest_ms[-1], max(added), len(added)))
        if median <= limit_ms:
            return
    assert min(fastest_ms) <= limit_ms

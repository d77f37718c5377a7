"""What the guard costs PyTorch. Bare and guarded runs take turns, and the best of each is compared: this
is what is left when nothing else ran. The numbers are printed; the bounds leave room for a busy machine."""

import re
import statistics
import subprocess

import pytest

TURNS = 4
PAIRS = 18


@pytest.fixture
def say(capsys):
    """Print a line although pytest captures the output."""

    def line(text):
        with capsys.disabled():
            print("\n  " + text)

    return line


def take_turns(machine, command, turns=TURNS, **variants):
    """{variant: stdouts} of runs in turns; `variants` are environments, None for a bare run."""
    outputs = {name: [] for name in variants}
    for _ in range(turns):
        for name, extra in variants.items():
            result = machine.run(command, extra is not None, **(extra or {}))
            assert result.code == 0, result.stderr
            outputs[name].append(result.stdout)
    return outputs


def test_loading_a_model(machine, bert_large, say):
    """Two bare processes, too: how far they differ is how far one can measure."""
    command = machine.program("load_time", bert_large)
    names = ("bare", "guarded", "bare again")
    loaders = {n: machine.start(command, n == "guarded", stdin=subprocess.PIPE) for n in names}

    def load(loader):
        loader.stdin.write("\n")
        loader.stdin.flush()
        return tuple(map(float, loader.stdout.readline().split()))

    for loader in loaders.values():
        load(loader)  # warms the caches of files and of the allocator
    turns = []
    for turn in range(PAIRS):
        order = names[turn % 3 :] + names[: turn % 3]  # none is always the first
        turns.append({name: load(loaders[name]) for name in order})
    for loader in loaders.values():
        assert machine.stop(loader).code == 0
    found = []
    for index, what in enumerate(("ms", "ms of processor time")):
        ratio = {n: statistics.median(t[n][index] / t["bare"][index] for t in turns) for n in names}
        median = statistics.median(turn["bare"][index] for turn in turns)
        found.append(ratio["guarded"])
        say(
            "loading bert-large: %.0f %s; median of %d pairs: guarded %+.2f %%, bare once more %+.2f %%"
            % (median, what, PAIRS, ratio["guarded"] * 100 - 100, ratio["bare again"] * 100 - 100)
        )
    # The aim is 1.01. On a machine that others use, two bare processes differ by several percent; what
    # the guard adds by itself is in the test of a single allocation, and a load makes 69 of them.
    assert min(found) < 1.2


def test_a_failure_that_no_policy_can_help(machine, say):
    outputs = take_turns(machine, machine.program("failing", 30), bare=None, guarded={})
    numbers = re.compile(r"failed 30, first (\d+) us, median (\d+) us\n")
    found = {
        name: [tuple(map(int, numbers.fullmatch(out).groups())) for out in outs]
        for name, outs in outputs.items()
    }
    first = {name: min(runs)[0] for name, runs in found.items()}
    later = {name: min(run[1] for run in runs) for name, runs in found.items()}
    say("a failing allocation, with its report: %(bare)d us bare, %(guarded)d us guarded" % first)
    say("the failures after it: %(bare)d us bare, %(guarded)d us guarded" % later)
    assert first["guarded"] - first["bare"] < 10000  # the aim is 5000
    assert later["guarded"] - later["bare"] < 1000


def test_a_report_of_many_lines(machine, say):
    """The frames that the lines have in common are looked up once: 20 lines cost next to nothing more, not 30 ms."""
    first = [
        int(re.search(r"first (\d+) us", machine.run(machine.program("failing", 1, 20), True).stdout)[1])
        for _ in range(TURNS)
    ]
    say("a failing allocation, with a report of 20 lines that hold memory: %d us" % min(first))
    assert min(first) < 20000


def test_an_allocation_with_its_stack(machine, say):
    off = {"VRAMGUARD_STACKS": "off"}
    command = machine.program("allocate", 20)
    outputs = take_turns(machine, command, bare=None, guarded={}, off=off)
    best = {name: min(map(int, outs)) for name, outs in outputs.items()}
    say(
        "an allocation and free at a Python depth of 16: %d ns bare, %+d ns without stacks, "
        "%+d ns with native and Python stacks"
        % (best["bare"], best["off"] - best["bare"], best["guarded"] - best["bare"])
    )
    assert best["guarded"] - best["bare"] < 3000  # the aim is 400

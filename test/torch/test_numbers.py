"""What the guard costs PyTorch. Bare and guarded runs take turns, and the best of each is compared: this
is what is left when nothing else ran. The numbers are printed; the bounds leave room for a busy machine.
Part of `make check-timing-torch` only."""

import re
import statistics
import subprocess

import pytest

TURNS = 4
ROUNDS = 5


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
    """Two processes of the same program differ for all of their lives, by up to 10 %: where their memory
    lies, how their hashes fall. So each round starts new ones, two of them bare: how far these differ is
    how far one can measure."""
    command = machine.program("load_time", bert_large)
    names = ("bare", "guarded", "bare again")

    def load(loader):
        loader.stdin.write("\n")
        loader.stdin.flush()
        return tuple(map(float, loader.stdout.readline().split()))

    rounds = []
    for _ in range(ROUNDS):
        loaders = {n: machine.start(command, n == "guarded", stdin=subprocess.PIPE) for n in names}
        for loader in loaders.values():
            load(loader)  # warms the caches of files and of the allocator
        turns = [{n: load(loaders[n]) for n in names[i:] + names[:i]} for i in range(len(names))]
        for loader in loaders.values():
            assert machine.stop(loader).code == 0
        rounds.append({n: [min(turn[n][what] for turn in turns) for what in (0, 1)] for n in names})
    found = []
    for index, what in enumerate(("ms", "ms of processor time")):
        best = {n: min(r[n][index] for r in rounds) for n in names}
        middle = {n: statistics.median(r[n][index] for r in rounds) for n in names}
        found.append(middle["guarded"] / middle["bare"])
        for which, of in (("median", middle), ("best", best)):
            say(
                "loading bert-large, %s of %d processes: %.0f %s; guarded %+.2f %%, bare again %+.2f %%"
                % (which, ROUNDS, of["bare"], what, *(of[n] / of["bare"] * 100 - 100 for n in names[1:]))
            )
    # The aim is 1.01. On a machine that others use, two bare processes differ by several percent; what
    # the guard adds by itself is in the test of a single allocation, and a load makes 69 of them.
    assert min(found) < 1.2


def test_a_failure_that_no_policy_can_help(machine, say):
    lines = {"VRAMGUARD_TENSORS": "lines"}  # without a census, which has a table of its own in make bench
    outputs = take_turns(machine, machine.program("failing", 30), bare=None, guarded=lines, full={})
    numbers = re.compile(r"failed 30, first (\d+) us, median (\d+) us\n")
    found = {
        name: [tuple(map(int, numbers.fullmatch(out).groups())) for out in outs]
        for name, outs in outputs.items()
    }
    first = {name: min(runs)[0] for name, runs in found.items()}
    later = {name: min(run[1] for run in runs) for name, runs in found.items()}
    say("a failing allocation, with its report: %(bare)d us bare, %(guarded)d us guarded, %(full)d us with a census" % first)
    say("the failures after it: %(bare)d us bare, %(guarded)d us guarded, %(full)d us with a census" % later)
    assert first["guarded"] - first["bare"] < 5000  # the aim
    assert later["guarded"] - later["bare"] < 1000


def test_a_report_of_many_lines(machine, say):
    """The frames of all lines are looked up together: 20 lines do not cost 30 ms more."""
    lines = {"VRAMGUARD_TENSORS": "lines"}
    first = [
        int(re.search(r"first (\d+) us", machine.run(machine.program("failing", 1, 20), True, **lines).stdout)[1])
        for _ in range(TURNS)
    ]
    say("a failing allocation, with a report of 20 lines that hold memory: %d us" % min(first))
    assert min(first) < 5000 + 1000  # bare takes up to 1000


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

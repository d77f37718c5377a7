"""The guard leaves no trace in the process: the state before and after using CUDA is the bare one.
Its recorder's files, LD_PRELOAD itself, and after the first use of CUDA a handler of SIGBUS (a file
of its own may be cut short: os/shrunk_file.h) are what may be seen."""

import re
import signal

import pytest
from conftest import PROGRAMS


def state(result):
    """The lines of a run, without what differs for reasons of the test and the recorder's files."""
    text = re.sub(r"transparency-[0-9a-f]+", "ID", result.own)
    text = re.sub(r"(signals:.*) %d handled [0-9a-f]+" % signal.SIGBUS, r"\1 %d" % signal.SIGBUS, text)
    lines = text.splitlines()
    return [
        line
        for line in lines
        if not re.match(r"environment LD_PRELOAD=|open file \S*/vramguard/", line)
        and not re.match(r"open file (pipe|/dev/null)", line)
    ]


@pytest.mark.parametrize("stacks", ["off", "native", "python", "full"])
def test_state_is_the_same(machine, stacks):
    command = [PROGRAMS / "process_state"]
    bare = machine.run(command, False, VRAMGUARD_STACKS=stacks)
    guarded = machine.run(command, True, VRAMGUARD_STACKS=stacks)
    assert bare.code == 0 and any(machine.state.rglob("*"))
    assert state(guarded) == state(bare)

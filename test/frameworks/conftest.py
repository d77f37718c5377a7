"""Fixtures of the tests with emulated frameworks: those of the end-to-end tests, and a program
that uses the emulated libraries."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

spec = importlib.util.spec_from_file_location("e2e_fixtures", ROOT / "test/e2e/conftest.py")
e2e = importlib.util.module_from_spec(spec)
spec.loader.exec_module(e2e)

machine = e2e.machine
built_tree = e2e.built_tree
# It measures and looks at nothing else.
collect_ignore = [] if e2e.TIMING else ["test_latency.py"]
PROGRAM = e2e.BUILD / "test" / "frameworks" / "program"


@pytest.fixture
def frameworks(machine):
    """The machine, with commands made of the program's steps (program.c)."""

    def command(*steps):
        return [PROGRAM, *steps]

    def times_of(steps, guarded, **extra):
        """Run the steps and return how long each failing driver call took, in ms. Reports go to a
        file: a reader of a pipe would be woken by each and take its turn on a busy machine."""
        path = machine.folder / "times"
        path.unlink(missing_ok=True)
        shell = ["sh", "-c", 'exec "$@" 2>stderr', "sh", *command(*steps)]
        result = machine.run(shell, guarded, TRACE_TIMES=str(path), **extra)
        assert result.code == 0, result.stderr
        return [int(line) / 1e6 for line in path.read_text().split()]

    machine.policy = None
    machine.command = command
    machine.times_of = times_of
    return machine


@pytest.fixture
def crowded(frameworks):
    """The machine with an unguarded neighbour that leaves some 40 MiB to a program that has a
    context, and ends at `crowded.stop(crowded.holder)`."""
    frameworks.holder = frameworks.neighbour("150MiB")
    return frameworks



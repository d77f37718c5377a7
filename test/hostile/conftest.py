"""Fixtures of the hostile tests: those of the end-to-end tests, and what a recorder file says."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

spec = importlib.util.spec_from_file_location("e2e_fixtures", ROOT / "test/e2e/conftest.py")
e2e = importlib.util.module_from_spec(spec)
spec.loader.exec_module(e2e)

machine = e2e.machine
built_tree = e2e.built_tree
PROGRAMS = e2e.BUILD / "test" / "hostile"


def read_record(path):
    """Return what a recorder file says, as show_record reads it."""
    shown = subprocess.run(
        [PROGRAMS / "show_record", path], stdout=subprocess.PIPE, check=True, text=True
    )
    return {name: int(value) for name, value in map(str.split, shown.stdout.splitlines())}


@pytest.fixture
def hostile(machine):
    """The machine, with the paths of the programs and the records of its runs."""

    def program(name, *arguments):
        return [PROGRAMS / name, *arguments]

    def only_record():
        (path,) = machine.records()
        return read_record(path)

    def all_records():
        return [read_record(path) for path in machine.records()]

    machine.program = program
    machine.only_record = only_record
    machine.all_records = all_records
    return machine

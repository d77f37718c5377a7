"""Memory taken in every way is tracked, and no longer when it is gone. Managed memory need not be on
the GPU and is told apart (test_managed.py)."""

import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("kinds_program.py")

EXPECTED = """
alloc 1 3.00 MiB
alloc-freed 0 0 B
pitch 1 1000 KiB
managed 0 0 B
plain-end 0 0 B
host 0 0 B
async 1 4.00 MiB
async-pool 2 10.0 MiB
async-end 0 0 B
captured 0 0 B
create 1 2.00 MiB
create-released 1 2.00 MiB
create-end 0 0 B
array 1 1.00 MiB
mipmap 1 1.25 MiB
array-end 0 0 B
context 3 6.00 MiB
context-destroyed 0 0 B
primary 1 2.00 MiB
primary-released-once 1 2.00 MiB
primary-reset 0 0 B
"""


def test_every_way_to_take_memory_is_counted(machine):
    result = machine.run([sys.executable, str(PROGRAM)], guarded=True)
    assert result.stdout.split("\n") == EXPECTED.strip().split("\n") + [""], result.stderr
    assert result.code == 0

"""Memory taken in every way is tracked, and no longer when it is gone. Managed memory need not be on
the GPU and is told apart (test_managed.py)."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
PROGRAM = HERE / "kinds_program.py"

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


HOST = """
import ctypes, mmap, sys
sys.path.insert(0, {here!r})
from driver_calls import *
call("cuInit", 0)
current_primary_context()
for mib in (5, 2):
    pages = mmap.mmap(-1, mib * MIB)
    registered = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(pages)))
    call("cuMemHostRegister_v2", registered, ctypes.c_size_t(mib * MIB), 0)
    if mib == 5:
        call("cuMemHostUnregister", registered)
ways = [("cuMemHostAlloc", ctypes.c_size_t, [0]), ("cuMemAllocHost_v2", ctypes.c_size_t, []),
        ("cuMemAllocHost", ctypes.c_uint, [])]
for name, number, more in ways:
    address = ctypes.c_void_p()
    for mib in (7, 3):
        call(name, ctypes.byref(address), number(mib * MIB), *more)
        if mib == 7:
            call("cuMemFreeHost", address)
"""


def test_pinned_memory_is_counted_until_it_is_given_back(machine):
    result = machine.run([sys.executable, "-c", HOST.format(here=str(HERE))], guarded=True)
    assert (result.code, result.stderr) == (0, "")
    kinds = "pinned host: 9.00 MiB in 3   registered host: 2.00 MiB in 1"
    assert kinds in machine.vramguard("report").stdout


REFUSED = """
import sys
sys.path.insert(0, {here!r})
from driver_calls import *
call("cuInit", 0)
current_primary_context()
assert allocate(6 * MIB)[0] == 0
print(result("cuDevicePrimaryCtxReset_v2", 0))
"""


def test_a_context_that_could_not_be_ended_keeps_its_memory(machine):
    result = machine.run([sys.executable, "-c", REFUSED.format(here=str(HERE))], guarded=True,
                         SIMGPU_FAIL="cuDevicePrimaryCtxReset:1=999")
    assert (result.stdout, result.stderr) == ("999\n", "")
    assert "6.00 MiB on GPU 0" in machine.vramguard("report").stdout

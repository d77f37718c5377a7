"""Takes managed memory, then ordinary memory; run by test_managed.py.
managed_program.py MANAGED_MIB ORDINARY_MIB...: prints the code of each ordinary allocation."""

import ctypes
import sys

from driver_calls import MIB, allocate, call, current_primary_context

GLOBAL = 1
managed_mib, *ordinary = map(int, sys.argv[1:])
call("cuInit", 0)
current_primary_context()
address = ctypes.c_uint64()
size = ctypes.c_size_t(managed_mib * MIB)
call("cuMemAllocManaged", ctypes.byref(address), size, ctypes.c_uint(GLOBAL))
for mib in ordinary:
    print(allocate(mib * MIB)[0])

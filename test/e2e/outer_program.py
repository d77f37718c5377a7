"""Calls that something else than the GPU's memory refuses; run by test_outer_limits.py.
outer_program.py alloc|host|reserve MIB [LIBRARY]: LIBRARY is opened first"""

import ctypes
import sys

from driver_calls import MIB, allocate, call, current_primary_context, result

call("cuInit", 0)
current_primary_context()
size = int(sys.argv[2]) * MIB
if sys.argv[1] == "alloc":
    print(allocate(size)[0])
elif sys.argv[1] == "reserve":
    address, none = ctypes.c_uint64(), ctypes.c_uint64(0)
    print(result("cuMemAddressReserve", ctypes.byref(address), ctypes.c_size_t(size), none, none, none))
else:
    pointer = ctypes.c_void_p()
    print(result("cuMemHostAlloc", ctypes.byref(pointer), ctypes.c_size_t(size), ctypes.c_uint(0)))

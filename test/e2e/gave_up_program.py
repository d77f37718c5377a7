"""Asks how much memory is free, and gives up by itself when that is less than it wants; run by
test_gave_up.py. gave_up_program.py WANTED_MIB [TAKEN_MIB]: takes TAKEN_MIB after the first
question"""

import ctypes
import sys

from driver_calls import MIB, allocate, call, current_primary_context

call("cuInit", 0)
current_primary_context()
free, total = ctypes.c_size_t(), ctypes.c_size_t()
for i in range(3):
    call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    if i == 0 and len(sys.argv) > 2:
        assert allocate(int(sys.argv[2]) * MIB)[0] == 0
print(free.value // MIB, total.value // MIB)
sys.exit(3 if free.value < int(sys.argv[1]) * MIB else 0)

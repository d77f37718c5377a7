"""Has arrays and runs out of memory; run by test_array_census.py. arrays_program.py LIBRARY DEVICE [PART]"""

import ctypes
import os
import sys

from driver_calls import MIB, allocate, call, cuda, current_primary_context
from driver_types import AllocationProp, Location
from numba_arrays import make_array

size = ctypes.c_size_t
library = ctypes.CDLL(sys.argv[1])  # by whose path it is seen that there may be arrays
call("cuInit", 0)
current_primary_context()
history = [make_array(20 * MIB, int(sys.argv[2])) for _ in range(3)]
part = sys.argv[3] if len(sys.argv) > 3 else ""
if part == "below_pytorch":
    assert library.take_with_a_cache(cuda.cuMemAlloc_v2, size(MIB), size(300 * MIB)) == 2
elif part == "host":
    pointer = ctypes.c_void_p()
    assert cuda.cuMemHostAlloc(ctypes.byref(pointer), size(300 * MIB), 0) == 2
elif part in ("capturing", "captured"):
    stream, graph = ctypes.c_void_p(), ctypes.c_void_p()
    call("cuStreamCreate", ctypes.byref(stream), 1)
    call("cuStreamBeginCapture_v2", stream, 2)
    if part == "captured":
        call("cuStreamEndCapture", stream, ctypes.byref(graph))
    assert allocate(300 * MIB)[0] == 2
else:
    assert allocate(300 * MIB)[0] == 2

"""CUDA graphs whose allocations fill the GPU: graph_program.py GRAPHS MIB_EACH MIB_BESIDE. Each graph is launched and frees
nothing; then MIB_BESIDE are taken, and 100 MiB more are asked for."""

import ctypes
import sys
from ctypes import byref, c_size_t as size, c_uint64 as u64, c_void_p as ptr

from driver_calls import MIB, allocate, call, current_primary_context


def launch(stream, mib):
    address, graph, executable = u64(), ptr(), ptr()
    call("cuStreamBeginCapture_v2", stream, 2)
    call("cuMemAllocAsync", byref(address), size(mib * MIB), stream)
    call("cuStreamEndCapture", stream, byref(graph))
    call("cuGraphInstantiateWithFlags", byref(executable), graph, ctypes.c_uint64(0))
    call("cuGraphLaunch", executable, stream)
    call("cuStreamSynchronize", stream)


count, each, beside = (int(text) for text in sys.argv[1:])
call("cuInit", 0)
current_primary_context()
stream = ptr()
call("cuStreamCreate", byref(stream), 1)
for _ in range(count):
    launch(stream, each)
if beside:
    allocate(beside * MIB)
print(allocate(100 * MIB)[0])

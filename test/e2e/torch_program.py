"""Tells of its blocks, and of giving up, as PyTorch's caching allocator does, without PyTorch; run by
test_torch_told.py. torch_program.py PART"""

import ctypes
import os
import sys
import time
import types

from driver_calls import MIB, call, cuda, current_primary_context
from numba_arrays import make_array

size = ctypes.c_size_t


class Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int8), ("index", ctypes.c_int8)]


GPU = Device(1, 0)
observers = []
guard = ctypes.CDLL(None)
# A library that is called as PyTorch's: what it takes it asks for twice.
allocator = ctypes.CDLL(os.environ["C10_CUDA"])


def served(mib=1, address=0x1000):
    guard._ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE(
        ctypes.c_void_p(address), ctypes.c_int64(mib * MIB), size(64 * MIB), size(96 * MIB), GPU)


def gave_up(mib):
    guard._ZN3c1027reportOutOfMemoryToProfilerElmmNS_6DeviceE(
        ctypes.c_int64(mib * MIB), size(64 * MIB), size(96 * MIB), GPU)


def ask(mib):
    assert allocator.take_with_a_cache(cuda.cuMemAlloc_v2, size(MIB), size(mib * MIB)) == 2


def attach():
    """Until the observer is there."""
    sys.modules["torch._C"] = types.SimpleNamespace(
        _cuda_attach_out_of_memory_observer=observers.append)
    deadline = time.monotonic() + 10
    while not observers:
        assert time.monotonic() < deadline
        served()
        time.sleep(0.01)
    time.sleep(0.05)  # what has been called says that it is attached


def refused_by_itself():
    served()
    gave_up(100)


def after_a_failure():
    served()
    ask(300)
    gave_up(300)


def after_anothers_failure():
    served()
    ask(300)
    gave_up(100)


def of_a_piece_of_a_segment():
    """PyTorch asks for more than is asked of it, up to 20 MiB."""
    served()
    ask(300)
    gave_up(280)


def survived():
    served()
    ask(300)
    served(address=0x2000)


def told_already():
    """No block was told before, so nothing says that this will be."""
    ask(300)
    gave_up(300)


def observed(asked=290, total=128, device=0):
    beside = make_array(20 * MIB)
    attach()
    ask(300)
    gave_up(300)
    for observer in observers:
        assert observer(device, asked * MIB, total * MIB, 8 * MIB) is None
    assert len(observers) == 1 and beside


def observed_while_capturing():
    stream, array = ctypes.c_void_p(), make_array(20 * MIB)
    attach()
    ask(300)
    gave_up(300)
    call("cuStreamCreate", ctypes.byref(stream), 1)
    call("cuStreamBeginCapture_v2", stream, 2)
    observers[0](0, 290 * MIB, 128 * MIB, 8 * MIB)
    assert array


def observed_of_another_device():
    observed(device=1)


def observed_without_a_limit():
    observed(total=256)


def never_observed():
    attach()
    ask(300)
    gave_up(300)


def observed_without_a_failure():
    attach()
    for observer in observers:
        observer(0, 290 * MIB, 128 * MIB, 8 * MIB)


call("cuInit", 0)
current_primary_context()
globals()[sys.argv[1]]()

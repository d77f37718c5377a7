"""The driver API through ctypes, for test programs: `call("cuMemAlloc_v2", ...)` ends the program
with the driver's code when a call fails, `result(...)` returns it."""

import ctypes
import sys

cuda = ctypes.CDLL("libcuda.so.1")
MIB = 1 << 20


def result(name, *arguments):
    return getattr(cuda, name)(*arguments)


def call(name, *arguments):
    code = result(name, *arguments)
    if code != 0:
        sys.exit(f"{name} returned {code}")


def current_primary_context(device=0):
    context = ctypes.c_void_p()
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    call("cuCtxSetCurrent", context)
    return context


def allocate(size_bytes):
    """(code, address) of cuMemAlloc."""
    address = ctypes.c_uint64()
    return result("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size_bytes)), address

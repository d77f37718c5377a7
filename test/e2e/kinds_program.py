"""Takes and gives back memory in every way the driver offers; run by test_kinds.py under the guard.

After each step it asks the guard what is live on the device and prints "STEP COUNT AMOUNT".
"""

import ctypes
import os
import re
import sys
import tempfile

from driver_types import AccessDesc, AllocationProp, Array3D, Location, PoolProps

MIB = 1 << 20
cuda = ctypes.CDLL("libcuda.so.1")
guard = ctypes.CDLL(None)
u64, size, ptr, byref = ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p, ctypes.byref


def check(result, what="call"):
    if result != 0:
        sys.exit(f"{what} returned {result}")


def call(name, *arguments):
    check(getattr(cuda, name)(*arguments), name)


def live():
    """Number of live allocations as the guard counts them, and all that it says."""
    with tempfile.TemporaryFile() as file:
        check(guard.vramguard_write_report(file.fileno()), "vramguard_write_report")
        file.seek(0)
        text = file.read().decode()
    match = re.search(r"(\d+) live allocations?", text)
    return int(match.group(1)) if match else 0, text


def step(name):
    count, text = live()
    print(name, count, re.search(r"([\d.]+ \w+) of this process", text).group(1), flush=True)


def plain():
    address, pitch = u64(), size()
    call("cuMemAlloc_v2", byref(address), size(3 * MIB))
    step("alloc")
    call("cuMemFree_v2", address)
    step("alloc-freed")
    call("cuMemAllocPitch_v2", byref(address), byref(pitch), size(1000), size(1000), 16)
    step("pitch")
    call("cuMemFree_v2", address)
    call("cuMemAllocManaged", byref(address), size(2 * MIB), 1)
    step("managed")
    call("cuMemFree_v2", address)
    step("plain-end")


def host():
    address = ptr()
    call("cuMemHostAlloc", byref(address), size(MIB), 0)
    step("host")  # is not device memory
    call("cuMemFreeHost", address)


def stream_ordered():
    address, second, stream, pool = u64(), u64(), ptr(), ptr()
    call("cuStreamCreate", byref(stream), 1)
    call("cuMemAllocAsync", byref(address), size(4 * MIB), stream)
    step("async")
    props = PoolProps(type=1, location=Location(1, 0))
    call("cuMemPoolCreate", byref(pool), byref(props))
    call("cuMemAllocFromPoolAsync", byref(second), size(6 * MIB), pool, stream)
    step("async-pool")
    call("cuMemFreeAsync", address, stream)
    call("cuStreamSynchronize", stream)
    call("cuMemFree_v2", second)  # any free will do
    step("async-end")
    call("cuMemPoolDestroy", pool)
    graph = ptr()
    call("cuStreamBeginCapture_v2", stream, 2)
    call("cuMemAllocAsync", byref(address), size(4 * MIB), stream)
    call("cuStreamEndCapture", stream, byref(graph))
    step("captured")  # belongs to the graph, is no memory yet
    call("cuGraphDestroy", graph)


def virtual():
    handle, address = u64(), u64()
    props = AllocationProp(type=1, location=Location(1, 0))
    call("cuMemCreate", byref(handle), size(2 * MIB), byref(props), u64(0))
    step("create")
    call("cuMemAddressReserve", byref(address), size(4 * MIB), size(0), u64(0), u64(0))
    call("cuMemMap", address, size(2 * MIB), size(0), handle, u64(0))
    call("cuMemRelease", handle)
    step("create-released")  # still mapped
    call("cuMemUnmap", address, size(2 * MIB))
    step("create-end")
    call("cuMemAddressFree", address, size(4 * MIB))


def arrays():
    array, mipmap = ptr(), ptr()
    descriptor = Array3D(size)(256, 256, 0, 0x20, 4, 0)
    call("cuArray3DCreate_v2", byref(array), byref(descriptor))
    step("array")
    call("cuArrayDestroy", array)
    call("cuMipmappedArrayCreate", byref(mipmap), byref(descriptor), 2)
    step("mipmap")
    call("cuMipmappedArrayDestroy", mipmap)
    step("array-end")


def contexts():
    address, context = u64(), ptr()
    call("cuCtxCreate_v2", byref(context), 0, 0)
    for _ in range(3):
        call("cuMemAlloc_v2", byref(address), size(2 * MIB))
    step("context")
    call("cuCtxDestroy_v2", context)
    step("context-destroyed")
    call("cuMemAlloc_v2", byref(address), size(2 * MIB))
    step("primary")
    call("cuDevicePrimaryCtxRetain", byref(ptr()), 0)
    call("cuDevicePrimaryCtxRelease_v2", 0)
    step("primary-released-once")
    call("cuDevicePrimaryCtxReset_v2", 0)
    context = ptr()
    call("cuDevicePrimaryCtxRetain", byref(context), 0)
    call("cuCtxSetCurrent", context)
    step("primary-reset")


def main():
    context = ptr()
    call("cuInit", 0)
    call("cuDevicePrimaryCtxRetain", byref(context), 0)
    call("cuCtxSetCurrent", context)
    for part in (plain, host, stream_ordered, virtual, arrays, contexts):
        part()


main()

"""Takes memory under VRAMGUARD_LIMIT; run by test_limit.py. Usage: limit_program.py PART [ARGUMENT]"""

import ctypes
import os
import random
import sys
import time

from driver_calls import MIB, call, cuda, current_primary_context, result
from driver_types import AllocationProp, Array2D, Array3D, Location, PoolProps

u32, u64, size, ptr = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p
byref = ctypes.byref
ON_GPU = Location(1, 0)
POISON = 0x5A


def poisoned(kind):
    out = kind()
    ctypes.memset(byref(out), POISON, ctypes.sizeof(out))
    return out


def untouched(out):
    return bytes(out) == bytes([POISON]) * ctypes.sizeof(out)


def memory():
    """(free, total) as cuMemGetInfo tells."""
    free, total = size(), size()
    call("cuMemGetInfo_v2", byref(free), byref(total))
    return free.value, total.value


# ---- every way to take memory: a function of MiB that returns (code, outputs, free it) ----


def plain(mib):
    out = poisoned(u64)
    code = result("cuMemAlloc_v2", byref(out), size(mib * MIB))
    return code, [out], lambda: call("cuMemFree_v2", out)


def plain_v1(mib):
    out = poisoned(u32)
    code = result("cuMemAlloc", byref(out), u32(mib * MIB))
    return code, [out], lambda: call("cuMemFree", out)


def pitched(mib):
    out, pitch = poisoned(u64), poisoned(size)
    code = result("cuMemAllocPitch_v2", byref(out), byref(pitch), size(1024), size(mib * 1024), 4)
    return code, [out, pitch], lambda: call("cuMemFree_v2", out)


def pitched_v1(mib):
    out, pitch = poisoned(u32), poisoned(u32)
    code = result("cuMemAllocPitch", byref(out), byref(pitch), u32(1024), u32(mib * 1024), 4)
    return code, [out, pitch], lambda: call("cuMemFree", out)


def pitched_beyond(mib):
    """Fits by its width, 8 bytes, but not by the pitch, 512, that the driver chooses."""
    if mib < 60:
        return pitched(mib)
    out, pitch = poisoned(u64), poisoned(size)
    code = result("cuMemAllocPitch_v2", byref(out), byref(pitch), size(8), size(200_000), 4)
    return code, [out, pitch], lambda: call("cuMemFree_v2", out)


def pitched_beyond_v1(mib):
    if mib < 60:
        return pitched_v1(mib)
    out, pitch = poisoned(u32), poisoned(u32)
    code = result("cuMemAllocPitch", byref(out), byref(pitch), u32(8), u32(200_000), 4)
    return code, [out, pitch], lambda: call("cuMemFree", out)


def managed(mib):
    out = poisoned(u64)
    code = result("cuMemAllocManaged", byref(out), size(mib * MIB), 1)
    return code, [out], lambda: call("cuMemFree_v2", out)


def stream_ordered(symbol, *more):
    def take(mib):
        out = poisoned(u64)
        code = result(symbol, byref(out), size(mib * MIB), *more, None)
        return code, [out], lambda: call("cuMemFreeAsync", out, None)

    return take


def from_pool(symbol):
    pool = ptr()
    props = PoolProps(type=1, location=ON_GPU)
    call("cuMemPoolCreate", byref(pool), byref(props))
    return stream_ordered(symbol, pool)


def virtual(mib):
    out = poisoned(u64)
    props = AllocationProp(type=1, location=ON_GPU)
    code = result("cuMemCreate", byref(out), size(mib * MIB), byref(props), u64(0))
    return code, [out], lambda: call("cuMemRelease", out)


def array(symbol, descriptor, *more, destroy="cuArrayDestroy"):
    def take(mib):
        out = poisoned(ptr)
        code = result(symbol, byref(out), byref(descriptor(mib)), *more)
        return code, [out], lambda: call(destroy, out)

    return take


# 1024 bytes a row: 1 MiB for each 1024 rows.
TWO_V1 = lambda mib: Array2D(u32)(256, mib * 1024, 0x20, 1)
TWO = lambda mib: Array2D(size)(256, mib * 1024, 0x20, 1)
THREE_V1 = lambda mib: Array3D(u32)(256, 1024, mib, 0x20, 1, 0)
THREE = lambda mib: Array3D(size)(256, 1024, mib, 0x20, 1, 0)

WAYS = {
    "cuMemAlloc": lambda: plain_v1,
    "cuMemAlloc_v2": lambda: plain,
    "cuMemAllocPitch": lambda: pitched_v1,
    "cuMemAllocPitch_v2": lambda: pitched,
    "pitch": lambda: pitched_beyond,
    "pitch-v1": lambda: pitched_beyond_v1,
    "cuMemAllocManaged": lambda: managed,
    "cuMemAllocAsync": lambda: stream_ordered("cuMemAllocAsync"),
    "cuMemAllocAsync_ptsz": lambda: stream_ordered("cuMemAllocAsync_ptsz"),
    "cuMemAllocFromPoolAsync": lambda: from_pool("cuMemAllocFromPoolAsync"),
    "cuMemAllocFromPoolAsync_ptsz": lambda: from_pool("cuMemAllocFromPoolAsync_ptsz"),
    "cuMemCreate": lambda: virtual,
    "cuArrayCreate": lambda: array("cuArrayCreate", TWO_V1),
    "cuArrayCreate_v2": lambda: array("cuArrayCreate_v2", TWO),
    "cuArray3DCreate": lambda: array("cuArray3DCreate", THREE_V1),
    "cuArray3DCreate_v2": lambda: array("cuArray3DCreate_v2", THREE),
    "cuMipmappedArrayCreate": lambda: array(
        "cuMipmappedArrayCreate", THREE, 1, destroy="cuMipmappedArrayDestroy"
    ),
}


def way(name):
    """Under a limit of 64 MiB: prints what was wrong, or nothing."""
    take = WAYS[name]()
    whole = memory()
    assert whole == (64 * MIB, 64 * MIB), whole
    code, outputs, _ = take(66)
    assert code == 2, code
    assert all(map(untouched, outputs)), [bytes(out) for out in outputs]
    assert memory() == whole, memory()
    code, _, first = take(40)
    assert code == 0 and memory()[0] == 24 * MIB, (code, memory())
    code, outputs, _ = take(26 if "pitch" not in name.split("-") else 60)
    assert code == 2 and all(map(untouched, outputs)), code
    code, _, second = take(24)
    assert code == 0 and memory()[0] == 0, (code, memory())
    assert plain(0)[0] == 1  # the driver's own answer
    assert result("cuMemAlloc_v2", byref(u64()), size(1)) == 2
    assert result("cuMemAlloc_v2", None, size(1)) == 2  # too large before it is wrong
    first()
    assert memory()[0] == 40 * MIB, memory()
    second()
    assert memory() == whole, memory()


def show():
    """What the program is told, in every way."""
    nvml = ctypes.CDLL("libnvidia-ml.so.1")
    v1, total = (u32(), u32()), size()
    print("cuMemGetInfo_v2", *memory())
    call("cuMemGetInfo", byref(v1[0]), byref(v1[1]))
    print("cuMemGetInfo", v1[0].value, v1[1].value)
    call("cuDeviceTotalMem_v2", byref(total), 0)
    print("cuDeviceTotalMem_v2", total.value)
    call("cuDeviceTotalMem", byref(v1[0]), 0)
    print("cuDeviceTotalMem", v1[0].value)
    handle, plain_info, info = ptr(), (u64 * 3)(), (u64 * 5)(ctypes.sizeof(u64 * 5) | 2 << 24)
    assert nvml.nvmlInit_v2() == 0
    assert nvml.nvmlDeviceGetHandleByIndex_v2(0, byref(handle)) == 0
    assert nvml.nvmlDeviceGetMemoryInfo(handle, plain_info) == 0
    print("nvmlDeviceGetMemoryInfo", *plain_info)
    assert nvml.nvmlDeviceGetMemoryInfo_v2(handle, info) == 0
    print("nvmlDeviceGetMemoryInfo_v2", *list(info)[1:])
    assert nvml.nvmlDeviceGetMemoryInfo(handle, None) == 2  # NVML's own answer


def told():
    show()
    assert plain(10)[0] == 0
    show()


def take_all(unit):
    """Takes `unit` bytes at a time until there are none; returns how many."""
    got = 0
    while result("cuMemAlloc_v2", byref(u64()), size(unit)) == 0:
        got += unit
    return got


def race(unit, signal):
    """When the file `signal` is there, takes all there is; prints how much, and holds it until
    input ends."""
    print("ready", flush=True)
    while not os.path.exists(signal):
        time.sleep(0.001)
    print(take_all(int(unit)), flush=True)
    os.read(0, 1)


# ---- what is given back ----


class Random:
    """Takes and gives back at random in every way; nothing may stay charged."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.ways = [make() for name, make in WAYS.items()]
        self.held, self.contexts, self.maps = [], [], []

    def take(self):
        code, _, free = self.random.choice(self.ways)(self.random.choice((1, 2, 4, 8, 30, 70)))
        assert code in (0, 1, 2), code  # 1: cuMemCreate of an odd number of MiB
        if code == 0:
            self.held.append(free)

    def give(self):
        if self.held:
            self.held.pop(self.random.randrange(len(self.held)))()

    def in_context(self):
        """Allocations that end with their context."""
        context, popped = ptr(), ptr()
        if result("cuCtxCreate_v2", byref(context), 0, 0) != 0:
            return
        for _ in range(3):
            self.random.choice([plain, pitched, managed])(self.random.choice((1, 3)))
        call("cuCtxDestroy_v2", context)

    def map(self):
        """A reference more or less, a mapping more or less, in any order."""
        code, (handle,), _ = virtual(2)
        if code != 0:
            return
        address, again = u64(), u64()
        call("cuMemAddressReserve", byref(address), size(4 * MIB), size(0), u64(0), u64(0))
        call("cuMemMap", address, size(2 * MIB), size(0), handle, u64(0))
        retained = self.random.random() < 0.5
        if retained:
            call("cuMemRetainAllocationHandle", byref(again), ptr(address.value))
        ends = [lambda: call("cuMemRelease", handle)]
        ends.append(lambda: call("cuMemUnmap", address, size(2 * MIB)))
        ends += [lambda: call("cuMemRelease", again)] * retained
        self.random.shuffle(ends)
        for end in ends[:-1]:
            end()
        before = memory()[0]
        ends[-1]()
        assert memory()[0] == before + 2 * MIB
        call("cuMemAddressFree", address, size(4 * MIB))

    def wrong(self):
        """Calls that fail for other reasons."""
        assert result("cuMemFree_v2", u64(0x1234)) != 0
        assert result("cuMemAlloc_v2", None, size(MIB)) != 0
        assert result("cuMemCreate", byref(u64()), size(2 * MIB), ptr(0x1234), u64(0)) != 0
        assert result("cuArrayCreate_v2", byref(ptr()), None) != 0
        elsewhere = AllocationProp(type=1, location=Location(1, 7))
        assert result("cuMemCreate", byref(u64()), size(2 * MIB), byref(elsewhere), u64(0)) != 0

    def host(self):
        """Memory of the host is not charged."""
        handle, before = u64(), memory()[0]
        props = AllocationProp(type=1, location=Location(2, 0))
        call("cuMemCreate", byref(handle), size(128 * MIB), byref(props), u64(0))
        assert memory()[0] == before
        call("cuMemRelease", handle)

    def captured(self):
        """What becomes a node of a graph is no memory yet, and may exceed the limit."""
        stream, graph, address, before = ptr(), ptr(), u64(), memory()[0]
        call("cuStreamCreate", byref(stream), 1)
        call("cuStreamBeginCapture_v2", stream, 2)
        call("cuMemAllocAsync", byref(address), size(100 * MIB), stream)
        call("cuMemFreeAsync", address, stream)
        call("cuStreamEndCapture", stream, byref(graph))
        assert memory()[0] == before
        call("cuGraphDestroy", graph)
        call("cuStreamDestroy_v2", stream)

    def run(self, steps):
        actions = [self.take] * 8 + [self.give] * 8
        actions += [self.in_context, self.map, self.host, self.captured]
        for _ in range(steps):
            self.random.choice(actions)()
            free, total = memory()
            assert 0 <= free <= total == 64 * MIB
        while self.held:
            self.give()


def drift(seed):
    whole = memory()
    Random(int(seed)).run(300)
    assert memory() == whole, (memory(), whole)


# ---- trees of processes ----


def hold(mib):
    """In a process that has its own account or shares one: what it sees, takes, and sees then."""
    before = memory()[0]
    code = plain(int(mib))[0]
    print(before // MIB, code, memory()[0] // MIB, flush=True)


def hold_and_wait(mib):
    hold(mib)
    os.read(0, 1)


def fork_before(mib):
    """Forks before the first use of CUDA; the children are one after the other."""
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            start()
            hold(mib)
            os._exit(0)
        os.waitpid(pid, 0)
    start()
    hold(mib)


def fork_beside(mib):
    """The child holds its memory while the parent takes its own."""
    told_by_child, told_to_child = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        start()
        hold(mib)
        os.write(told_by_child[1], b"x")
        os.read(told_to_child[0], 1)
        os._exit(0)
    os.read(told_by_child[0], 1)
    start()
    hold(mib)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    print(memory()[0] // MIB, flush=True)


def exec_again(mib):
    """Holds memory, becomes another program, and begins anew."""
    hold(mib)
    os.execv(sys.executable, [sys.executable, __file__, "hold", mib])


def start():
    call("cuInit", 0)
    current_primary_context()


PARTS = (way, told, show, race, drift, hold, hold_and_wait, fork_before, fork_beside, exec_again)
LATE = ("fork_before", "fork_beside")

if __name__ == "__main__":
    part = {each.__name__: each for each in PARTS}[sys.argv[1]]
    if part.__name__ not in LATE:
        start()
    part(*sys.argv[2:])

"""Uses spilled memory as device memory, in every way that a program can; run by test_spill.py on a
simulated GPU, under the guard with VRAMGUARD_POLICY=spill. The first argument names the part.

Most parts do the same to an allocation on the device and to a spilled one, and compare.
"""

import ctypes
import sys

from driver_calls import MIB, allocate, call, current_primary_context, result

u64, size, ptr, byref = ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p, ctypes.byref
INVALID_VALUE, OUT_OF_MEMORY = 1, 2
HOST, DEVICE = 1, 2
BYTES = 4 * MIB


class Location(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("id", ctypes.c_int)]


class AllocationProp(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("handle_types", ctypes.c_int), ("location", Location),
                ("win32", ptr), ("flags", ctypes.c_ubyte * 8)]


class AccessDesc(ctypes.Structure):
    _fields_ = [("location", Location), ("flags", ctypes.c_int)]


class Copy2D(ctypes.Structure):
    _fields_ = [("src_x", size), ("src_y", size), ("src_type", ctypes.c_int), ("src_host", ptr),
                ("src_device", u64), ("src_array", ptr), ("src_pitch", size),
                ("dst_x", size), ("dst_y", size), ("dst_type", ctypes.c_int), ("dst_host", ptr),
                ("dst_device", u64), ("dst_array", ptr), ("dst_pitch", size),
                ("width", size), ("height", size)]


class Copy3D(ctypes.Structure):
    _fields_ = [("src_x", size), ("src_y", size), ("src_z", size), ("src_lod", size),
                ("src_type", ctypes.c_int), ("src_host", ptr), ("src_device", u64),
                ("src_array", ptr), ("src_context", ptr), ("src_pitch", size),
                ("src_height", size),
                ("dst_x", size), ("dst_y", size), ("dst_z", size), ("dst_lod", size),
                ("dst_type", ctypes.c_int), ("dst_host", ptr), ("dst_device", u64),
                ("dst_array", ptr), ("dst_context", ptr), ("dst_pitch", size),
                ("dst_height", size), ("width", size), ("height", size), ("depth", size)]


class Array(ctypes.Structure):
    _fields_ = [("width", size), ("height", size), ("format", ctypes.c_int),
                ("channels", ctypes.c_uint)]


def check(truth, what):
    if not truth:
        sys.exit("not true: " + what)


def equal(a, b, what):
    if a != b:
        sys.exit(f"{what}: {a!r} on the device, {b!r} spilled")


def fill_device():
    """Take all that is free, so that what comes next does not fit."""
    free, total = size(), size()
    call("cuMemGetInfo_v2", byref(free), byref(total))
    check(allocate(free.value)[0] == 0, "the rest of the device can be taken")


def memory(size_bytes=BYTES):
    code, address = allocate(size_bytes)
    check(code == 0, f"{size_bytes} bytes can be allocated, not {code}")
    return address.value


def is_spilled(address):
    """Is it in pinned host memory? Only of that does the driver tell flags."""
    return result("cuMemHostGetFlags", byref(ctypes.c_uint()), ptr(address)) == 0


def pair(make=memory):
    """The same on the device and spilled."""
    on_device = make()
    fill_device()
    spilled = make()
    check(not is_spilled(on_device) and is_spilled(spilled), "one is on the device, one is spilled")
    return on_device, spilled


def pattern(count, seed):
    period = bytes((i * i + seed) % 256 for i in range(251))
    return (period * (count // 251 + 1))[:count]


def read(address, count):
    buffer = ctypes.create_string_buffer(count)
    call("cuMemcpyDtoH_v2", buffer, u64(address), size(count))
    return buffer.raw


def write(address, data):
    call("cuMemcpyHtoD_v2", u64(address), data, size(len(data)))


# ---- attributes ----

ATTRIBUTES = {1: 8, 2: 4, 3: 8, 4: 8, 6: 4, 7: 8, 8: 4, 9: 4, 10: 4, 11: 8, 12: 8, 13: 4, 14: 8,
              15: 4, 16: 4, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4}
RELATIVE = (3, 11, 19)  # addresses: compared as distances from the allocation
UNIQUE = (7, 20)  # a number for each allocation
IPC_CAPABLE = 10  # the truth: it is not


def attribute(address, number, base):
    value = u64(0xAAAAAAAAAAAAAAAA)
    code = result("cuPointerGetAttribute", byref(value), number, u64(address))
    if code != 0:
        check(value.value == 0xAAAAAAAAAAAAAAAA, "a failing call leaves the output alone")
        return code, None
    shown = value.value & (0xFFFFFFFF if ATTRIBUTES[number] == 4 else 0xFFFFFFFFFFFFFFFF)
    return 0, shown - base if number in RELATIVE else shown


def attributes_at_once(address, base):
    values = [u64(0xAAAAAAAAAAAAAAAA) for _ in ATTRIBUTES]
    names = (ctypes.c_int * len(values))(*ATTRIBUTES)
    data = (ptr * len(values))(*[ctypes.addressof(value) for value in values])
    call("cuPointerGetAttributes", len(values), names, data, u64(address))
    shown = {}
    for (number, width), value in zip(ATTRIBUTES.items(), values):
        shown[number] = value.value & (0xFFFFFFFF if width == 4 else 0xFFFFFFFFFFFFFFFF)
        check(width == 8 or value.value >> 32 == 0xAAAAAAAA, "no more is written than its width")
        if number in RELATIVE:
            shown[number] -= base
    return shown


def attributes():
    on_device, spilled = pair()
    for offset in (0, 12345, BYTES - 1):
        at_once = [attributes_at_once(base + offset, base) for base in (on_device, spilled)]
        for number in ATTRIBUTES:
            one, other = (attribute(base + offset, number, base) for base in (on_device, spilled))
            if number == IPC_CAPABLE:
                check(one == (0, 1) and other == (0, 0), "only device memory is capable of IPC")
            elif number in UNIQUE:
                check(one[0] == other[0] == 0 and one[1] != other[1], "ids differ")
            else:
                equal(one, other, f"attribute {number} at {offset}")
                equal(at_once[0][number], at_once[1][number], f"attribute {number} of many")
    check(attribute(spilled, 2, 0) == (0, DEVICE), "the memory's type is the device's")
    check(attribute(spilled, 4, 0) == (INVALID_VALUE, None), "there is no host pointer")
    check(result("cuPointerGetAttribute", None, 2, u64(spilled)) == INVALID_VALUE, "no output")
    for base in (on_device, spilled):
        start, length = u64(), size()
        call("cuMemGetAddressRange_v2", byref(start), byref(length), u64(base + 777))
        check((start.value, length.value) == (base, BYTES), "the range is the allocation")
        call("cuMemGetAddressRange_v2", None, byref(length), u64(base))
        call("cuMemGetAddressRange_v2", byref(start), None, u64(base))
        equal(result("cuMemFreeHost", ptr(base)), INVALID_VALUE, "cuMemFreeHost")
        equal(result("cuMemFree_v2", u64(base + 512)), INVALID_VALUE, "cuMemFree of the inside")
        call("cuMemFree_v2", u64(base))
        equal(result("cuMemFree_v2", u64(base)), INVALID_VALUE, "a second cuMemFree")
        equal(attribute(base, 2, 0)[0], INVALID_VALUE, "an attribute of freed memory")
    call("cuMemFree_v2", u64(0))


# ---- copies ----

def copies():
    on_device, spilled = pair()
    context = ptr()
    call("cuCtxGetCurrent", byref(context))
    stream = ptr()
    call("cuStreamCreate", byref(stream), 1)
    out = ctypes.create_string_buffer(BYTES)
    for seed, (to, source) in enumerate([(spilled, on_device), (on_device, spilled)]):
        ways = {
            "cuMemcpy": lambda t=to, s=source: (u64(t), u64(s), size(BYTES)),
            "cuMemcpyAsync": lambda t=to, s=source: (u64(t), u64(s), size(BYTES), stream),
            "cuMemcpyDtoD_v2": lambda t=to, s=source: (u64(t), u64(s), size(BYTES)),
            "cuMemcpyDtoDAsync_v2": lambda t=to, s=source: (u64(t), u64(s), size(BYTES), stream),
            "cuMemcpyPeer": lambda t=to, s=source: (u64(t), context, u64(s), context, size(BYTES)),
            "cuMemcpyPeerAsync": lambda t=to, s=source: (u64(t), context, u64(s), context,
                                                         size(BYTES), stream),
        }
        for number, (name, arguments) in enumerate(ways.items()):
            data = pattern(BYTES, seed * 100 + number)
            call("cuMemcpyHtoDAsync_v2", u64(source), data, size(BYTES), stream)
            call("cuStreamSynchronize", stream)
            call(name, *arguments())
            call("cuStreamSynchronize", stream)
            call("cuMemcpyDtoHAsync_v2", out, u64(to), size(BYTES), stream)
            call("cuStreamSynchronize", stream)
            check(out.raw == data, name + " copies")
    check(result("cuMemcpyHtoD_v2", u64(spilled + 1), out, size(BYTES)) == INVALID_VALUE,
          "a copy beyond the end")


def boxes():
    on_device, spilled = pair()
    stream = ptr()
    call("cuStreamCreate", byref(stream), 1)
    data = pattern(BYTES, 3)
    for to, source in ((spilled, on_device), (on_device, spilled)):
        for name in ("cuMemcpy2D_v2", "cuMemcpy2DUnaligned_v2", "cuMemcpy2DAsync_v2"):
            write(source, data)
            call("cuMemsetD8_v2", u64(to), 0, size(BYTES))
            box = Copy2D(src_type=DEVICE, src_device=source, src_pitch=1024, src_x=16, src_y=2,
                         dst_type=DEVICE, dst_device=to, dst_pitch=2048, dst_x=32, dst_y=1,
                         width=512, height=20)
            call(name, byref(box), *([stream] if "Async" in name else []))
            call("cuStreamSynchronize", stream)
            got = read(to, BYTES)
            for row in range(20):
                at, there = (row + 1) * 2048 + 32, (row + 2) * 1024 + 16
                check(got[at:at + 512] == data[there:there + 512], f"{name} copies row {row}")
            check(not any(got[:2048 + 32]), name + " copies nothing else")
        for name in ("cuMemcpy3D_v2", "cuMemcpy3DAsync_v2", "cuMemcpy3DPeer",
                     "cuMemcpy3DPeerAsync"):
            context = ptr()
            call("cuCtxGetCurrent", byref(context))
            peers = {"src_context": context, "dst_context": context} if "Peer" in name else {}
            write(source, data)
            call("cuMemsetD8_v2", u64(to), 0, size(BYTES))
            box = Copy3D(src_type=DEVICE, src_device=source, src_pitch=1024, src_height=16,
                         dst_type=DEVICE, dst_device=to, dst_pitch=512, dst_height=8,
                         width=256, height=8, depth=4, **peers)
            call(name, byref(box), *([stream] if "Async" in name else []))
            call("cuStreamSynchronize", stream)
            got = read(to, BYTES)
            for z in range(4):
                for row in range(8):
                    at, there = (z * 8 + row) * 512, (z * 16 + row) * 1024
                    check(got[at:at + 256] == data[there:there + 256], name + " copies")


def array_copies():
    array = ptr()
    call("cuArrayCreate_v2", byref(array), byref(Array(1024, 16, 1, 1)))
    fill_device()
    spilled = memory()
    check(is_spilled(spilled), "spilled")
    data = pattern(16 * 1024, 5)
    write(spilled, data)
    call("cuMemcpyDtoA_v2", array, size(0), u64(spilled), size(len(data)))
    call("cuMemsetD8_v2", u64(spilled), 0, size(len(data)))
    call("cuMemcpyAtoD_v2", u64(spilled), array, size(0), size(len(data)))
    check(read(spilled, len(data)) == data, "copies between arrays and spilled memory")


def memsets():
    on_device, spilled = pair()
    stream = ptr()
    call("cuStreamCreate", byref(stream), 1)
    kinds = {"D8": (ctypes.c_ubyte(0x5A), 1), "D16": (ctypes.c_ushort(0x1234), 2),
             "D32": (ctypes.c_uint(0xDEADBEEF), 4)}
    for kind, (value, width) in kinds.items():
        for suffix in ("_v2", "Async"):
            last = [stream] if suffix == "Async" else []
            seen = []
            for address in (on_device, spilled):
                write(address, pattern(BYTES, 1))
                call(f"cuMemset{kind}{suffix}", u64(address + 4096), value, size(1000), *last)
                call(f"cuMemsetD2{kind}{suffix}", u64(address + 65536), size(512), value,
                     size(100 // width), size(30), *last)
                call("cuStreamSynchronize", stream)
                seen.append(read(address, BYTES))
            check(seen[0] == seen[1] and seen[0] != pattern(BYTES, 1), f"cuMemset{kind}{suffix}")
    for address in (on_device, spilled):
        equal(result("cuMemsetD32_v2", u64(address + 2), 0, size(1)), INVALID_VALUE, "misaligned")


# ---- pitch ----

def pitched():
    address, pitch = u64(), size()
    call("cuMemAllocPitch_v2", byref(address), byref(pitch), size(1000), size(4000), 4)
    return address.value, pitch.value


def pitch():
    on_device, device_pitch = pitched()
    fill_device()
    spilled, spilled_pitch = pitched()
    check(is_spilled(spilled) and not is_spilled(on_device), "one of the two is spilled")
    equal(device_pitch, spilled_pitch, "pitch")
    write(spilled, pattern(spilled_pitch * 4000, 9))
    check(read(spilled, spilled_pitch * 4000) == pattern(spilled_pitch * 4000, 9), "every row")
    code = result("cuMemcpyHtoD_v2", u64(spilled), b"x" * (spilled_pitch * 4000 + 1),
                  size(spilled_pitch * 4000 + 1))
    check(code == INVALID_VALUE, "and no more")
    call("cuMemFree_v2", u64(spilled))


# ---- virtual memory ----

PROPERTIES = AllocationProp(type=1, location=Location(1, 0))
PAGE = 2 * MIB


def create(properties=PROPERTIES, size_bytes=PAGE):
    handle = u64(0x1234)
    code = result("cuMemCreate", byref(handle), size(size_bytes), byref(properties), u64(0))
    check(code == 0 or handle.value == 0x1234, "a failing call leaves the output alone")
    return code, handle


def properties_of(handle):
    properties = AllocationProp()
    call("cuMemGetAllocationPropertiesFromHandle", byref(properties), handle)
    return properties.type, properties.handle_types, properties.location.type, \
        properties.location.id


def virtual():
    base, access = u64(), AccessDesc(Location(1, 0), 3)
    code, on_device = create()
    check(code == 0, "memory on the device")
    fill_device()
    code, spilled = create()
    check(code == 0, "spilled memory")
    code, second = create(size_bytes=2 * PAGE)
    check(code == 0, "more spilled memory")
    equal(properties_of(on_device), properties_of(spilled), "properties")
    call("cuMemAddressReserve", byref(base), size(8 * PAGE), size(0), u64(0), u64(0))
    for number, (handle, pages) in enumerate([(on_device, 1), (spilled, 1), (second, 2)]):
        call("cuMemMap", u64(base.value + number * PAGE), size(pages * PAGE), size(0), handle,
             u64(0))
    call("cuMemSetAccess", base, size(4 * PAGE), byref(access), size(1))
    flags = ctypes.c_ulonglong()
    for number in range(4):
        call("cuMemGetAccess", byref(flags), byref(access.location),
             u64(base.value + number * PAGE))
        check(flags.value == 3, "the device may read and write")
    data = pattern(4 * PAGE, 2)
    write(base.value, data)
    check(read(base.value, 4 * PAGE) == data, "the mapping is one memory, spilled or not")
    call("cuMemsetD32_v2", u64(base.value + PAGE - 4096), 7, size(2048))
    for number in ATTRIBUTES:
        one, other = (attribute(base.value + n * PAGE + 99, number, base.value + n * PAGE)
                      for n in (0, 1))
        if number not in UNIQUE:
            equal(one, other, f"attribute {number} of a mapping")
    check(attributes_at_once(base.value + 3 * PAGE, base.value)[2] == DEVICE, "all of the second")
    retained = u64()
    call("cuMemRetainAllocationHandle", byref(retained), ptr(base.value + PAGE))
    equal(properties_of(on_device), properties_of(retained), "properties of a retained handle")
    for handle in (on_device, spilled, second):
        call("cuMemRelease", handle)
    check(read(base.value + PAGE, 64) is not None, "released memory is there while mapped")
    equal(result("cuMemUnmap", u64(base.value + 2 * PAGE), size(PAGE)), INVALID_VALUE,
          "half a mapping")
    equal(attribute(base.value + 2 * PAGE, 2, 0), (0, DEVICE), "after a refused unmapping")
    call("cuMemUnmap", base, size(4 * PAGE))
    equal(attribute(base.value + PAGE, 2, 0)[0], INVALID_VALUE, "an attribute after unmapping")
    call("cuMemMap", base, size(PAGE), size(0), retained, u64(0))
    call("cuMemSetAccess", base, size(PAGE), byref(access), size(1))
    check(read(base.value, PAGE) == b"\7\0\0\0" * 1024 + data[PAGE + 4096:2 * PAGE],
          "the retained memory still holds what was written")
    call("cuMemRelease", retained)
    call("cuMemUnmap", base, size(PAGE))
    call("cuMemAddressFree", base, size(8 * PAGE))


def special_virtual():
    fill_device()
    shared = AllocationProp(type=1, handle_types=1, location=Location(1, 0))
    check(create(shared)[0] == OUT_OF_MEMORY, "shareable memory is not spilled")
    compressed = AllocationProp(type=1, location=Location(1, 0))
    compressed.flags[0] = 1
    check(create(compressed)[0] == OUT_OF_MEMORY, "compressible memory is not spilled")
    check(create()[0] == 0, "plain memory is")


# ---- frees ----

def frees():
    fill_device()
    stream = ptr()
    call("cuStreamCreate", byref(stream), 1)
    for name in ("cuMemFreeAsync", "cuMemFreeAsync_ptsz"):
        for handle in (stream, ptr(0)):
            address = memory()
            check(is_spilled(address), "spilled")
            call(name, u64(address), handle)
            check(not is_spilled(address), name + " of a spilled address")
    address, graph = memory(), ptr()
    call("cuStreamBeginCapture_v2", stream, 2)
    check(result("cuMemFreeAsync", u64(address), stream) != 0, "is no memory of the graph")
    result("cuStreamEndCapture", stream, byref(graph))
    call("cuMemFree_v2", u64(address))
    check(result("cuMemFreeAsync", u64(memory()), ptr(0xBAD)) != 0, "no such stream")


def contexts():
    primary, own = current_primary_context(), ptr()
    call("cuCtxCreate_v2", byref(own), 0, 0)
    fill_device()
    address = memory()
    check(is_spilled(address), "spilled")
    call("cuCtxDestroy_v2", own)
    call("cuCtxSetCurrent", primary)
    check(not is_spilled(address), "the context took it with it")
    fill_device()
    kept = memory()
    call("cuDevicePrimaryCtxReset_v2", 0)
    current_primary_context()
    check(not is_spilled(kept), "so did the primary context")


# ---- limits ----

def ipc():
    on_device, spilled = pair()
    handle = ctypes.create_string_buffer(64)
    check(result("cuIpcGetMemHandle", handle, u64(spilled)) == INVALID_VALUE, "cannot be exported")
    check(handle.raw == bytes(64), "and the output is left alone")
    check(is_spilled(memory()), "a refused export changes nothing")
    call("cuIpcGetMemHandle", handle, u64(on_device))
    check(allocate(BYTES)[0] == OUT_OF_MEMORY, "after an export nothing is spilled")
    check(create()[0] == OUT_OF_MEMORY, "nor physical memory")
    call("cuMemFree_v2", u64(spilled))


def shareable():
    code, handle = create(AllocationProp(type=1, handle_types=1, location=Location(1, 0)))
    check(code == 0, "shareable memory on the device")
    fill_device()
    check(is_spilled(memory()), "having it is no reason yet")
    call("cuMemExportToShareableHandle", byref(ctypes.c_int()), handle, 1, u64(0))
    check(allocate(BYTES)[0] == OUT_OF_MEMORY, "after an export nothing is spilled")


def cap():
    """VRAMGUARD_SPILL_CAP is 20 MiB."""
    fill_device()
    addresses = [memory(10 * MIB), memory(6 * MIB)]
    check(allocate(4 * MIB + 1)[0] == OUT_OF_MEMORY, "a byte too many")
    addresses.append(memory(4 * MIB))
    check(allocate(1)[0] == OUT_OF_MEMORY, "full")
    call("cuMemFree_v2", u64(addresses[1]))
    check(create(size_bytes=3 * PAGE)[0] == 0, "virtual memory counts, too")
    check(allocate(1)[0] == OUT_OF_MEMORY, "full again")
    print("cap reached")


def others():
    """What is never spilled."""
    fill_device()
    address, stream, array = u64(), ptr(0), ptr()
    check(result("cuMemAllocAsync", byref(address), size(BYTES), stream) == OUT_OF_MEMORY, "async")
    check(result("cuArrayCreate_v2", byref(array), byref(Array(4096, 4096, 0x20, 1)))
          == OUT_OF_MEMORY, "arrays")
    low = ctypes.c_uint()
    check(result("cuMemAlloc", byref(low), BYTES) == OUT_OF_MEMORY, "32-bit addresses")


def managed():
    """Neither is managed memory, which moves by itself and has to be made to fail (SIMGPU_FAIL)."""
    fill_device()
    address = u64()
    check(result("cuMemAllocManaged", byref(address), size(BYTES), 1) == OUT_OF_MEMORY, "managed")


def refused():
    """The driver refuses once what spilling needs (SIMGPU_FAIL): the original error, and no trace:
    after it the whole cap of 4 MiB is there."""
    fill_device()
    code, address = allocate(BYTES)
    check(code == OUT_OF_MEMORY and address.value == 0, "the original error")
    call("cuMemFree_v2", u64(memory(BYTES)))
    check(create(size_bytes=2 * PAGE)[0] == 0, "nothing was lost")


def refused_virtual():
    """The same of cuMemCreate."""
    fill_device()
    check(create(size_bytes=2 * PAGE)[0] == OUT_OF_MEMORY, "the original error")
    code, handle = create(size_bytes=2 * PAGE)
    check(code == 0, "nothing was lost")
    call("cuMemRelease", handle)
    call("cuMemFree_v2", u64(memory(BYTES)))


# ---- the runtime ----

class PointerAttributes(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("device", ctypes.c_int), ("device_pointer", ptr),
                ("host_pointer", ptr), ("reserved", ctypes.c_long * 8)]


def runtime():
    cudart = ctypes.CDLL("libcudart.so.13")

    def must(name, *arguments):
        check(getattr(cudart, name)(*arguments) == 0, name)

    def described(make):
        address = ptr()
        make(address)
        attributes = PointerAttributes()
        must("cudaPointerGetAttributes", byref(attributes), address)
        check(attributes.device_pointer == address.value, "its own address")
        return address, (attributes.type, attributes.device, attributes.host_pointer)

    def plain(address):
        must("cudaMalloc", byref(address), size(BYTES))

    def rows(address):
        pitch = size()
        must("cudaMallocPitch", byref(address), byref(pitch), size(1000), size(4000))
        check(pitch.value == 1024, "pitch")

    on_device, expected = described(plain)
    check(expected == (DEVICE, 0, None), "what a device pointer is")
    fill_device()
    for make in (plain, rows):
        spilled, attributes = described(make)
        check(is_spilled(spilled.value), "spilled")
        equal(expected, attributes, "cudaPointerGetAttributes")
        data, back = pattern(BYTES // 2, 4), ctypes.create_string_buffer(BYTES // 2)
        must("cudaMemcpy", spilled, data, size(len(data)), 1)
        must("cudaMemcpy", on_device, spilled, size(len(data)), 3)
        must("cudaMemcpy", back, on_device, size(len(data)), 4)
        check(back.raw == data, "cudaMemcpy")
        must("cudaMemset", spilled, 7, size(100))
        handle = ctypes.create_string_buffer(64)
        check(cudart.cudaIpcGetMemHandle(handle, spilled) == INVALID_VALUE, "no IPC")
        must(*(("cudaFree", spilled) if make is plain else ("cudaFreeAsync", spilled, ptr(0))))
        check(not is_spilled(spilled.value), "freed")


def main():
    call("cuInit", 0)
    current_primary_context()
    parts = {part.__name__: part for part in (
        attributes, copies, boxes, array_copies, memsets, pitch, virtual, special_virtual, frees,
        contexts, ipc, shareable, cap, others, managed, refused, refused_virtual, runtime)}
    parts[sys.argv[1]]()
    guard = ctypes.CDLL(None)
    sys.stdout.flush()
    guard.vramguard_write_report(1)
    print("end of " + sys.argv[1])


main()

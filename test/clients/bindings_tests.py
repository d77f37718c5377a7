"""Memory tests through cuda.bindings.driver, whose wheel brings none of its own."""

import subprocess
import sys

import pytest
from cuda.bindings import driver

KIB, MIB = 1 << 10, 1 << 20
SUCCESS = driver.CUresult.CUDA_SUCCESS
OUT_OF_MEMORY = driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY


def ok(answer):
    """What a call gave beside its result, which must be success."""
    result, *values = answer
    assert result == SUCCESS, result
    return values[0] if len(values) == 1 else tuple(values)


@pytest.fixture(scope="module", autouse=True)
def device():
    ok(driver.cuInit(0))
    device = ok(driver.cuDeviceGet(0))
    ok(driver.cuCtxSetCurrent(ok(driver.cuDevicePrimaryCtxRetain(device))))
    yield device
    ok(driver.cuDevicePrimaryCtxRelease(device))


@pytest.fixture
def stream():
    stream = ok(driver.cuStreamCreate(0))
    yield stream
    ok(driver.cuStreamDestroy(stream))


def free_bytes():
    return ok(driver.cuMemGetInfo())[0]


def round_trip(pointer, size_bytes):
    data = bytes(i * 7 % 251 for i in range(size_bytes))
    back = bytearray(size_bytes)
    ok(driver.cuMemcpyHtoD(pointer, data, size_bytes))
    ok(driver.cuMemcpyDtoH(back, pointer, size_bytes))
    assert bytes(back) == data


def location(device):
    place = driver.CUmemLocation()
    place.type, place.id = driver.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE, int(device)
    return place


def test_free_memory_goes_down_and_comes_back():
    before = free_bytes()
    pointer = ok(driver.cuMemAlloc(64 * MIB))
    assert before - free_bytes() >= 64 * MIB
    round_trip(pointer, 4 * KIB)
    ok(driver.cuMemFree(pointer))
    assert free_bytes() == before


def test_too_much_is_refused_and_harmless():
    before = free_bytes()
    result, _ = driver.cuMemAlloc(1 << 45)
    assert result == OUT_OF_MEMORY
    assert free_bytes() == before
    ok(driver.cuMemFree(ok(driver.cuMemAlloc(MIB))))


@pytest.mark.parametrize("size_bytes", [0])
def test_a_wrong_size_is_refused(size_bytes):
    assert driver.cuMemAlloc(size_bytes)[0] == driver.CUresult.CUDA_ERROR_INVALID_VALUE


def test_wild_and_double_frees():
    wild = driver.CUdeviceptr(0x1234500000)
    assert driver.cuMemFree(wild)[0] == driver.CUresult.CUDA_ERROR_INVALID_VALUE
    ok(driver.cuMemFree(driver.CUdeviceptr(0)))
    pointer = ok(driver.cuMemAlloc(MIB))
    ok(driver.cuMemFree(pointer))
    assert driver.cuMemFree(pointer)[0] == driver.CUresult.CUDA_ERROR_INVALID_VALUE


def test_pitched_rows_are_wide_enough():
    pointer, pitch = ok(driver.cuMemAllocPitch(1000, 64, 4))
    assert pitch >= 1000
    round_trip(pointer, 64 * pitch)
    ok(driver.cuMemFree(pointer))


def test_managed_memory_says_so():
    attach = driver.CUmemAttach_flags.CU_MEM_ATTACH_GLOBAL.value
    pointer = ok(driver.cuMemAllocManaged(MIB, attach))
    managed = driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_IS_MANAGED
    assert ok(driver.cuPointerGetAttribute(managed, pointer))
    round_trip(pointer, 4 * KIB)
    ok(driver.cuMemFree(pointer))


def test_host_memory_is_known_to_the_device():
    pointer = ok(driver.cuMemHostAlloc(MIB, driver.CU_MEMHOSTALLOC_DEVICEMAP))
    assert int(ok(driver.cuMemHostGetDevicePointer(pointer, 0))) != 0
    ok(driver.cuMemFreeHost(pointer))


def test_address_range_of_a_pointer_inside():
    pointer = ok(driver.cuMemAlloc(3 * MIB))
    base, size = ok(driver.cuMemGetAddressRange(driver.CUdeviceptr(int(pointer) + MIB)))
    assert (int(base), size) == (int(pointer), 3 * MIB)
    ok(driver.cuMemFree(pointer))


def test_array_takes_memory_and_gives_it_back():
    before = free_bytes()
    shape = driver.CUDA_ARRAY_DESCRIPTOR()
    shape.Width, shape.Height, shape.NumChannels = 4096, 2048, 1
    shape.Format = driver.CUarray_format.CU_AD_FORMAT_FLOAT
    array = ok(driver.cuArrayCreate(shape))
    assert before - free_bytes() >= 32 * MIB
    ok(driver.cuArrayDestroy(array))
    assert free_bytes() == before


def test_stream_ordered_memory_stays_with_its_pool(device, stream):
    pool = ok(driver.cuDeviceGetDefaultMemPool(device))
    reserved = driver.CUmemPool_attribute.CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT
    used = driver.CUmemPool_attribute.CU_MEMPOOL_ATTR_USED_MEM_CURRENT
    pointer = ok(driver.cuMemAllocAsync(8 * MIB, stream))
    assert int(ok(driver.cuMemPoolGetAttribute(pool, used))) >= 8 * MIB
    ok(driver.cuMemFreeAsync(pointer, stream))
    ok(driver.cuStreamSynchronize(stream))
    ok(driver.cuMemPoolTrimTo(pool, 0))
    assert int(ok(driver.cuMemPoolGetAttribute(pool, used))) == 0
    assert int(ok(driver.cuMemPoolGetAttribute(pool, reserved))) == 0


def test_pool_of_ones_own(device, stream):
    properties = driver.CUmemPoolProps()
    properties.allocType = driver.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
    properties.location = location(device)
    before = free_bytes()
    pool = ok(driver.cuMemPoolCreate(properties))
    pointer = ok(driver.cuMemAllocFromPoolAsync(32 * MIB, pool, stream))
    ok(driver.cuStreamSynchronize(stream))
    round_trip(pointer, 4 * KIB)
    ok(driver.cuMemFreeAsync(pointer, stream))
    ok(driver.cuStreamSynchronize(stream))
    ok(driver.cuMemPoolDestroy(pool))
    assert free_bytes() == before


def test_virtual_memory_lives_as_long_as_its_mapping(device):
    properties = driver.CUmemAllocationProp()
    properties.type = driver.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
    properties.location = location(device)
    option = driver.CUmemAllocationGranularity_flags.CU_MEM_ALLOC_GRANULARITY_MINIMUM
    granule = ok(driver.cuMemGetAllocationGranularity(properties, option))
    size_bytes = 16 * granule
    before = free_bytes()
    handle = ok(driver.cuMemCreate(size_bytes, properties, 0))
    address = ok(driver.cuMemAddressReserve(size_bytes, 0, 0, 0))
    ok(driver.cuMemMap(address, size_bytes, 0, handle, 0))
    access = driver.CUmemAccessDesc()
    access.location = location(device)
    access.flags = driver.CUmemAccess_flags.CU_MEM_ACCESS_FLAGS_PROT_READWRITE
    ok(driver.cuMemSetAccess(address, size_bytes, [access], 1))
    ok(driver.cuMemRelease(handle))
    assert before - free_bytes() >= size_bytes
    round_trip(address, 4 * KIB)
    ok(driver.cuMemUnmap(address, size_bytes))
    assert free_bytes() == before
    ok(driver.cuMemAddressFree(address, size_bytes))


def test_captured_allocation_is_made_at_launch(device, stream):
    mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    ok(driver.cuStreamBeginCapture(stream, mode))
    pointer = ok(driver.cuMemAllocAsync(8 * MIB, stream))
    ok(driver.cuMemFreeAsync(pointer, stream))
    graph = ok(driver.cuStreamEndCapture(stream))
    runnable = ok(driver.cuGraphInstantiate(graph, 0))
    ok(driver.cuGraphLaunch(runnable, stream))
    ok(driver.cuStreamSynchronize(stream))
    ok(driver.cuGraphExecDestroy(runnable))
    ok(driver.cuGraphDestroy(graph))
    ok(driver.cuDeviceGraphMemTrim(device))
    current = driver.CUgraphMem_attribute.CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT
    assert int(ok(driver.cuDeviceGetGraphMemAttribute(device, current))) == 0


def test_event_times_a_copy(stream):
    first, last = ok(driver.cuEventCreate(0)), ok(driver.cuEventCreate(0))
    pointer = ok(driver.cuMemAlloc(MIB))
    ok(driver.cuEventRecord(first, stream))
    ok(driver.cuMemsetD8Async(pointer, 7, MIB, stream))
    ok(driver.cuEventRecord(last, stream))
    ok(driver.cuEventSynchronize(last))
    assert ok(driver.cuEventElapsedTime(first, last)) >= 0
    ok(driver.cuMemFree(pointer))
    for event in (first, last):
        ok(driver.cuEventDestroy(event))


CHILD = """
import sys
from cuda.bindings import driver
assert driver.cuInit(0)[0] == 0
context = driver.cuDevicePrimaryCtxRetain(driver.cuDeviceGet(0)[1])[1]
assert driver.cuCtxSetCurrent(context)[0] == 0
handle = driver.CUipcMemHandle()
handle.reserved = bytes.fromhex(sys.argv[1])
result, pointer = driver.cuIpcOpenMemHandle(handle, 1)
assert result == 0, result
back = bytearray(8)
assert driver.cuMemcpyDtoH(back, pointer, 8)[0] == 0
assert driver.cuIpcCloseMemHandle(pointer)[0] == 0
print(back.decode())
"""


def test_another_process_reads_the_memory():
    pointer = ok(driver.cuMemAlloc(MIB))
    ok(driver.cuMemcpyHtoD(pointer, b"neighbor", 8))
    handle = bytes(ok(driver.cuIpcGetMemHandle(pointer)).reserved)
    child = [sys.executable, "-c", CHILD, handle.hex()]
    done = subprocess.run(child, capture_output=True, text=True, timeout=60)
    assert done.stdout == "neighbor\n", done.stderr
    ok(driver.cuMemFree(pointer))


def test_a_context_costs_and_gives_back(device):
    before = free_bytes()
    try:
        context = ok(driver.cuCtxCreate(None, 0, device))  # CUDA 13
    except TypeError:
        context = ok(driver.cuCtxCreate(0, device))
    pointer = ok(driver.cuMemAlloc(MIB))
    ok(driver.cuMemFree(pointer))
    ok(driver.cuCtxDestroy(context))
    assert free_bytes() == before

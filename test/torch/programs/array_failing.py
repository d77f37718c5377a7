"""Runs out of GPU memory with arrays of CuPy, numba or JAX, and without PyTorch: array_failing.py CASE. Prints what the
program notices."""

import ctypes
import os
import sys
import threading

import numpy

MIB = 1 << 20
FITS_ALONE, FITS_NEVER = 3 << 30, 1 << 40


def driver(library=ctypes.CDLL):
    """The CUDA driver: ctypes.CDLL gives up the GIL for each call, ctypes.PyDLL keeps it."""
    cuda, context = library("libcuda.so.1"), ctypes.c_void_p()
    assert cuda.cuInit(0) == 0
    assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert cuda.cuCtxSetCurrent(context) == 0
    return cuda


def allocate(cuda, size):
    address = ctypes.c_uint64()
    code = cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(size))
    return code, address.value


def fail(cuda, size=FITS_ALONE):
    print("code", allocate(cuda, size)[0], flush=True)


def numba_array(mib, device=0):
    from numba import cuda

    with cuda.gpus[device]:
        return cuda.device_array((mib, MIB // 8))


def cupy_array(cuda, mib):
    """Over memory that CuPy has not taken itself, since for that it needs NVIDIA's runtime."""
    import cupy

    code, address = allocate(cuda, mib * MIB)
    assert code == 0
    memory = cupy.cuda.UnownedMemory(address, mib * MIB, None, 0)
    return cupy.ndarray((mib * MIB // 4,), "f4", memptr=cupy.cuda.MemoryPointer(memory, 0))


# ---- with arrays on the GPU ----


def numba_list():
    """Until there is no more."""
    history = []
    scratch = numba_array(16)
    try:
        while True:
            history.append(numba_array(256))
    except Exception as error:
        print(type(error).__name__, len(history), len(scratch), flush=True)


def cupy_list():
    cuda = driver()
    history = [cupy_array(cuda, 100) for _ in range(20)]
    fail(cuda)
    print(len(history))


def cupy_gil():
    cuda = driver(ctypes.PyDLL)
    history = [cupy_array(cuda, 100) for _ in range(20)]
    fail(cuda)
    print(len(history))


def of_library():
    """A function of an installed package holds them while it calls the program."""
    names = {}
    code = "def solve(make, call):\n    blocks = [make() for _ in range(20)]\n    call()\n    return len(blocks)\n"
    exec(compile(code, "/opt/venv/lib/python3/site-packages/solver/pool.py", "exec"), names)
    cuda = driver()
    print(names["solve"](lambda: cupy_array(cuda, 100), lambda: fail(cuda)))


def cupy_in_exception():
    cuda = driver()

    def step():
        activations = [cupy_array(cuda, 100) for _ in range(20)]
        raise ValueError(len(activations))

    try:
        step()
    except ValueError as error:
        kept_error = error
    fail(cuda)
    print(kept_error)


def kept_gil():
    """Another thread has the GIL until the call has returned."""
    cuda = driver()
    history = [cupy_array(cuda, 100) for _ in range(20)]
    probe = os.environ["CENSUS_PROBE"]
    told, tell = os.pipe()
    done, end = os.pipe()
    call = ctypes.cast(cuda.cuMemAlloc_v2, ctypes.c_void_p)

    def wait_and_fail():
        assert cuda.cuCtxSetCurrent(context) == 0
        code = ctypes.CDLL(probe).census_call_when_told(told, end, call, ctypes.c_size_t(FITS_ALONE))
        print("code", code, flush=True)

    context = ctypes.c_void_p()
    assert cuda.cuCtxGetCurrent(ctypes.byref(context)) == 0
    thread = threading.Thread(target=wait_and_fail)
    thread.start()
    os.read(done, 1)  # it is in C
    ctypes.PyDLL(probe).census_tell_and_wait(tell, done)
    thread.join()
    print(len(history))


# ---- what looks like it ----


def numpy_only():
    """The libraries are loaded and have nothing on the GPU."""
    import cupy  # noqa: F401
    from numba import cuda as numba_cuda  # noqa: F401

    history = [numpy.zeros(MIB) for _ in range(20)]
    cuda = driver()
    kept = [allocate(cuda, 100 * MIB) for _ in range(20)]
    fail(cuda)
    print(len(history), len(kept))


def other_gpu():
    history = [numba_array(100, 1) for _ in range(20)]
    fail(driver(), FITS_NEVER)
    print(len(history))


def deleted():
    history = [numba_array(100) for _ in range(20)]
    cuda = driver()
    history.clear()
    fail(cuda, FITS_NEVER)


def jax_on_cpu():
    import jax.numpy

    history = [jax.numpy.zeros(MIB) for _ in range(20)]
    fail(driver(), FITS_NEVER)
    print(len(history))


def no_library():
    fail(driver(), FITS_NEVER)


globals()[sys.argv[1]]()

"""Arrays of CuPy, numba or JAX, and what the census says of them: census_arrays.py LIBRARY. A line of JSON for each
moment, with what the library itself says: the bytes and the pieces of memory. PyTorch is not loaded."""

import json
import sys

import census_probe

EACH = 8000


def say(memory):
    """`memory`: all there is, as {what tells a piece: its bytes}."""
    said = [sum(memory.values()), len(memory)]
    print(json.dumps({"truth": said, "census": census_probe.take([])}), flush=True)


def jax():
    """On the CPU, where it keeps its arrays in the same way."""
    import jax.numpy

    def memory():
        live = [array for array in jax.live_arrays() if not array.is_deleted()]
        return {id(array): array.nbytes for array in live}

    history = [jax.numpy.zeros(EACH // 4) for _ in range(5)]
    say(memory())
    history[1].delete()
    say(memory())


def numba():
    from numba import cuda

    history = [cuda.device_array(EACH // 8) for _ in range(5)]
    part = history[0][10:20]
    again = history[1].reshape(10, EACH // 80)
    say({i: EACH for i in range(5)})
    history[0] = None  # the part keeps it, through a weak proxy: it is freed when the part ends
    managed = [cuda.managed_array(EACH // 8)]
    mapped = cuda.mapped_array(EACH // 8)
    say({i: EACH for i in range(7)})


def cupy():
    """Over memory that is not CuPy's own, since it needs NVIDIA's runtime to take any."""
    import cupy

    memory = {}

    def array(size):
        address = 0x7F0000000000 + 16384 * len(memory)
        memory[address] = 16384
        piece = cupy.cuda.UnownedMemory(address, 16384, None, 0)
        return cupy.ndarray((size,), "f4", memptr=cupy.cuda.MemoryPointer(piece, 0))

    history = [array(EACH // 4) for _ in range(5)]
    part = cupy.ndarray((10,), "f4", memptr=history[0].data + 40)
    say(memory)


globals()[sys.argv[1]]()

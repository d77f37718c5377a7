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
    """On the CPU, which passes for two devices, where it keeps its arrays in the same way."""
    import os

    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    import jax.numpy
    import numpy

    def memory():
        live = [array for array in jax.live_arrays() if not array.is_deleted()]
        return {id(array): array.nbytes for array in live}

    history = [jax.numpy.zeros(EACH // 4) for _ in range(5)]
    say(memory())
    history[1].delete()
    say(memory())

    census_probe.set_device(0)  # of a GPU, and the host is none
    say({})
    census_probe.set_device(1, "cpu")
    first, second = jax.devices()
    elsewhere = jax.device_put(numpy.zeros(EACH // 4, "f4"), second)
    mesh = jax.sharding.Mesh(numpy.array([first, second]), "x")
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    halves = jax.device_put(numpy.zeros(EACH // 4, "f4"), split)
    say({"elsewhere": EACH, "half": EACH // 2})
    census_probe.set_device(0, "cpu")
    here = [array for array in jax.live_arrays() if array.devices() == {first}]
    say({**{id(array): array.nbytes for array in here if not array.is_deleted()}, "half": EACH // 2})
    del elsewhere, halves


def numba():
    import numpy
    from numba import cuda

    history = [cuda.device_array(EACH // 8) for _ in range(5)]
    part = history[0][10:20]
    again = history[1].reshape(10, EACH // 80)
    say({i: EACH for i in range(5)})
    history[0] = None  # the part keeps it, through a weak proxy: it is freed when the part ends
    managed = [cuda.managed_array(EACH // 8)]
    mapped = cuda.mapped_array(EACH // 8)
    say({i: EACH for i in range(7)})
    with cuda.gpus[1]:
        elsewhere = [cuda.device_array(EACH // 8) for _ in range(2)]
    borrowed = cuda.as_cuda_array(elsewhere[0])  # somebody else's memory, as far as numba knows
    census_probe.set_device(1)
    say({i: EACH for i in range(2)})
    census_probe.set_device(0)  # neither what the driver moves nor what lies on the host
    say({i: EACH for i in range(5)})
    host = numpy.zeros((1000, 1000))
    del part, again
    history.clear()
    say({})
    del host, managed, mapped, borrowed


def cupy():
    """Over memory that is not CuPy's own, since it needs NVIDIA's runtime to take any."""
    import cupy

    memory = {}

    def array(size):
        address = 0x7F0000000000 + 8192 * len(memory)
        memory[address] = 8192
        piece = cupy.cuda.UnownedMemory(address, 8192, None, 0)
        return cupy.ndarray((size,), "f4", memptr=cupy.cuda.MemoryPointer(piece, 0))

    history = [array(EACH // 4) for _ in range(5)]
    part = cupy.ndarray((10,), "f4", memptr=history[0].data + 40)
    say(memory)
    owner = cupy.cuda.UnownedMemory(0x7E0000000000, 8192, None, 1)
    elsewhere = cupy.ndarray((EACH // 4,), "f4", memptr=cupy.cuda.MemoryPointer(owner, 0))
    census_probe.set_device(0)
    say(memory)
    census_probe.set_device(1)
    say({0: 8192})
    del elsewhere, owner
    say({})
    del part


globals()[sys.argv[1]]()

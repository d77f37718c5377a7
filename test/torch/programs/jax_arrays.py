"""JAX on the GPUs, with what needs no kernel: jax_arrays.py there | fill [MIB] | compiled. Prints what JAX says."""

import sys

import jax
import numpy as np


def there():
    for device in jax.devices():
        numbers = jax.device_put(np.arange(1 << 20, dtype=np.int32), device)
        print(device.platform, device.id, numbers.nbytes, int(np.asarray(numbers).sum()))


def layer(mib):
    return jax.device_put(np.zeros((mib << 20,), np.uint8)).block_until_ready()


def fill(mib):
    kept = []
    try:
        while len(kept) < 100:
            kept.append(layer(mib))
    except jax.errors.JaxRuntimeError as error:
        print(str(error).partition(":")[0], "after", len(kept))


def compiled():
    """Its kernel does not run: only the result's size is one."""
    print(jax.jit(lambda x: x * 2)(jax.device_put(np.ones((64,), np.float32))).shape)


case, *arguments = sys.argv[1:]
globals()[case](*map(int, arguments))

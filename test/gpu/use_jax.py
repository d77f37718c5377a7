"""JAX: takes most of the GPU before its first array, computes, and asks for too much."""

import re

import jax
import jax.numpy as jnp

print("jax", jax.__version__, jax.devices()[0].platform)
print("sum", float(jnp.arange(1 << 20, dtype=jnp.float32).sum()))
try:
    jnp.zeros((1 << 44,), dtype=jnp.uint8).block_until_ready()
    print("no error")
except Exception as error:  # its type is not public in all versions
    print(type(error).__name__, re.sub(r"0x[0-9a-f]+", "ADDRESS", str(error).splitlines()[0]))
print("works on", float(jnp.ones(1 << 10).sum()))

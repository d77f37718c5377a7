"""CuPy: takes memory, gives it back, and catches a deliberate out-of-memory error."""

import cupy

print("cupy", cupy.__version__)
held = [cupy.full(1 << 20, i, dtype=cupy.float32) for i in range(20)]
print("held", sum(array.nbytes for array in held), [float(array[0]) for array in held])
held.clear()
pool = cupy.get_default_memory_pool()
pool.free_all_blocks()
print("in the pool", pool.total_bytes())
_, total_bytes = cupy.cuda.runtime.memGetInfo()
try:
    cupy.empty(2 * total_bytes, dtype=cupy.uint8)
    print("no error")
except cupy.cuda.memory.OutOfMemoryError as error:
    print(type(error).__name__, error)
print("works on", float(cupy.ones(1 << 20, dtype=cupy.float32)[-1]))

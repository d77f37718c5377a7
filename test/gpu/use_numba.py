"""numba: takes memory, copies, and catches a deliberate out-of-memory error; driver API only."""

import numpy
from numba import cuda
from numba.cuda.cudadrv.driver import CudaAPIError

data = numpy.arange(1 << 20, dtype=numpy.float32)
held = [cuda.to_device(data + i) for i in range(20)]
print("copied back", [float(array.copy_to_host()[1]) for array in held])
held.clear()
total_bytes = cuda.current_context().get_memory_info().total
try:
    cuda.device_array(2 * total_bytes, dtype=numpy.uint8)
    print("no error")
except CudaAPIError as error:
    print(type(error).__name__, error)
print("works on", float(cuda.to_device(data).copy_to_host()[7]))

"""Allocates 10 MiB of GPU memory and ends."""

import ctypes

driver = ctypes.CDLL("libcuda.so.1")
context, address = ctypes.c_void_p(), ctypes.c_uint64()
for error in (
    driver.cuInit(0),
    driver.cuCtxCreate_v2(ctypes.byref(context), 0, 0),
    driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(10 << 20)),
):
    if error:
        raise SystemExit("error %d" % error)

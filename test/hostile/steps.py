"""What steps.c's scenario "failing" does, from Python: its stacks are captured and named."""

import ctypes

driver = ctypes.CDLL("libcuda.so.1")
address, context = ctypes.c_uint64(), ctypes.c_void_p()


def say(what, result):
    print(what, result, flush=True)


def take(size):
    say("alloc", driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(size)))


say("init", driver.cuInit(0))
say("retain", driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0))
say("current", driver.cuCtxSetCurrent(context))
for size in (4096, 16 << 20):
    take(size)
    say("free", driver.cuMemFree_v2(address))
take(1 << 20)
take(1 << 40)
print("went on", flush=True)
raise SystemExit(3)

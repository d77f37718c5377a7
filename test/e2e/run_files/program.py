"""Runs out of memory, is rescued, sets marks, and ends as it is told: exit, kill, _exit."""
import ctypes
import os
import signal
import sys

MIB = 1 << 20
driver = ctypes.CDLL("libcuda.so.1")
guard = ctypes.CDLL(None)


def take(mib):
    pointer = ctypes.c_uint64()
    return driver.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(mib * MIB)), pointer


class Model:
    def load(self):
        return [take(40) for _ in range(3)]

    def step(self):
        return take(8)


def main(end):
    context = ctypes.c_void_p()
    driver.cuInit(0)
    driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)
    driver.cuCtxSetCurrent(context)
    model = Model()
    weights = model.load()
    guard.vramguard_mark(b"loaded")
    kept = [model.step() for _ in range(6)]
    print([code for code, _ in kept])
    guard.vramguard_mark(b"epoch 1")
    print(take(300)[0], take(100)[0], take(1000)[0])
    if end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "_exit":
        os._exit(4)
    sys.exit(3)


main(sys.argv[1])

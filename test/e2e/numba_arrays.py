"""numba's device arrays as a census finds them, without numba: classes of these names in modules of these
names, whose objects say where they lie."""

import gc  # as such libraries do: before Python 3.12 a census asks it for all objects
import sys
import types


class Thing:
    def __init__(self, **members):
        self.__dict__.update(members)


class DeviceNDArrayBase(Thing):
    pass


class MemoryPointer(Thing):
    pass


def publish(name, kind):
    module = types.ModuleType(name)
    setattr(module, kind.__name__, kind)
    sys.modules[name] = module


assert gc.isenabled()
publish("numba.cuda.cudadrv.devicearray", DeviceNDArrayBase)
publish("numba.cuda.cudadrv.driver", MemoryPointer)


def make_array(size_bytes, device=0):
    context = Thing(device=Thing(id=device))
    memory = MemoryPointer(size=size_bytes, context=context, _owner=None)
    return DeviceNDArrayBase(gpu_data=memory, shape=(size_bytes,), dtype=None)

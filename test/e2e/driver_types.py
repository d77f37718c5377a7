"""Structures of the driver API, for test programs."""

import ctypes

size, ptr = ctypes.c_size_t, ctypes.c_void_p


class Location(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("id", ctypes.c_int)]


class AllocationProp(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("handle_types", ctypes.c_int), ("location", Location),
                ("win32", ptr), ("flags", ctypes.c_ubyte * 8)]


class PoolProps(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("handle_types", ctypes.c_int), ("location", Location),
                ("win32", ptr), ("max_size", size), ("usage", ctypes.c_ushort),
                ("reserved", ctypes.c_ubyte * 54)]


def Array2D(number):
    """CUDA_ARRAY_DESCRIPTOR, of the first version with 32-bit numbers."""
    fields = [("width", number), ("height", number), ("format", ctypes.c_int),
              ("channels", ctypes.c_uint)]
    return type("Array2D", (ctypes.Structure,), {"_fields_": fields})


def Array3D(number):
    fields = [("width", number), ("height", number), ("depth", number), ("format", ctypes.c_int),
              ("channels", ctypes.c_uint), ("flags", ctypes.c_uint)]
    return type("Array3D", (ctypes.Structure,), {"_fields_": fields})


class AccessDesc(ctypes.Structure):
    _fields_ = [("location", Location), ("flags", ctypes.c_int)]

"""The structures that calls of the driver take, for ctypes."""

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


class Array2D(ctypes.Structure):
    _fields_ = [("width", size), ("height", size), ("format", ctypes.c_int),
                ("channels", ctypes.c_uint)]


class Array3D(ctypes.Structure):
    _fields_ = [("width", size), ("height", size), ("depth", size), ("format", ctypes.c_int),
                ("channels", ctypes.c_uint), ("flags", ctypes.c_uint)]


class AccessDesc(ctypes.Structure):
    _fields_ = [("location", Location), ("flags", ctypes.c_int)]

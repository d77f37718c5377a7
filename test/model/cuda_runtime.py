"""The few calls of the CUDA runtime that the model scripts need, through ctypes.

Runs on any libcudart.so of CUDA 12 or 13, NVIDIA's or the simulated GPU's. Facts are from
the "CUDA Runtime API" reference: sections Device Management, Memory Management and Error
Handling.

As a program, prints the runtime it found and what GPU 0 has: exit code 1 if there is none.
"""

import argparse
import contextlib
import ctypes
import glob
import os
import re
import site
import sys
import sysconfig

SONAMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so")

SUCCESS = 0
ERROR_MEMORY_ALLOCATION = 2
ERROR_INSUFFICIENT_DRIVER = 35
HOST_TO_DEVICE = 1
DEVICE_TO_HOST = 2

PROTOTYPES = {
    "cudaDriverGetVersion": [ctypes.POINTER(ctypes.c_int)],
    "cudaRuntimeGetVersion": [ctypes.POINTER(ctypes.c_int)],
    "cudaGetDeviceCount": [ctypes.POINTER(ctypes.c_int)],
    "cudaSetDevice": [ctypes.c_int],
    "cudaMemGetInfo": [ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)],
    "cudaMalloc": [ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t],
    "cudaFree": [ctypes.c_void_p],
    "cudaMemcpy": [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int],
    "cudaGetLastError": [],
}


class CudaError(RuntimeError):
    """A runtime call failed; `code` is its cudaError_t."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


class OutOfMemoryError(CudaError):
    """The device has no room for an allocation."""


def format_bytes(count):
    """Return a size as people write it: 119.23 MiB."""
    for unit in ("GiB", "MiB", "KiB"):
        size = 1 << {"GiB": 30, "MiB": 20, "KiB": 10}[unit]
        if count >= size:
            return "%.2f %s" % (count / size, unit)
    return "%d B" % count


def parse_bytes(text):
    """Return the bytes of a size such as 600MiB, 2GiB or 4096; an argparse error otherwise."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMG]iB|B)?", text)
    if not match:
        raise argparse.ArgumentTypeError('"%s" is not a size such as 600MiB or 2GiB' % text)
    scale = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[match[2]]
    return int(float(match[1]) * scale)


def usual_places():
    """Yield libraries in the places where toolkits and Python packages install them."""
    folders = [sysconfig.get_paths()["purelib"]]
    folders += [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    folders += getattr(site, "getsitepackages", list)()
    for folder in dict.fromkeys(folders):
        for soname in SONAMES:
            yield from sorted(glob.glob(os.path.join(folder, "nvidia", "*", "lib", soname)))
    for soname in SONAMES:
        for pattern in ("/usr/local/cuda/lib64", "/usr/local/cuda-*/lib64", "/opt/cuda*/lib64"):
            yield from sorted(glob.glob(os.path.join(pattern, soname)), reverse=True)


def open_libraries():
    """Yield every runtime that loads, the dynamic loader's own choice first."""
    for name in (*SONAMES, *usual_places()):
        with contextlib.suppress(OSError):
            yield name, ctypes.CDLL(name)


class Runtime:
    """One loaded runtime. A failing call raises CudaError or OutOfMemoryError."""

    def __init__(self):
        """Load the first runtime that the installed driver can serve."""
        refusal = None
        for name, library in open_libraries():
            self._bind(name, library)
            count = ctypes.c_int()
            code = self._library.cudaGetDeviceCount(ctypes.byref(count))
            if code == SUCCESS and count.value > 0:
                return
            refusal = refusal or CudaError(
                "%s finds no GPU: %s" % (name, self.describe(code)), code
            )
            if code != ERROR_INSUFFICIENT_DRIVER:
                break
        raise refusal or CudaError("no %s found" % " or ".join(SONAMES), None)

    def _bind(self, name, library):
        self.path = name
        self._library = library
        for function, arguments in PROTOTYPES.items():
            getattr(library, function).argtypes = arguments
            getattr(library, function).restype = ctypes.c_int
        for function in ("cudaGetErrorName", "cudaGetErrorString"):
            getattr(library, function).argtypes = [ctypes.c_int]
            getattr(library, function).restype = ctypes.c_char_p

    def describe(self, code):
        """Return an error code in the runtime's own words."""
        name = self._library.cudaGetErrorName(code).decode()
        return "%s (%s)" % (self._library.cudaGetErrorString(code).decode(), name)

    def _check(self, function, code):
        if code == SUCCESS:
            return
        self._library.cudaGetLastError()  # an allocation failure is not sticky: clear it
        error = OutOfMemoryError if code == ERROR_MEMORY_ALLOCATION else CudaError
        raise error("%s: %s" % (function, self.describe(code)), code)

    def _integer(self, function):
        value = ctypes.c_int()
        self._check(function, getattr(self._library, function)(ctypes.byref(value)))
        return value.value

    def version(self):
        """Return the runtime's version as text: 13.0."""
        number = self._integer("cudaRuntimeGetVersion")
        return "%d.%d" % (number // 1000, number % 1000 // 10)

    def device_count(self):
        return self._integer("cudaGetDeviceCount")

    def set_device(self, index):
        self._check("cudaSetDevice", self._library.cudaSetDevice(index))

    def memory_info(self):
        """Return (free bytes, total bytes) of the current device."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        code = self._library.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
        self._check("cudaMemGetInfo", code)
        return free.value, total.value

    def malloc(self, size_bytes):
        """Return the address of new device memory."""
        pointer = ctypes.c_void_p()
        code = self._library.cudaMalloc(ctypes.byref(pointer), size_bytes)
        self._check("cudaMalloc", code)
        return pointer.value

    def free(self, pointer):
        self._check("cudaFree", self._library.cudaFree(pointer))

    def copy_to_device(self, pointer, host_address, size_bytes):
        code = self._library.cudaMemcpy(pointer, host_address, size_bytes, HOST_TO_DEVICE)
        self._check("cudaMemcpy", code)

    def copy_to_host(self, host_address, pointer, size_bytes):
        code = self._library.cudaMemcpy(host_address, pointer, size_bytes, DEVICE_TO_HOST)
        self._check("cudaMemcpy", code)


def main():
    try:
        runtime = Runtime()
        free, total = runtime.memory_info()
    except CudaError as error:
        print(error, file=sys.stderr)
        return 1
    print(
        "%s, CUDA %s: GPU 0 has %s, %s free"
        % (runtime.path, runtime.version(), format_bytes(total), format_bytes(free))
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

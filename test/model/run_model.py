#!/usr/bin/env python3
"""Load a safetensors checkpoint onto GPU 0, tensor by tensor, and verify it there.

What a framework does when it loads a model, without the framework: each tensor gets its own
cudaMalloc and cudaMemcpy. Afterwards every tensor is read back and its CRC-32 compared with
the file's. When the GPU is full it fails as frameworks do: an exception with a traceback,
exit code 1.
"""

import argparse
import ctypes
import json
import mmap
import os
import struct
import sys
import time
import zlib

from cuda_runtime import OutOfMemoryError, Runtime, format_bytes, parse_bytes

READ_BACK_BYTES = 16 << 20
EXTRA_CHUNK_BYTES = 64 << 20
PROGRESS_STEP = 100


class Checkpoint:
    """A safetensors file, mapped read-only in effect: writes would stay in this process."""

    def __init__(self, path):
        with open(path, "rb") as file:
            (header_bytes,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(header_bytes))
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        header.pop("__metadata__", None)
        self.name = os.path.basename(path)
        self._data_start = 8 + header_bytes
        self.tensors = {name: entry["data_offsets"] for name, entry in header.items()}
        self.size_bytes = sum(end - begin for begin, end in self.tensors.values())
        # A ctypes object over the first byte is the way to the address of the mapping.
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def address(self, name):
        return self._base + self._data_start + self.tensors[name][0]

    def size(self, name):
        begin, end = self.tensors[name]
        return end - begin

    def checksum(self, name):
        begin, end = (self._data_start + offset for offset in self.tensors[name])
        with memoryview(self._map) as view, view[begin:end] as tensor:
            return zlib.crc32(tensor)


class Device:
    """GPU 0 and what this program has put there."""

    def __init__(self, runtime):
        self._runtime = runtime
        self._allocated_bytes = 0
        self._allocations = 0
        runtime.set_device(0)

    def allocate(self, size_bytes):
        try:
            pointer = self._runtime.malloc(size_bytes)
        except OutOfMemoryError as error:
            raise self._out_of_memory(size_bytes, error) from None
        self._allocated_bytes += size_bytes
        self._allocations += 1
        return pointer

    def _out_of_memory(self, size_bytes, error):
        free, total = self._runtime.memory_info()
        message = (
            "CUDA out of memory. Tried to allocate %s. GPU 0 has a total capacity of %s of "
            "which %s is free. This program holds %s in %d allocations. (%s)"
        ) % (
            format_bytes(size_bytes),
            format_bytes(total),
            format_bytes(free),
            format_bytes(self._allocated_bytes),
            self._allocations,
            error,
        )
        return OutOfMemoryError(message, error.code)

    def to_device(self, host_address, size_bytes):
        """Return the address of a copy on the GPU."""
        pointer = self.allocate(size_bytes)
        self._runtime.copy_to_device(pointer, host_address, size_bytes)
        return pointer

    def checksum(self, pointer, size_bytes):
        """Return the CRC-32 of device memory, read back in pieces."""
        piece = (ctypes.c_char * min(size_bytes, READ_BACK_BYTES))()
        crc = 0
        for offset in range(0, size_bytes, READ_BACK_BYTES):
            count = min(READ_BACK_BYTES, size_bytes - offset)
            self._runtime.copy_to_host(piece, pointer + offset, count)
            crc = zlib.crc32(memoryview(piece)[:count], crc)
        return crc

    def release(self, pointers):
        for pointer in pointers:
            self._runtime.free(pointer)


def load_state_dict(checkpoint, device):
    """Return {tensor name: device address} with every tensor of the checkpoint loaded."""
    weights = {}
    loaded_bytes = 0
    for name in checkpoint.tensors:
        weights[name] = device.to_device(checkpoint.address(name), checkpoint.size(name))
        loaded_bytes += checkpoint.size(name)
        if len(weights) % PROGRESS_STEP == 0 or len(weights) == len(checkpoint.tensors):
            print(
                "  %d of %d tensors, %s"
                % (len(weights), len(checkpoint.tensors), format_bytes(loaded_bytes)),
                flush=True,
            )
    return weights


def allocate_buffers(device, size_bytes):
    """Return buffers as activations or optimizer state would take them."""
    buffers = []
    for offset in range(0, size_bytes, EXTRA_CHUNK_BYTES):
        buffers.append(device.allocate(min(EXTRA_CHUNK_BYTES, size_bytes - offset)))
    return buffers


def verify(checkpoint, device, weights):
    """Read every tensor back; return a checksum over all; ValueError names a wrong one."""
    total = 0
    for name, pointer in weights.items():
        expected = checkpoint.checksum(name)
        actual = device.checksum(pointer, checkpoint.size(name))
        if actual != expected:
            raise ValueError(
                "%s: crc32 %08x in the file, %08x on the GPU" % (name, expected, actual)
            )
        total = zlib.crc32(struct.pack("<I", actual), total)
    return total


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="a .safetensors file")
    parser.add_argument("--copies", type=int, default=1, metavar="N", help="load the model N times")
    parser.add_argument(
        "--extra", type=parse_bytes, default=0, metavar="SIZE", help="take buffers too: 2GiB"
    )
    parser.add_argument(
        "--hold", type=float, default=0, metavar="SECONDS", help="keep everything for a while"
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    checkpoint = Checkpoint(arguments.checkpoint)
    device = Device(Runtime())
    print(
        "loading %s: %d tensors, %s"
        % (checkpoint.name, len(checkpoint.tensors), format_bytes(checkpoint.size_bytes)),
        flush=True,
    )
    copies = []
    for _ in range(arguments.copies):
        copies.append(load_state_dict(checkpoint, device))
    buffers = allocate_buffers(device, arguments.extra)
    checksums = {verify(checkpoint, device, weights) for weights in copies}
    print(
        "verified %d tensors, %d bytes, crc32 %s"
        % (
            arguments.copies * len(checkpoint.tensors),
            arguments.copies * checkpoint.size_bytes,
            " ".join("%08x" % checksum for checksum in checksums),
        ),
        flush=True,
    )
    time.sleep(arguments.hold)
    device.release(buffers)
    for weights in copies:
        device.release(weights.values())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The census of build/test/torch/census_probe.so, for the programs of test_census*.py.

What is live comes from PyTorch's own snapshot: at a failure an observer of ours in Python takes it, just before the
library's."""

import ctypes
import json
import os
import sys
import time

library = ctypes.PyDLL(os.environ["CENSUS_PROBE"])
_kept = None
_platform = None


def set_blocks(blocks):
    """Make pairs of address and bytes what is live."""
    global _kept
    _kept = (ctypes.c_uint64 * (2 * len(blocks)))(*(number for block in blocks for number in block))
    library.census_set_blocks(_kept, ctypes.c_size_t(len(blocks)))


def set_device(number, jax_platform="gpu"):
    """Let arrays of other libraries count on this GPU only; -1: on all."""
    global _platform
    _platform = ctypes.c_char_p(jax_platform.encode())
    library.census_set_device(ctypes.c_int(number), _platform)


def active_blocks():
    """Of PyTorch's caching allocator, as (address, bytes)."""
    import snapshot

    return [
        (block["address"], block["size"])
        for segment in snapshot.segments()
        for block in segment["blocks"]
        if block["state"].startswith("active")
    ]


def storage_of(tensor):
    """Its address and bytes, also in PyTorch before 2.0."""
    whole = tensor.untyped_storage() if hasattr(tensor, "untyped_storage") else tensor.storage()
    return whole.data_ptr(), whole.nbytes()


def take(blocks=None, budget_ms=20000):
    """The census now, as json.loads gives it."""
    set_blocks(active_blocks() if blocks is None else blocks)
    out = ctypes.create_string_buffer(1 << 20)
    code = library.census_take(
        ctypes.c_uint64(budget_ms * 1000000), out, ctypes.c_size_t(len(out))
    )
    assert code == 0, code
    return json.loads(out.value.decode())


def request(blocks):
    """The same as a thread asks for it that gives the GIL up: another takes it."""
    set_blocks(blocks)
    out = ctypes.create_string_buffer(1 << 20)
    code = ctypes.CDLL(os.environ["CENSUS_PROBE"]).census_request(ctypes.c_uint(0), out, ctypes.c_size_t(len(out)))
    assert code == 0, code
    return json.loads(out.value.decode())


def attach(path, wait_s=20):
    """Let each failure of PyTorch's add a line to the file. CUDA is in use already."""
    import torch

    def observer(*failure):
        if not sys.is_finalizing():  # else with what was live the last time
            set_blocks(active_blocks())

    if not hasattr(torch._C, "_cuda_attach_out_of_memory_observer"):
        sys.exit("this PyTorch has no torch._C._cuda_attach_out_of_memory_observer")
    torch._C._cuda_attach_out_of_memory_observer(observer)
    library.census_attach(str(path).encode())
    until = time.monotonic() + wait_s
    while library.census_attachment() != 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert library.census_attachment() == 2

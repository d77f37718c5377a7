import os

import torch

_initialized = False
calls = 0


def is_initialized():
    return _initialized


def empty_cache():
    global calls
    calls += 1
    if os.environ.get("TORCH_RAISES"):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    old = os.environ.get("TORCH_KEEPS_GIL")
    code = torch._gil.empty_cache_with_gil() if old else torch._gil.empty_cache_without_gil()
    assert code == 0, code


def set_device(index):
    torch._nogil.cudaSetDevice(index)

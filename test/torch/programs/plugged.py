"""Keeps tensors until the GPU is full: plugged.py [LIBRARY], whose plug_in_malloc then stands in for PyTorch's
allocator."""

import sys

import torch

if len(sys.argv) > 1 and not hasattr(torch.cuda.memory, "CUDAPluggableAllocator"):
    sys.exit("this PyTorch has no CUDAPluggableAllocator")
if len(sys.argv) > 1:
    allocator = torch.cuda.memory.CUDAPluggableAllocator(sys.argv[1], "plug_in_malloc", "plug_in_free")
    torch.cuda.memory.change_current_allocator(allocator)


def step(history):
    history.append(torch.empty(25 << 20, dtype=torch.uint8, device="cuda"))
    return history[-1].data_ptr() != 0


def main():
    history = []
    while step(history):
        pass
    print("full after", len(history))


main()

"""Triton: compiles a kernel, loads its module through the driver, runs it on PyTorch's tensors, and works
on after a deliberate out-of-memory error."""

import torch
import triton
import triton.language as tl


@triton.jit
def add(x, y, out, count, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    tl.store(out + at, tl.load(x + at, mask=inside) + tl.load(y + at, mask=inside), mask=inside)


def run(count):
    x = torch.arange(count, device="cuda", dtype=torch.float32)
    out = torch.empty_like(x)
    add[(triton.cdiv(count, 1024),)](x, x, out, count, BLOCK=1024)
    return bool(torch.equal(out, x + x))


print("triton", triton.__version__)
print("right", run(100_000))
try:
    torch.empty(2 * torch.cuda.get_device_properties(0).total_memory, dtype=torch.uint8, device="cuda")
    print("no error")
except torch.cuda.OutOfMemoryError as error:
    print(type(error).__name__)
print("works on", run(1_000))

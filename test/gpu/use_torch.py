"""PyTorch: takes memory, gives it back, and catches a deliberate out-of-memory error. Prints only
what is the same on every run on an otherwise idle GPU."""

import re

import torch

MIB = 1 << 20

print("torch", torch.__version__, torch.cuda.get_device_name(0))
held = [torch.full((1 << 20,), float(i), device="cuda") for i in range(20)]
print("sum", sum(float(tensor.sum()) for tensor in held))
print("allocated", torch.cuda.memory_allocated() // MIB, "MiB")
held.clear()
torch.cuda.empty_cache()
print("allocated after", torch.cuda.memory_allocated() // MIB, "MiB")

free_bytes, _ = torch.cuda.mem_get_info()
size_bytes = int(free_bytes * 0.6) // (512 * MIB) * 512 * MIB
first = torch.empty(size_bytes, dtype=torch.uint8, device="cuda")
try:
    torch.empty(size_bytes, dtype=torch.uint8, device="cuda")
    print("no error")
except torch.cuda.OutOfMemoryError as error:
    print(type(error).__name__, re.sub(r"Process \d+", "Process PID", str(error)))
del first
torch.cuda.empty_cache()
again = torch.ones(1 << 20, device="cuda")
print("works on", float(again.sum()))

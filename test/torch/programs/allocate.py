"""What one allocation and free of PyTorch cost that reach the driver, at a Python depth of 16: ns, the
best of many rounds."""

import sys
import time

import torch

COUNT, ROUNDS = 200, int(sys.argv[1])


def deep(depth):
    if depth:
        return deep(depth - 1)
    best = 1e9
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(COUNT):
            torch.cuda.caching_allocator_delete(torch.cuda.caching_allocator_alloc(64 << 20))
            torch.cuda.empty_cache()
        best = min(best, (time.perf_counter() - begin) / COUNT)
    return best


torch.empty(1, device="cuda")
torch.cuda.empty_cache()
print("%.0f" % (deep(15) * 1e9))

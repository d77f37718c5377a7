"""accelerate's find_executable_batch_size: tries smaller and smaller batches until one fits. Prints the
sizes tried on stdout and the time it took, in ms, on stderr."""

import sys
import time

import torch
from accelerate.utils import find_executable_batch_size

ITEM_BYTES = 32 << 20
tried = []


@find_executable_batch_size(starting_batch_size=128)
def train(batch_size):
    tried.append(batch_size)
    weights = torch.empty(64 << 20, dtype=torch.uint8, device="cuda")
    batch = [torch.empty(ITEM_BYTES, dtype=torch.uint8, device="cuda") for _ in range(batch_size)]
    return len(weights) + len(batch)


torch.cuda.init()
torch.empty(1, device="cuda")
begin = time.monotonic()
train()
print("took %.1f ms" % ((time.monotonic() - begin) * 1e3), file=sys.stderr)
print("tried", tried)

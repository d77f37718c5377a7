"""Runs out of memory again and again, at random, and goes on each time. argv: a seed, a number of failures, and
optionally a fraction of the GPU that PyTorch may use. Prints how often PyTorch gave up, and how often it had to
empty its cache, as its own statistics say, and what vramguard recorded."""

import random
import sys

import run_file
import torch

MIB = 1 << 20
chance = random.Random(int(sys.argv[1]))
failures = int(sys.argv[2])
if len(sys.argv) > 3:
    torch.cuda.set_per_process_memory_fraction(float(sys.argv[3]))
kept, gave_up = [], 0
while gave_up < failures:
    try:
        size = chance.choice((3, 17, 100, 300, 700, 20000)) * MIB
        kept.append(torch.empty(size, dtype=torch.int8, device="cuda"))
    except torch.cuda.OutOfMemoryError:
        gave_up += 1
        for _ in range(chance.randrange(1 + len(kept))):
            kept.pop(chance.randrange(len(kept)))
stats = torch.cuda.memory_stats()
file = run_file.own()
print("gave up", gave_up, stats["num_ooms"], "retries", stats["num_alloc_retries"] > gave_up)
print("recorded", file.start.failure_count, file.totals[0].refused_count)

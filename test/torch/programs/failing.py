"""How long an allocation takes that no policy can help: more than the GPU has. Prints the first and the
median in µs of many, and how many failed: failing.py COUNT [LINES]. Before, LINES lines allocate 20 MiB each."""

import sys
import time

import torch

COUNT = int(sys.argv[1])
times = []
torch.empty(1, device="cuda")
lines = int(sys.argv[2]) if len(sys.argv) > 2 else 0
kept = []
exec(compile("kept.append(torch.empty(20 << 20, dtype=torch.uint8, device='cuda'))\n" * lines, "lines.py", "exec"))
for _ in range(COUNT):
    begin = time.perf_counter()
    try:
        torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
    except torch.cuda.OutOfMemoryError:
        times.append(time.perf_counter() - begin)
first = times[0]
times.sort()
print("failed %d, first %.0f us, median %.0f us" % (len(times), first * 1e6, times[len(times) // 2] * 1e6))

"""Has used 3 GiB, which PyTorch keeps in its cache, and waits for the end of its input: a notebook that is
left open, say. Of the README's line about what is given back."""

import sys

import torch

torch.empty(3 << 30, dtype=torch.uint8, device="cuda")
print("idle", flush=True)
sys.stdin.read()

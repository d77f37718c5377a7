"""Runs out of memory in the ways that advice is given for.

    advice_program.py widened FILE   loads a .safetensors file, each number in twice its bytes
    advice_program.py growing        keeps 4 MiB with each step, of which it makes some six a second
    advice_program.py burst          takes nearly all at once, and after 3.5 seconds what is left
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "model"))
from cuda_runtime import Runtime  # noqa: E402
from run_model import Checkpoint  # noqa: E402

MIB = 1 << 20


def widened(runtime, path):
    checkpoint = Checkpoint(path)
    return [runtime.malloc(2 * checkpoint.size(name)) for name in checkpoint.tensors]


def step(runtime, history):
    history.append(runtime.malloc(4 * MIB))


def growing(runtime, pause_s):
    history = []
    while True:
        step(runtime, history)
        time.sleep(pause_s)


def burst(runtime):
    history = []
    for _ in range(20):
        step(runtime, history)
    time.sleep(3.5)
    growing(runtime, 0)


def main():
    runtime = Runtime()
    runtime.set_device(0)
    if sys.argv[1] == "widened":
        widened(runtime, sys.argv[2])
    elif sys.argv[1] == "burst":
        burst(runtime)
    else:
        growing(runtime, 0.16)


if __name__ == "__main__":
    main()

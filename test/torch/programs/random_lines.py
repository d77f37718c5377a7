"""Writes itself a program of many lines at random that allocate in many ways, keeps what they make for as long
as chance has it, and goes on after each out-of-memory. argv: a seed, a number of steps, how many numbers a tensor has at most,
and "wait": then it says "ready" at its end, and goes on when its input ends."""

import random
import sys
import threading

import torch

WAYS = [
    "torch.empty({n}, device=d)",
    "torch.zeros(({n}, 3), dtype=torch.float16, device=d)",
    "[torch.empty({n}, device=d) for _ in range(3)]",
    "other(torch.empty({n}, device=d))",
    "torch.empty({n}, device=d).clone()",
    "(lambda: torch.empty({n}, device=d))()",
    "next(torch.empty({n}, device=d) for _ in range(1))",
    "torch.nn.Linear({small}, {small}).to(d)",
    "in_thread(lambda: torch.empty({n}, device=d))",
    "trained(torch.empty({n}, device=d, requires_grad=True))",
    "torch.randn({n}).to(d)",
    "torch.cat([torch.empty({n}, device=d)] * 2)",
    "recursive({small} % 70, {n}, d)",
]


def other(tensor):
    return tensor, torch.empty_like(tensor)


def in_thread(make):
    made = []
    thread = threading.Thread(target=lambda: made.append(make()))
    thread.start()
    thread.join()
    return made


def trained(tensor):
    (tensor * 2).sum().backward()
    return tensor


def recursive(depth, n, d):
    return torch.empty(n, device=d) if depth == 0 else recursive(depth - 1, n, d)


def program(chance, most):
    """Functions of a line or two, in files that nobody has."""
    functions = []
    for number in range(40):
        way = chance.choice(WAYS).format(n=chance.randrange(1, most), small=chance.randrange(1, 300))
        text = "%sdef line_%d(d):\n    return %s\n" % ("\n" * chance.randrange(5), number, way)
        names = dict(globals())
        exec(compile(text, "/made/file_%d.py" % (number % 7), "exec"), names)
        functions.append(names["line_%d" % number])
    return functions


def main():
    chance = random.Random(int(sys.argv[1]))
    functions, kept = program(chance, int(sys.argv[3]) if len(sys.argv) > 3 else 900000), []
    for _ in range(int(sys.argv[2])):
        device = torch.device("cuda", chance.randrange(torch.cuda.device_count()))
        try:
            kept.append(chance.choice(functions)(device))
        except torch.cuda.OutOfMemoryError:
            del kept[: len(kept) // 2]
        while kept and chance.random() < 0.3:
            kept.pop(chance.randrange(len(kept)))
    return kept


kept = main()  # for the comparison at the end
if "wait" in sys.argv:
    print("ready", flush=True)
    sys.stdin.read()

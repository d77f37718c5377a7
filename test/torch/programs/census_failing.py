"""Runs out of memory in forward, in backward, in the optimizer's first step or on a thread, with the census attached to
PyTorch: census_failing.py WHERE FILE. Prints how it ended; what the census saw is in the file."""

import os
import sys
import threading

import census_probe
import torch

MIB = 1 << 20


class Layer(torch.nn.Module):
    def __init__(self, mib):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(mib * MIB // 4))

    def forward(self, x):
        return torch.sigmoid(x * self.weight)


def net_of(mib, depth=4):
    return torch.nn.Sequential(*(Layer(mib) for _ in range(depth))).cuda()


def forward():
    net, history = net_of(8), []
    while True:
        history.append(net(torch.ones(8 * MIB // 4, device="cuda")).sum())


class Wants(torch.autograd.Function):
    """Its backward wants more than there is."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.empty(4096 * MIB, device="cuda", dtype=torch.uint8)


def backward():
    net = net_of(8)
    loss = net(Wants.apply(torch.ones(8 * MIB // 4, device="cuda", requires_grad=True))).sum()
    loss.backward()


def operator_in_backward():
    x = torch.ones(100 * MIB // 4, device="cuda", requires_grad=True)
    loss = (torch.sigmoid(x) * torch.sigmoid(x)).exp().sum()
    kept = torch.ones(250 * MIB, device="cuda", dtype=torch.uint8)
    loss.backward()


def step():
    net = net_of(60)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(60 * MIB // 4, device="cuda")).sum().backward()
    net(torch.ones(1, device="cuda"))
    optimizer.step()


def on_thread():
    errors = []

    def work():
        kept = []
        try:
            while True:
                kept.append(torch.empty(16 * MIB, device="cuda", dtype=torch.uint8))
        except torch.cuda.OutOfMemoryError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    raise errors[0]


def among_threads():
    """Beside threads that allocate and drop tensors all the time."""
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            try:
                kept = [torch.empty(1000, device="cuda") for _ in range(20)]
                (kept[0].requires_grad_() * 2).sum().backward()
            except torch.cuda.OutOfMemoryError:
                pass

    threads = [threading.Thread(target=churn) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        history = []
        while True:
            history.append(torch.empty(16 * MIB, device="cuda", dtype=torch.uint8))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    torch.empty(1, device="cuda")
    census_probe.attach(sys.argv[2])
    try:
        globals()[sys.argv[1]]()
    except torch.cuda.OutOfMemoryError as error:
        print(type(error).__name__, str(error)[:19], flush=True)
    os._exit(0)  # PyTorch itself aborts now and then at Python's end, after a backward

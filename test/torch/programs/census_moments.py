"""Runs out of memory at moments at which little may be done: census_moments.py MOMENT [FILE]. With a file the census is
attached to PyTorch and tells it; without one, a bare run. Prints what the program notices."""

import atexit
import gc
import os
import signal
import sys

import torch

MIB = 1 << 20
attached_to = sys.argv[2] if len(sys.argv) > 2 else None


def attach():
    torch.empty(1, device="cuda")
    if attached_to:
        import census_probe

        census_probe.attach(attached_to)


def fail(where):
    kept = torch.ones(64 * MIB, device="cuda", dtype=torch.uint8)
    try:
        torch.empty(4096 * MIB, device="cuda", dtype=torch.uint8)
    except torch.cuda.OutOfMemoryError as error:
        print(where, type(error).__name__, str(error)[:19], len(kept), flush=True)


class Dying:
    def __init__(self, where):
        self.where = where

    def __del__(self):
        fail(self.where)


def in_del():
    thing = Dying("in __del__")
    del thing


def in_collection():
    ring = [Dying("in a collected object's __del__")]
    ring.append(ring)
    del ring
    gc.collect()
    gc.callbacks.append(lambda phase, details: fail("in a callback, " + phase))
    gc.collect()
    gc.callbacks.pop()


def in_signal():
    signal.signal(signal.SIGUSR1, lambda number, frame: fail("in a signal handler"))
    os.kill(os.getpid(), signal.SIGUSR1)
    print("after the signal")


class Samples(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        attach()
        fail("in a worker")
        return index


def in_worker():
    loader = torch.utils.data.DataLoader(Samples(), num_workers=1, multiprocessing_context="spawn")
    print([int(index) for index in loader])


def in_forked_child():
    fail("in the parent")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            torch.empty(4096 * MIB, device="cuda", dtype=torch.uint8)
        except RuntimeError as error:
            print("in the child", type(error).__name__, str(error)[:33], flush=True)
        os._exit(3)
    print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    fail("in the parent again")


def at_exit():
    atexit.register(fail, "in an exit handler")
    globals()["left"] = Dying("at the end of a global")


def raising_observer():
    """One of the program's own, before or after ours."""

    def observer(*failure):
        print("observed", len(failure))
        raise ValueError("mine")

    torch._C._cuda_attach_out_of_memory_observer(observer)
    try:
        torch.empty(4096 * MIB, device="cuda", dtype=torch.uint8)
    except Exception as error:
        print(type(error).__name__, error)


def in_backward_hook():
    weight = torch.ones(10, device="cuda", requires_grad=True)
    weight.register_hook(lambda gradient: fail("in a hook"))
    (weight * 2).sum().backward()


def own_limit():
    torch.cuda.set_per_process_memory_fraction(0.1)
    fail("with a fraction")
    torch.cuda.set_per_process_memory_fraction(1.0)


def while_capturing():
    graph = torch.cuda.CUDAGraph()
    kept = torch.ones(10, device="cuda")
    try:
        with torch.cuda.graph(graph):
            more = kept * 2
            torch.empty(4096 * MIB, device="cuda", dtype=torch.uint8)
    except Exception as error:
        print("while capturing", type(error).__name__)
    torch.cuda.synchronize()


if __name__ == "__main__":
    attach()
    globals()[sys.argv[1]]()
    print("done", flush=True)
    if sys.argv[1] != "at_exit":
        os._exit(0)  # PyTorch itself aborts now and then at Python's end, after a backward

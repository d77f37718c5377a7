"""Makes any program of PyTorch's a comparison: with this folder on PYTHONPATH and TABLES naming another, PyTorch's
own history is on from its first use of the GPU, and each time that PyTorch gives up for want of memory (since 2.0), and
at the end, two files are left there: NAME.truth, what is live by PyTorch's history, a JSON list of
[device, bytes, [[file, line], ... innermost first]], and NAME.vgr, the run file of the same moment."""

import atexit
import gc
import importlib.abc
import importlib.util
import json
import os
import shutil
import sys

FRAMES_KEPT = 64  # the innermost, as vramguard keeps them
MOMENTS = 4  # of giving up: a program may do so for ever
state = {"torch": None, "moments": 0}


def own_run_file():
    with open("/proc/self/maps") as maps:
        for line in maps:
            if line.rstrip().endswith(".vgr"):
                return line.split(None, 5)[5].rstrip()
    return None


def live_blocks(snapshot):
    for _, device, block in snapshot.live_blocks():
        frames = snapshot.frames(block) or []
        yield [device, block["size"], [[f["filename"], f["line"]] for f in frames[:FRAMES_KEPT]]]


def keep(name):
    torch, path = state["torch"], own_run_file()
    if torch is None or path is None or not torch.cuda.is_initialized():
        return
    was_collecting = gc.isenabled()
    gc.disable()  # what it frees would be in one of the two
    try:
        base = os.path.join(os.environ["TABLES"], "%d-%s" % (os.getpid(), name))
        shutil.copyfile(path, base + ".vgr")
        with open(base + ".truth", "w") as out:
            json.dump(list(live_blocks(state["snapshot"])), out)
    finally:
        if was_collecting:
            gc.enable()


def gave_up(*_):
    if state["moments"] < MOMENTS:
        state["moments"] += 1
        keep("oom%d" % state["moments"])


def start(torch):
    where = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "programs", "snapshot.py")
    spec = importlib.util.spec_from_file_location("tables_snapshot", where)
    state["snapshot"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(state["snapshot"])
    state["snapshot"].record_history(400000)
    if hasattr(torch._C, "_cuda_attach_out_of_memory_observer"):  # since 2.0
        torch._C._cuda_attach_out_of_memory_observer(gave_up)
    state["torch"] = torch


class Finder(importlib.abc.MetaPathFinder):
    """Waits for `import torch`, and has what starts the history done with PyTorch's own first use of the GPU."""

    def find_spec(self, name, path=None, target=None):
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            module.cuda._lazy_call(lambda: start(module))

        spec.loader.exec_module = exec_module
        return spec


if "TABLES" in os.environ:
    sys.meta_path.insert(0, Finder())
    atexit.register(keep, "end")

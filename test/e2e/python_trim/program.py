"""A program on a framework that caches: `program.py MODE`. When it has made its cache it prints
"ready"; its standard input says "end" when the test is over. What it prints last is for the test."""

import ctypes
import gc
import os
import sys
import threading
import time

MIB = 1 << 20
mode = sys.argv[1]
framework = __import__(sys.argv[2] if len(sys.argv) > 2 else "torch")
ended = threading.Event()


def read_end():
    sys.stdin.readline()
    ended.set()


def fill(total=800, kept=0, part=200):
    """Use `total` MiB and give all but `kept` of it back to the framework's cache."""
    tensors = [framework.empty(part * MIB) for _ in range(total // part)]
    del tensors[kept // part:]
    return tensors


def say(*words):
    print(*words, flush=True)


def be_ready():
    threading.Thread(target=read_end, daemon=True).start()
    say("ready")


class Heart:
    """The longest time for which no Python ran."""

    def __init__(self):
        self.longest = 0.0
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self):
        last = time.monotonic()
        while True:
            time.sleep(0.005)
            now = time.monotonic()
            self.longest = max(self.longest, now - last)
            last = now


def threads():
    time.sleep(0.1)  # a thread names itself
    names = []
    for task in os.listdir("/proc/self/task"):
        with open("/proc/self/task/%s/comm" % task) as file:
            names.append(file.read().strip())
    return sorted(name for name in names if name.startswith("vramguard"))


def idle():
    kept = fill()
    be_ready()
    while not ended.is_set():
        time.sleep(60 if mode == "sleep" else 0.05)
    say(getattr(framework, "cuda", framework), len(kept))


def busy():
    kept = fill()
    be_ready()
    count = 0
    while not ended.is_set():
        count += 1
    say("busy", len(kept))


def refills():
    """Its cache fills again each time."""
    fill()
    be_ready()
    for count in (1, 2):
        while framework.cuda.calls < count and not ended.is_set():
            time.sleep(0.005)
        time.sleep(0.3)  # who asked has got it, and has ended
        fill()
        say("filled")
    ended.wait()


def churn():
    """It uses its memory anew all the time, and bears not getting it."""
    heart = Heart()
    fill()
    be_ready()
    while not ended.is_set():
        try:
            fill()
        except RuntimeError:
            pass
        time.sleep(0.02)
    say("calls", framework.cuda.calls, "longest", heart.longest)


def in_use():
    kept = fill(kept=800)
    be_ready()
    ended.wait()
    say("kept", len(kept))


def keeps_gil():
    """C code that keeps the GIL for three seconds."""
    fill()
    sleep = ctypes.PyDLL(None).usleep
    be_ready()
    time.sleep(0.1)
    sleep(3000000)
    ended.wait()
    say("calls", framework.cuda.calls)


def garbage():
    """Tensors in cycles that nobody collects."""
    gc.set_threshold(0)

    class Node:
        pass

    for _ in range(4):
        node = Node()
        node.self, node.tensor = node, framework.empty(200 * MIB)
        del node
    be_ready()
    ended.wait()
    say("garbage")


def fork():
    """A child of fork has no listener; its memory is its own to ask about."""
    child = os.fork()
    if child == 0:
        kept = fill(total=400)
        say("child", threads(), len(kept))
        os._exit(0)
    os.waitpid(child, 0)
    fill(total=800)
    before = threads()
    child = os.fork()
    if child == 0:
        say("second child", threads())
        time.sleep(60)
    be_ready()
    ended.wait()
    os.kill(child, 9)
    os.waitpid(child, 0)
    say("parent", before)


def ends():
    """Its end begins while its cache is emptied; each cudaFree takes its time."""
    fill(part=100)
    be_ready()
    while framework.cuda.calls == 0 and not ended.is_set():
        time.sleep(0.01)


def ends_slowly():
    """Asked while its exit handlers run."""
    import atexit

    fill()
    atexit.register(lambda: (say("ready"), time.sleep(1.5), say("calls", framework.cuda.calls)))


def fails():
    """One thread lacks memory and waits, the others go on."""
    kept = fill(total=400, kept=200)
    heart = Heart()
    result = []

    def take():
        begin = time.monotonic()
        try:
            framework.empty(450 * MIB)
            result.append("got it")
        except RuntimeError as error:
            result.append(str(error))
        result.append("%.1f" % (time.monotonic() - begin))

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    if mode == "fails":
        time.sleep(0.5)  # it waits by now
    be_ready()
    ended.wait()
    taker.join()
    say(*result, "longest %.1f" % heart.longest, "calls", framework.cuda.calls, len(kept))


def other_caller(dll):
    """Code that is not the framework's lacks memory which the framework only caches."""
    fill(part=200)
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from driver_calls import current_primary_context

    current_primary_context()
    library, address = dll("libcuda.so.1"), ctypes.c_uint64()
    begin = time.monotonic()
    code = library.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(500 * MIB))
    say(code, "calls", framework.cuda.calls, time.monotonic() - begin < 2)


def plugged():
    """PyTorch's allocator calls another one, with its lock held."""
    fill()
    other = ctypes.CDLL(os.path.join(os.environ["ALLOCATORS"], "cupy", "_core", "core.so"))
    address = ctypes.c_void_p()
    begin = time.monotonic()
    code = framework._nogil.plugged_malloc(ctypes.byref(address), ctypes.c_size_t(500 * MIB),
                                           other.plain_malloc)
    say(code, "calls", framework.cuda.calls, time.monotonic() - begin < 2)


def second_gpu():
    """It uses GPU 1 only: giving back must not make a context on GPU 0."""
    framework.cuda.set_device(1)
    fill()
    be_ready()
    ended.wait()
    say("calls", framework.cuda.calls)


def captures():
    """A graph is being captured."""
    fill()
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from driver_calls import call, current_primary_context

    current_primary_context()
    stream, graph = ctypes.c_void_p(), ctypes.c_void_p()
    call("cuStreamCreate", ctypes.byref(stream), 1)
    call("cuStreamBeginCapture_v2", stream, 0)
    be_ready()
    ended.wait()
    call("cuStreamEndCapture", stream, ctypes.byref(graph))
    say("calls", framework.cuda.calls)


def small():
    framework.empty(20 * MIB)
    say(threads())
    fill(total=100, part=50)
    say(threads())


MODES = {
    "idle": idle, "sleep": idle, "busy": busy, "churn": churn, "refills": refills, "in_use": in_use, "keeps_gil": keeps_gil,
    "garbage": garbage, "fork": fork, "ends": ends, "ends_slowly": ends_slowly, "fails": fails,
    "fails_late": fails, "without_gil": lambda: other_caller(ctypes.CDLL),
    "with_gil": lambda: other_caller(ctypes.PyDLL), "second_gpu": second_gpu,
    "plugged": plugged, "captures": captures, "small": small,
}

MODES[mode]()

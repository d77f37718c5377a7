"""Allocates from all kinds of Python code, and writes for each allocation what Python itself says
about the stack: lines of JSON [address, [[file, line, function], ...]], innermost first.

    stacks_program.py FOLDER MODE

MODE: once, threads, first, collected, fork, fork_threads, deep, exit. Runs on every Python from 3.6 on.
"""

import asyncio
import ctypes
import functools
import gc
import json
import os
import sys
import threading
import warnings
import weakref

BYTES = 512
ROUNDS = 20
TAKEN = []


def load_runtime():
    global RUNTIME
    RUNTIME = ctypes.CDLL("libcudart.so.13")
    RUNTIME.cudaMalloc.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t]


def stack_of(frame):
    frames = []
    while frame:
        frames.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return frames


def take():
    pointer = ctypes.c_void_p()
    error, frames = RUNTIME.cudaMalloc(pointer, BYTES), stack_of(sys._getframe())
    assert error == 0, error
    TAKEN.append((pointer.value, frames))
    return len(TAKEN)


def plain():
    take()
    take()
    def inner(): take()  # a function on one line
    inner()
    (
        take()
    )
    return [
        take()
        for _ in range(3)
    ], (lambda: take())()


def lines_far_apart():
    """Steps of more than 127 lines need several entries of a line table."""
    source = "def far():\n    take()\n%s    take()\n%s    take()\n" % ("\n" * 300, "\n" * 5000)
    run(source, "far.py", "far")


def generators():
    def produce():
        take()
        yield take()
        try:
            yield
        finally:
            take()

    def delegate():
        yield from produce()

    for _ in delegate():
        take()
    generator = produce()
    next(generator)
    generator.close()
    generator = delegate()
    next(generator)
    next(generator)
    try:
        generator.throw(KeyError)
    except KeyError:
        take()
    generator = produce()
    next(generator)
    next(generator)
    del generator  # closed by its end
    sum(1 for _ in (take() for _ in range(2)))


def exceptions():
    def fail():
        try:
            raise ValueError
        except ValueError:
            take()
            raise KeyError
        finally:
            take()

    try:
        fail()
    except KeyError as error:
        take()
        trace = error.__traceback__
        assert trace.tb_next
    with Context():
        take()


class Context:
    def __enter__(self):
        take()

    def __exit__(self, *_):
        take()


class Classes:
    def __init__(self):
        self.value

    @property
    def value(self):
        return take()

    def __del__(self):
        take()

    @functools.lru_cache(maxsize=None)
    def cached(self):
        take()


def through_c():
    sorted([1, 2], key=lambda _: take())
    list(map(middle, range(2)))
    functools.partial(middle, 1)()
    functools.reduce(lambda a, b: take(), [1, 2, 3])


def middle(_):
    return list(map(lambda _: take(), [1]))


def objects():
    class Body:
        take()

    Classes().cached()
    Classes.cached.cache_clear()
    ring = Classes()
    ring.itself = ring
    del ring
    gc.collect()


async def leaf():
    take()
    await asyncio.sleep(0)
    take()


async def items():
    for _ in range(2):
        take()
        yield await leaf()


async def tree():
    await asyncio.gather(leaf(), leaf())
    async for _ in items():
        take()
    async for _ in items():
        break  # the loop closes it in a task of its own
    task = asyncio.ensure_future(forever())
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        take()


async def forever():
    try:
        await asyncio.sleep(3600)
    finally:
        take()


def coroutines():
    loop = asyncio.new_event_loop()
    loop.run_until_complete(tree())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def run(source, file, name):
    names = {"take": take}
    exec(compile(source, file, "exec"), names)
    names[name]()


def forgotten_code():
    """Code objects are freed, and others come to lie at their addresses."""
    for i in range(40):
        run("def function_%d():\n    take()\n" % i, "made.py", "function_%d" % i)
    for i in range(40):
        run("def function():\n    take()\n", "file_%d.py" % i, "function")
    for i in range(40):
        run("def function():\n%s    take()\n" % ("\n" * i), "made.py", "function")
    for i in range(40):
        run("%sdef function():\n    take()\n" % ("\n" * i), "made.py", "function")
    run("def fünf_名():\n    take()\n", "ä/名前_\U0001f40d.py", "fünf_名")


def everything():
    for step in (plain, lines_far_apart, generators, exceptions, objects, through_c, coroutines,
                 forgotten_code):
        step()


class Ring:
    """Garbage that only the collector frees, and that takes memory when it is."""

    def __init__(self):
        self.itself = self
        weakref.finalize(self, middle, None)

    def __del__(self):
        take()


def make_garbage(depth):
    Ring()
    if depth > 0:
        make_garbage(depth - 1)
    return [[], {}, Ring()]


def collected():
    """The collector runs in the midst of whatever happens to make objects, and calls back itself."""
    def watch(phase, _):
        take()

    threshold = gc.get_threshold()
    gc.callbacks.append(watch)
    gc.set_threshold(20, 2, 2)
    try:
        for depth in range(8):
            make_garbage(depth)
            generators()
            exceptions()
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(watch)
    gc.collect()


def recurse(depth):
    if depth == 0:
        return take()
    return recurse(depth - 1)


def in_threads(rounds=ROUNDS):
    sys.setswitchinterval(1e-5)

    def work():
        for _ in range(rounds):
            everything()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def first_at_once():
    """The process's very first allocations, in many threads at the same time."""
    sys.setswitchinterval(1e-5)
    gate = threading.Barrier(8)

    def work():
        gate.wait()
        for _ in range(10):
            take()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def collected_in_threads():
    """What one thread has left behind another one collects."""
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=collected) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()


def with_child_of_threads():
    """Other threads are in the midst of Python code when the child is made, and are gone in it."""
    warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on Python warns of just this
    ended = threading.Event()

    def work():
        while not ended.is_set():
            sum(len([i]) for i in range(100))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    child = [os.fork() for _ in range(1)][0]  # within a frame of its own
    if child:
        ended.set()
        for thread in threads:
            thread.join()
    load_runtime()
    in_threads(1)
    everything()
    if child:
        assert os.waitpid(child, 0)[1] == 0


def with_child():
    child = os.fork()
    load_runtime()
    everything()
    if child:
        assert os.waitpid(child, 0)[1] == 0


def deep():
    for depth in (10, 61, 62, 63, 64, 200, 900):
        recurse(depth)


def at_exit():
    """Daemon threads are still allocating when the interpreter goes."""
    def work():
        while True:
            pointer = ctypes.c_void_p()
            RUNTIME.cudaMalloc(pointer, BYTES)
            RUNTIME.cudaFree(pointer)

    for _ in range(4):
        threading.Thread(target=work, daemon=True).start()
    for _ in range(50):
        take()


MODES = {
    "once": everything,
    "threads": in_threads,
    "first": first_at_once,
    "collected": collected_in_threads,
    "fork": with_child,
    "fork_threads": with_child_of_threads,
    "deep": deep,
    "exit": at_exit,
}


def main():
    folder, mode = sys.argv[1:]
    if mode not in ("fork", "fork_threads"):
        load_runtime()
    MODES[mode]()
    with open(os.path.join(folder, "%d.json" % os.getpid()), "w") as out:
        for taken in TAKEN:
            print(json.dumps(taken), file=out)


if __name__ == "__main__":
    main()

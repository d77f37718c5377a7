"""What threads are handling, as they themselves know and as handled_probe.so reads it: handled_program.py PROBE prints
where the two differ. Any Python 3."""

import ctypes
import sys
import threading

probe = ctypes.PyDLL(sys.argv[1])
api = ctypes.pythonapi
for function in (api.PyInterpreterState_Head, api.PyInterpreterState_ThreadHead, api.PyThreadState_Next,
                 api.PyThreadState_Get):
    function.restype = ctypes.c_void_p

expected = {}  # by the address of a thread's state
events, raised = [], set()
NONE = id(None)


def read(thread, wrong_by=0):
    """The addresses of the exceptions, innermost first; None: unknown."""
    out = (ctypes.c_size_t * 16)()
    del events[:]
    count = probe.handled_read(ctypes.c_size_t(thread), out, wrong_by)
    raised.update(event for event in events if not event.startswith("ctypes."))  # the call's own
    assert count >= -1, "no Python"
    return None if count < 0 else [value for value in out[:count] if value != NONE]


def threads():
    thread = api.PyInterpreterState_ThreadHead(ctypes.c_void_p(api.PyInterpreterState_Head()))
    while thread:
        yield thread
        thread = api.PyThreadState_Next(ctypes.c_void_p(thread))


def this():
    return id(sys.exc_info()[1])


def expect(*handled):
    expected[api.PyThreadState_Get()] = list(handled)


def nothing(wait):
    expect()
    wait()


def block(wait):
    try:
        raise KeyError(1)
    except KeyError:
        expect(this())
        wait()


def inner_block(wait):
    try:
        raise KeyError(1)
    except KeyError:
        block(wait)


def left_block(wait):
    try:
        raise KeyError(1)
    except KeyError:
        pass
    nothing(wait)


def generator(wait):
    def steps():
        outer = this()
        try:
            raise ValueError(1)
        except ValueError:
            expect(this(), outer)
            wait()
            yield 1

    try:
        raise KeyError(1)
    except KeyError:
        list(steps())


def generators(wait, depth=12):
    """Each handles one, but every third."""
    def steps(depth, *handled):
        if depth == 0:
            expect(*handled)
            wait()
        elif depth % 3 == 0:
            for _ in steps(depth - 1, *handled):
                yield 1
        else:
            try:
                raise ValueError(depth)
            except ValueError:
                for _ in steps(depth - 1, this(), *handled):
                    yield 1
        yield 2

    list(steps(depth))


def leaving(wait):
    """On the way out through a `finally`."""
    def fail():
        try:
            raise KeyError(1)
        finally:
            expect(this())
            wait()

    try:
        fail()
    except KeyError:
        pass


def compare(name):
    for thread in threads():
        found = read(thread)
        if found != expected.get(thread, []):
            print(name, "differs:", found, expected.get(thread))
        for wrong_by in (-8, 8, 16):
            if read(thread, wrong_by) not in (None, []):
                print(name, "read where nothing is:", wrong_by)


def main():
    ends, started = threading.Event(), []
    for work in (nothing, block, inner_block, left_block, generator, generators, leaving):
        waits = threading.Event()
        thread = threading.Thread(target=work, args=(lambda waits=waits: (waits.set(), ends.wait()),))
        thread.start()
        started.append(thread)
        waits.wait()
    if hasattr(sys, "addaudithook"):
        sys.addaudithook(lambda event, arguments: events.append(event))
    own = api.PyThreadState_Get()
    compare("main")
    for name, work in sorted(globals().items()):
        if work in (block, inner_block, generator, generators, leaving):
            work(lambda: compare(name))
            del expected[own]
    print(sorted(raised), len(expected), "threads")
    ends.set()
    for thread in started:
        thread.join()


main()

"""Variables of all kinds that hold tensors, and what the census says of each: a line of JSON with the case's name.

On the CPU: what is live is what the case says."""

import collections
import ctypes
import functools
import gc
import json
import sys
import threading

import census_probe
import torch

BYTES = 4096


def tensor():
    return torch.empty(BYTES // 4)


def blocks():
    """All tensors there are, by their storages; those of earlier cases are gone."""
    gc.collect()
    kinds = (torch.Tensor, torch.nn.Parameter)
    found = {census_probe.storage_of(thing) for thing in gc.get_objects() if type(thing) in kinds}
    return [block for block in found if block[1]]


def say(name):
    print(json.dumps({"case": name, "census": census_probe.take(blocks())}), flush=True)


def say_asked(name):
    print(json.dumps({"case": name, "census": census_probe.request(blocks())}), flush=True)


class Plain:
    pass


class Slots:
    __slots__ = ("kept", "other")


class Shop:
    shelf = []


def local_list():
    history = [tensor() for _ in range(70)]
    say("local list")


def local_tensor():
    x = tensor()
    say("local tensor")


def nested():
    state = {"past": [(tensor(), {"k": tensor()}) for _ in range(5)], "step": 3}
    say("nested")


def many_keys():
    sessions = {"user %d" % i: tensor() for i in range(100)}
    say("many keys")


def attribute():
    trainer = Plain()
    trainer.loop = Plain()
    trainer.loop.history = [tensor() for _ in range(5)]
    trainer.name = "a"
    say("attribute")


def two_attributes():
    trainer = Plain()
    trainer.first = [tensor() for _ in range(3)]
    trainer.second = collections.deque(tensor() for _ in range(4))
    say("two attributes")


def slots():
    kept = Slots()
    kept.kept = tensor()
    say("slots")


def closure():
    seen = [tensor()]

    def inner():
        return len(seen)

    say("closure")
    return inner


def inner_closure():
    def make():
        hidden = [tensor(), tensor()]
        return lambda: hidden

    call = make()
    say("inner closure")


def partial():
    call = functools.partial(print, tensor())
    say("partial")


def generator():
    def items():
        kept = tensor()
        yield 1
        yield kept

    steps = items()
    next(steps)
    say("generator")


def exception():
    def fail():
        activations = [tensor() for _ in range(3)]
        raise ValueError(len(activations))

    try:
        fail()
    except ValueError as error:
        caught = error
    later = [tensor()]
    say("exception")


def handled():
    def fail():
        activations = [tensor() for _ in range(3)]
        raise ValueError(len(activations))

    try:
        fail()
    except ValueError:
        later = [tensor()]
        say("handled")
    say("handled before")


def handled_further_out():
    def fail():
        activations = [tensor() for _ in range(3)]
        raise ValueError(len(activations))

    def again():
        try:
            raise KeyError(1)
        except KeyError:
            say("handled further out")

    try:
        fail()
    except ValueError:
        again()


def handled_no_more():
    """Another is handled, which was raised in the block and keeps it."""
    def fail():
        activations = [tensor() for _ in range(3)]
        raise ValueError(len(activations))

    def convert():
        try:
            raise KeyError(1)
        except KeyError as error:
            caught.append(error)

    def raise_again(caught):
        try:
            raise caught.pop()
        except KeyError:
            say("handled no more")

    caught = []
    try:
        fail()
    except ValueError:
        convert()  # without an argument: up to 3.10 the exception's address stays beyond the values in use
    raise_again(caught)


def handled_again():
    def fail():
        activations = [tensor() for _ in range(3)]
        raise ValueError(len(activations))

    def convert():
        try:
            fail()
        except ValueError:
            raise KeyError(1)

    try:
        convert()
    except KeyError:
        say("handled again")


def handled_by_name():
    def fail():
        activations = [tensor() for _ in range(3)]
        raise ValueError(len(activations))

    try:
        fail()
    except ValueError as error:
        say("handled by name")
        del error


def handled_outside_generator():
    """Each handles one, and neither is the other's context."""
    def fail():
        activations = [tensor() for _ in range(3)]
        raise ValueError(len(activations))

    def steps():
        try:
            raise KeyError(1)
        except KeyError:
            yield 1
            say("handled outside generator")
            yield 2

    running = steps()
    next(running)
    try:
        fail()
    except ValueError:
        next(running)


def handled_by_who_has_asked():
    """A thread that failed without the GIL: another takes the census."""
    def fail():
        activations = [tensor() for _ in range(3)]
        raise ValueError(len(activations))

    try:
        fail()
    except ValueError:
        say_asked("handled by who has asked")
        thread = threading.Thread(target=say_asked, args=("handled elsewhere than asked",))
        thread.start()
        thread.join()


def while_a_thread(does, name):
    """A case that is told while another thread waits in what it does, which gets a function to wait with, and one that
    fails."""
    waits, ends = threading.Event(), threading.Event()

    def wait():
        waits.set()
        ends.wait()

    def fail():
        activations = [tensor() for _ in range(3)]
        raise ValueError(len(activations))

    thread = threading.Thread(target=does, args=(wait, fail))
    thread.start()
    waits.wait()
    say(name)
    ends.set()
    thread.join()


def handled_elsewhere():
    def work(wait, fail):
        try:
            fail()
        except ValueError:
            wait()

    while_a_thread(work, "handled elsewhere")


def handled_elsewhere_further_out():
    def again(wait):
        try:
            raise KeyError(1)
        except KeyError:
            wait()

    def work(wait, fail):
        try:
            fail()
        except ValueError:
            again(wait)

    while_a_thread(work, "handled elsewhere further out")


def handled_elsewhere_in_generator():
    def steps(wait, fail):
        try:
            fail()
        except ValueError:
            wait()
            yield 1

    def work(wait, fail):
        try:
            raise KeyError(1)
        except KeyError:
            list(steps(wait, fail))

    while_a_thread(work, "handled elsewhere in generator")


def handled_elsewhere_outside_generators():
    """Generators that run for each other, with exceptions of their own or without."""
    def steps(wait, inner):
        try:
            raise KeyError(1)
        except KeyError:
            yield 1
            for _ in inner:
                yield 2
            wait()
            yield 3

    def work(wait, fail):
        running = steps(wait, steps(list, ()))
        next(running)
        try:
            fail()
        except ValueError:
            list(running)

    while_a_thread(work, "handled elsewhere outside generators")


def handled_by_both():
    """The failing thread has caught the same exception, and has left its block."""
    shared = []

    def work(wait, fail):
        try:
            fail()
        except ValueError:
            shared.append(sys.exc_info()[1])
            again_meanwhile()
            wait()

    def again_meanwhile():
        thread = threading.Thread(target=catch)
        thread.start()
        caught.wait()
        threads.append(thread)

    def catch():
        try:
            raise shared.pop()
        except ValueError:
            pass
        caught.set()
        told.wait()

    caught, told, threads = threading.Event(), threading.Event(), []
    while_a_thread(work, "handled by both")
    told.set()
    threads[0].join()


def left_elsewhere():
    def work(wait, fail):
        try:
            fail()
        except ValueError:
            pass
        wait()

    while_a_thread(work, "left elsewhere")


def last_value():
    def fail():
        activations = [tensor() for _ in range(3)]
        raise ValueError(len(activations))

    try:
        fail()
    except ValueError as error:
        sys.last_value = error
    say("last value")
    sys.last_value = None


def class_attribute():
    Shop.shelf.append(tensor())
    say("class attribute")
    Shop.shelf.clear()


def global_list():
    global kept_globally
    kept_globally = [tensor() for _ in range(2)]
    outermost()
    kept_globally = None


def outermost():
    say("global")


def other_module():
    census_probe.shelf = [tensor(), tensor()]
    say("other module's")
    del census_probe.shelf


def in_module():
    net = torch.nn.Sequential(torch.nn.Linear(8, 8))
    net[0].cache = [tensor() for _ in range(3)]
    say("in module")


def outer_first():
    shared = [tensor()]
    hand_on(shared)


def hand_on(given):
    own = [tensor(), given]
    say("outer first")


def other_thread():
    ready, done = threading.Event(), threading.Event()

    def work():
        kept = [tensor()]
        ready.set()
        done.wait()
        return kept

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    say("other thread")
    done.set()
    thread.join()


def library():
    torch.backends.kept_for_test = [tensor()]
    say("library")
    del torch.backends.kept_for_test


def graph():
    weight = torch.nn.Parameter(torch.ones(1024))
    losses = []
    for _ in range(3):
        h = torch.sigmoid(torch.ones(1024) * weight)
        losses.append(h.exp().sum())
    h = None
    say("graph")


def function_node():
    class Keeps(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            ctx.besides = tensor()
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    weight = torch.nn.Parameter(torch.ones(1024))
    kept = Keeps.apply(torch.exp(weight))
    say("function node")


def function_saves():
    class Saves(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, x.clone())
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    weight = torch.nn.Parameter(torch.ones(1024))
    kept = Saves.apply(weight)
    say("function saves")


def views():
    whole = torch.empty(1024)
    part = whole[10:20]
    again = whole.detach().view(32, 32)
    say("views")


def comprehension():
    def make(number):
        if number == 3:
            say("comprehension")
        return tensor()

    [make(number) for number in range(4)]


def iterated():
    for _ in iter([tensor(), tensor()]):
        say("iterated")
        return


class Ring:
    def __init__(self):
        self.kept = [tensor(), tensor()]
        self.me = self


def garbage():
    ring = Ring()
    found = blocks()
    del ring
    print(json.dumps({"case": "garbage", "census": census_probe.take(found)}), flush=True)


def held_ring():
    """As garbage, but that native code has a reference."""
    ring = Ring()
    found = blocks()
    kept = ctypes.py_object(ring)
    ctypes.pythonapi.Py_IncRef(kept)
    del ring, kept
    print(json.dumps({"case": "held ring", "census": census_probe.take(found)}), flush=True)
    for thing in [thing for thing in gc.get_objects() if type(thing) is Ring]:
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(thing))


def without_gc():
    """Before 3.12 the collector's objects are told by a module, which is not imported for it."""
    x = tensor()
    found = blocks()
    kept = sys.modules.pop("gc")
    census = {**census_probe.take(found), "python": sys.version_info[:2]}
    print(json.dumps({"case": "without gc", "census": census}), flush=True)
    sys.modules["gc"] = kept


def deleted_model():
    model = torch.nn.Linear(32, 32, bias=False)
    model.hook = model.forward
    found = blocks()
    del model
    print(json.dumps({"case": "deleted model", "census": census_probe.take(found)}), flush=True)


def shapes():
    kept = [tensor() for _ in range(3)]
    kept += [torch.empty(32, 32) for _ in range(2)]
    kept.append(torch.empty(BYTES // 8, dtype=torch.float64))
    kept.append(torch.empty(BYTES // 4, dtype=torch.int32))
    say("shapes")


def widths():
    layer = torch.nn.Linear(32, 32, bias=False).bfloat16()
    kept = [torch.empty(BYTES // 2, dtype=dtype) for dtype in (torch.float16, torch.int8, torch.int64)]
    kept += [torch.empty(BYTES // 4), torch.empty(BYTES // 8, dtype=torch.float64)]
    say("widths")
    return layer, kept


CASES = [
    local_list, local_tensor, nested, many_keys, attribute, two_attributes, slots, closure, inner_closure, partial,
    generator, exception, handled, handled_further_out, handled_no_more, handled_again, handled_by_name, handled_outside_generator,
    handled_by_who_has_asked, handled_elsewhere, handled_elsewhere_further_out, handled_elsewhere_in_generator,
    handled_elsewhere_outside_generators, handled_by_both, left_elsewhere, last_value,
    class_attribute, global_list, other_module, in_module, outer_first, other_thread, library,
    graph, function_node, function_saves, views, shapes, widths, comprehension, iterated, garbage, held_ring, deleted_model,
    without_gc,
]  # fmt: skip

if __name__ == "__main__":
    for case in CASES:
        case()

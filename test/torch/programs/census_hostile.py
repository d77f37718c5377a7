"""Objects and moments that a census must survive without running any of the program's code: each case a line, "NAME ok",
with what ran in the meantime, if anything did. Without CENSUS_PROBE nothing is taken: a bare run.

On the CPU; what is live are the case's tensors."""

import collections
import gc
import os
import sys
import threading
import types
import weakref

import torch

if "CENSUS_PROBE" in os.environ:
    import census_probe

ran = []
watching = False


def note(name):
    if watching:
        ran.append(name)


def take(*tensors, budget_ms=20000):
    """A census over these tensors; None in a bare run."""
    return take_blocks(list({storage_of(tensor) for tensor in tensors}), budget_ms)


def storage_of(tensor):
    whole = tensor.untyped_storage() if hasattr(tensor, "untyped_storage") else tensor.storage()
    return whole.data_ptr(), whole.nbytes()


def take_blocks(blocks, budget_ms=20000):
    global watching
    if "CENSUS_PROBE" not in os.environ:
        return None
    census_probe.set_blocks(blocks)
    watching = True
    census = census_probe.take(blocks, budget_ms)
    watching = False
    return census


def expect(census, path, blocks=1, place="local"):
    """The first variable of the census, and how many of the blocks it holds."""
    if census is None:
        return
    assert census["state"] == 1, census["state"]
    first = census["variables"][0] if census["variables"] else {}
    found = (first.get("path"), first.get("direct", [0, 0])[1] + first.get("graph", [0, 0])[1], first.get("place"))
    assert found == (path, blocks, place), (found, census["unnamed"])


class Absent(Exception):
    """This PyTorch does not have what the case is about."""


def need(thing, name):
    if not hasattr(thing, name):
        raise Absent(name)


class Meta(type):
    def __instancecheck__(cls, thing):
        note("instancecheck")
        return True

    def __subclasscheck__(cls, thing):
        note("subclasscheck")
        return True

    def __getattribute__(cls, name):
        note("meta getattribute " + name)
        return type.__getattribute__(cls, name)


class Hostile(metaclass=Meta):
    def __init__(self, kept):
        object.__setattr__(self, "kept", kept)

    @property
    def __class__(self):
        note("class")
        return torch.Tensor

    @property
    def __dict__(self):
        note("dict")
        raise RuntimeError("no dict")

    def __getattribute__(self, name):
        note("getattribute " + name)
        return object.__getattribute__(self, name)

    def __getattr__(self, name):
        note("getattr " + name)
        raise AttributeError(name)

    def __eq__(self, other):
        note("eq")
        return True

    def __hash__(self):
        note("hash")
        return 1

    def __len__(self):
        note("len")
        return 1 << 40

    def __iter__(self):
        note("iter")
        return iter(())

    def __bool__(self):
        note("bool")
        raise RuntimeError("no bool")

    def __repr__(self):
        note("repr")
        raise RuntimeError("no repr")

    __str__ = __repr__

    def __del__(self):
        note("del")


def hostile_object():
    x = torch.ones(100)
    thing = Hostile([x])
    del x
    (kept,) = object.__getattribute__(thing, "kept")
    census = take(kept)
    del kept
    expect(census, "thing.kept")


class Key(str):
    def __eq__(self, other):
        note("key eq")
        return True

    def __hash__(self):
        return hash("_parameters")


def hostile_keys():
    net = torch.nn.Linear(2, 2)
    net.__dict__[Key("a key")] = 1
    weights = {Key("state"): torch.ones(100)}
    for module in (types.ModuleType("a"), types.ModuleType("b")):
        module.__dict__[Key("x")] = 1
        sys.modules[module.__name__] = module
    sys.modules["hostile"] = Hostile(1)
    sys.modules["none"] = None
    try:
        census = take(weights[Key("state")])
    finally:
        for name in ("a", "b", "hostile", "none"):
            del sys.modules[name]
    expect(census, 'weights["state"]')


class HostileModule(torch.nn.Module):
    @property
    def _parameters(self):
        note("parameters")
        raise RuntimeError("no parameters")

    def __getattr__(self, name):
        note("module getattr")
        raise AttributeError(name)


def hostile_module():
    net = HostileModule.__new__(HostileModule)
    object.__setattr__(net, "held", torch.ones(100))
    net.__dict__["_modules"] = "not a dict"
    net.__dict__["_buffers"] = [1]
    net.__dict__["_parameters"] = None
    expect(take(net.__dict__["held"]), "net.held")


def module_ring():
    a, b = torch.nn.Module(), torch.nn.Module()
    a.child, b.child = b, a
    a.weight = torch.nn.Parameter(torch.ones(100))
    census = take(a.weight)
    expect(census, "a")
    if census:
        assert census["parameter"] == [400, 1]
        assert all(len(module["path"]) < 160 for module in census["modules"])


class ListOfMine(list):
    def __getitem__(self, index):
        note("getitem")
        raise RuntimeError

    __iter__ = __len__ = __getitem__


class DictOfMine(collections.OrderedDict):
    def items(self):
        note("items")
        raise RuntimeError

    keys = values = __iter__ = items


def containers():
    kept = ListOfMine([torch.ones(100)])
    other = DictOfMine()
    dict.__setitem__(other, "a", kept)
    expect(take(list.__getitem__(kept, 0)), "kept")


def weak():
    x = torch.ones(100)
    proxy, reference = weakref.proxy(x, lambda _: note("callback")), weakref.ref(x)
    keeper = weakref.WeakKeyDictionary({x: proxy})
    expect(take(x), "x")


def deep():
    chain = [torch.ones(100)]
    x = chain[0]
    for _ in range(300000):
        chain = [chain]
    census = take(x)
    expect(census, "chain")
    while isinstance(chain, list):  # link by link: to free it at once needs a deep stack
        chain = chain[0]


class Named(torch.Tensor):
    """Called for everything that is done with it."""

    @classmethod
    def __torch_function__(cls, function, kinds, arguments=(), named=None):
        note("torch_function")
        return super().__torch_function__(function, kinds, arguments, named or {})

    @property
    def grad_fn(self):
        note("grad_fn")

    @property
    def shape(self):
        note("shape")


class Wrapper(torch.Tensor):
    """No storage of its own; asks its Python code for its sizes and its device."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, dtype=inner.dtype, device=inner.device,
            dispatch_sizes_strides_policy="sizes", dispatch_device=True,
        )  # fmt: skip

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, function, kinds, arguments=(), named=None):
        note("torch_dispatch " + str(function))
        return function(*(a.inner if isinstance(a, Wrapper) else a for a in arguments), **(named or {}))


def subclasses():
    plain = torch.ones(100)
    named = plain.as_subclass(Named)
    census = take(plain)
    del plain
    expect(census, "plain")
    inner = torch.ones(100)
    wrapped = [Wrapper(inner)]
    keep = weakref.ref(inner)
    del inner
    census = take(keep())
    expect(census, "wrapped")


def modes():
    need(torch._C, "DisableTorchFunctionSubclass")
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Functions(TorchFunctionMode):
        def __torch_function__(self, function, kinds, arguments=(), named=None):
            note("function mode")
            return function(*arguments, **(named or {}))

    class Dispatches(TorchDispatchMode):
        def __torch_dispatch__(self, function, kinds, arguments=(), named=None):
            note("dispatch mode")
            return function(*arguments, **(named or {}))

    weight = torch.nn.Parameter(torch.ones(100))
    loss = (weight * 2).exp().sum()
    base = torch.ones(100, requires_grad=True).clone()
    view = base[10:]
    base.mul_(2)  # the view's graph is made anew when it is asked for
    with Functions(), Dispatches(), torch.device("cpu"):
        census = take(weight)
    expect(census, "weight")


def hooks():
    def pack(tensor):
        return [tensor.detach()]

    def unpack(packed):
        note("unpack")
        return packed[0]

    weight = torch.nn.Parameter(torch.ones(100))
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        loss = (weight * 2).exp().sum()
    loss.register_hook(lambda gradient: note("hook"))
    if hasattr(weight, "register_post_accumulate_grad_hook"):
        weight.register_post_accumulate_grad_hook(lambda tensor: note("accumulated"))
    expect(take(weight), "weight")


def fake():
    from torch._subclasses.fake_tensor import FakeTensorMode

    x = torch.ones(100)
    with FakeTensorMode() as mode:
        fakes = [torch.empty(1000, requires_grad=True) * 2 for _ in range(100)]
        census = take(x)
    expect(census, "x")


def functorch():
    need(torch, "func")
    x = torch.ones(10, 10)
    seen = []

    def inside(row):
        doubled = (row * 2).sum()
        seen.append(take(x))
        return doubled

    torch.func.vmap(torch.func.grad(inside))(x)
    torch.func.jvp(inside, (x[0],), (x[1],))
    for census in seen:
        expect(census, "x")


def released_graph():
    weight = torch.nn.Parameter(torch.ones(100))
    loss = (weight * 2).exp().prod()
    loss.backward()
    census = take(weight, weight.grad)
    expect(census, "weight", 2)


def in_del():
    seen = []
    x = torch.ones(100)

    class Dying:
        def __del__(self):
            seen.append(take(x))

    thing = Dying()
    del thing
    expect(seen[0], "x")


def in_collection():
    seen = []
    x = torch.ones(100)

    class Dying:
        def __del__(self):
            seen.append(take(x))

    ring = [Dying()]
    ring.append(ring)
    del ring

    def callback(phase, details):
        seen.append(take(x))

    gc.callbacks.append(callback)
    gc.collect()
    gc.callbacks.remove(callback)
    assert len(seen) >= 3
    for census in seen:
        expect(census, "x")


def in_signal():
    import signal

    seen = []
    x = torch.ones(100)
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(take(x)))
    os.kill(os.getpid(), signal.SIGUSR1)
    while not seen:
        pass
    signal.signal(signal.SIGUSR1, before)
    expect(seen[0], "x")


def collector_state():
    x = torch.ones(100)
    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        take(x)
        assert gc.isenabled() == enabled
    gc.enable()


def coroutine():
    import asyncio

    seen = []

    async def inner():
        kept = torch.ones(100)
        await asyncio.sleep(0)
        seen.append(take(kept))

    async def outer():
        await asyncio.gather(inner(), inner())

    asyncio.run(outer())
    for census in seen:
        assert census is None or (census["state"] == 1 and census["unnamed"] == [0, 0]), census


def traced():
    """Under a tracer and a profiler, which see every call of Python code."""
    x = torch.ones(100)

    def tracer(frame, event, argument):
        if watching and frame.f_code.co_filename == __file__:
            note("traced " + frame.f_code.co_name)
        return tracer

    sys.settrace(tracer)
    census = take(x)
    sys.settrace(None)
    ran[:] = [name for name in ran if not name.startswith("traced")]
    expect(census, "x")


def executed():
    """Code with globals and locals that are no module's."""
    space, seen = {"take": take, "torch": torch, "seen": seen_here()}, []
    exec("x = torch.ones(100)\nseen.append(take(x))", space)
    census = space["seen"][0]
    assert census is None or census["unnamed"] == [0, 0]


def seen_here():
    return []


def audited():
    """What other threads handle is seen without a word to the program's hooks. (Hooks stay for ever: these are told
    of this case alone.)"""
    need(sys, "addaudithook")
    watched, ends = threading.Event(), threading.Event()
    tells = True

    def work():
        try:
            fail()
        except ValueError:
            watched.set()
            ends.wait()

    def fail():
        x = torch.ones(100)
        blocks.append(storage_of(x))
        raise ValueError

    def hook(event, arguments):
        if tells and watching and event not in known:
            note("audit " + event)

    known = ["ctypes.create_string_buffer"]  # census_probe.py
    if sys.version_info < (3, 12):
        known.append("gc.get_objects")  # the one way to all objects
    blocks = []
    thread = threading.Thread(target=work)
    thread.start()
    watched.wait()
    sys.addaudithook(hook)
    census = take_blocks(blocks)
    tells = False
    ends.set()
    thread.join()
    expect(census, "", place="handled elsewhere")


def no_time():
    kept = [torch.ones(10) for _ in range(20000)]
    census = take(*kept, budget_ms=0)
    assert census is None or census["state"] == 2, census["state"]


CASES = [
    hostile_object, hostile_keys, hostile_module, module_ring, containers, weak, deep, subclasses, modes, hooks, fake,
    functorch, released_graph, in_del, in_collection, in_signal, collector_state, coroutine, traced, executed, audited, no_time,
]  # fmt: skip

if __name__ == "__main__":
    for case in CASES:
        if len(sys.argv) > 1 and case.__name__ not in sys.argv[1:]:
            continue
        try:
            case()
            said = "ok"
        except Absent:
            said = "absent"
        except Exception as error:
            said = "%s: %s" % (type(error).__name__, error)
        print(case.__name__, said, *ran, flush=True)
        ran.clear()

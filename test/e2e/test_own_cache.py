"""Programs that empty a cache of their own when the driver says no, and ask again: their first
failure is theirs at once, although a neighbour holds what is missing and stays."""

import sys
import textwrap

import pytest
from actors import DEVICE, Actor
from conftest import BUILD

CACHES = BUILD / "test" / "e2e" / "own_cache"
# Nobody waits so long here: a wait would be the end of the test.
LONG_WAIT = {"VRAMGUARD_POLICY": "trim,wait=10m", **DEVICE}
SHORT_WAIT = {"VRAMGUARD_POLICY": "trim,wait=300ms", **DEVICE}


def start_neighbour(machine, mib):
    machine.policy = None
    machine.settings = {}
    return Actor(machine).holding(mib)


@pytest.fixture
def neighbour(machine):
    return start_neighbour(machine, 600)


@pytest.mark.parametrize(
    "library", ["libc10_cuda.so", "libdrjit-core.so", "cupy/cuda/memory.so"]
)
def test_a_framework_gets_what_it_has_cached(machine, neighbour, library):
    result = machine.run([CACHES / "program", CACHES / library], guarded=True, **LONG_WAIT)
    assert result.stdout == "result 0\n", result.stderr
    assert result.guard_lines == []


def test_what_an_emptied_cache_has_brought_is_told(machine):
    """Not enough."""
    start_neighbour(machine, 700)
    result = machine.run([CACHES / "program", CACHES / "cupy/cuda/memory.so"], guarded=True, **SHORT_WAIT)
    assert result.stdout == "result 2\n", result.stderr
    assert "own cache: CuPy emptied its cache and asked again, +300 MiB" in " ".join(result.guard_text.split())


def test_also_behind_a_stranger(machine, neighbour):
    command = [CACHES / "program", CACHES / "libc10_cuda.so", CACHES / "libstranger.so"]
    result = machine.run(command, guarded=True, **LONG_WAIT)
    assert result.stdout == "result 0\n", result.stderr
    assert result.guard_lines == []


def test_others_wait_for_the_neighbour_first(machine, neighbour):
    """One that nobody knows: its first failure is waited for, in vain, and told."""
    command = [CACHES / "program", CACHES / "libplain.so"]
    result = machine.run(command, guarded=True, **SHORT_WAIT)
    assert result.stdout == "result 0\n", result.stderr
    assert "wait: nothing came free" in " ".join(result.guard_text.split())


@pytest.mark.parametrize(
    "allocator, said",
    [
        (None, "wait: skipped: this library asks for less by itself"),
        ("bfc", "wait: skipped: this library asks for less by itself"),
        ("platform", "wait: nothing came free"),
        ("cuda_async", "wait: nothing came free"),
    ],
)
def test_jax_without_its_pool_waits(machine, neighbour, allocator, said):
    """Its pool asks for less and less; without it JAX asks once, for what it needs."""
    command = [CACHES / "program", CACHES / "pjrt_plugin.so"]
    settings = {**SHORT_WAIT, "XLA_PYTHON_CLIENT_ALLOCATOR": allocator}
    result = machine.run(command, guarded=True, **settings)
    assert said in " ".join(result.guard_text.split())


ALLOCATORS = {
    "numba": (
        "numba/cuda/cudadrv/driver.py",
        """
        class HostOnlyCUDAMemoryManager:
            def _attempt_allocation(self, allocator):
                try:
                    return allocator()
                except MemoryError:
                    self.clear()
                    return allocator()
        Allocator = HostOnlyCUDAMemoryManager
        attempt = HostOnlyCUDAMemoryManager._attempt_allocation
        """,
    ),
    "tinygrad": (
        "tinygrad/device.py",
        """
        class LRUAllocator:
            def alloc(self, allocator):
                try:
                    return allocator()
                except MemoryError:
                    self.clear()
                    return allocator()
        Allocator = LRUAllocator
        attempt = LRUAllocator.alloc
        """,
    ),
}

PROGRAM = """
import importlib, sys
from driver_calls import *
module = importlib.import_module(sys.argv[1])
call("cuInit", 0)
current_primary_context()
code, cached = allocate(300 << 20)
manager = module.Allocator()
manager.clear = lambda: call("cuMemFree_v2", cached)
def allocator():
    code, address = allocate(350 << 20)
    if code:
        raise MemoryError
    return address
module.attempt(manager, allocator)
print("got it")
"""


@pytest.mark.parametrize("framework", ALLOCATORS)
def test_a_framework_in_python(machine, neighbour, framework):
    name, text = ALLOCATORS[framework]
    path = machine.folder / "modules" / name
    path.parent.mkdir(parents=True)
    path.write_text(textwrap.dedent(text))
    (machine.folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, machine.folder / "program.py", name[:-3].replace("/", ".")]
    here = str(BUILD.parent / "test" / "e2e")
    settings = {**LONG_WAIT, "PYTHONPATH": "%s:%s" % (machine.folder / "modules", here)}
    result = machine.run(command, guarded=True, **settings)
    assert result.stdout == "got it\n", result.stderr
    assert result.guard_lines == []

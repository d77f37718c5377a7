"""Fixtures of the tests of the library built with ThreadSanitizer: those of the end-to-end tests, on
the library and the simulator that were built to find data races."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

spec = importlib.util.spec_from_file_location("e2e_fixtures", ROOT / "test/e2e/conftest.py")
e2e = importlib.util.module_from_spec(spec)
spec.loader.exec_module(e2e)

built_tree = e2e.built_tree
THREAD = e2e.BUILD / "sanitize" / "thread"
SUPPRESSIONS = ROOT / "test/sanitize/tsan_suppressions"


@pytest.fixture
def racing(machine):
    """The machine, with the instrumented library and simulator. Two things of the sanitizer do not
    bear what libunwind does: it takes what __tls_get_addr returns for a block of the heap, and it does
    not live until thread-specific data is destroyed. So there are no native stacks."""
    machine.preload = THREAD / "libvramguard.so"
    machine.search_path = [THREAD / "simgpu"]
    machine.policy = None

    def many(count, rounds, guarded=True, **extra):
        extra.setdefault("VRAMGUARD_STACKS", "off")
        return machine.run(
            [THREAD / "many_threads", count, rounds],
            guarded,
            TSAN_OPTIONS="exitcode=66 intercept_tls_get_addr=0 suppressions=%s" % SUPPRESSIONS,
            **extra,
        )

    machine.many = many
    return machine


machine = e2e.machine

"""A program of many threads, the library and the simulator under it: no data race in any of them."""

import re

import pytest


def counts(result):
    """{what: how many} of the program's line."""
    assert "ThreadSanitizer" not in result.stderr, result.stderr[-6000:]
    assert result.code == 0, result.stderr[-6000:]
    return {what: int(n) for what, n in re.findall(r"([a-z][a-z ]+) (\d+)", result.stdout)}


def test_the_simulator_alone(racing):
    assert counts(racing.many(8, 300, guarded=False))["taken"] == 2400


def test_the_sanitizer_sees_the_library(racing):
    """It tells of a race in the program that the library is part of: nothing is switched off."""
    result = racing.many(8, 300, MANY_THREADS_RACE="1")
    assert result.code == 66 and "data race" in result.stderr


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"VRAMGUARD_LIMIT": "200MiB"},
        {"VRAMGUARD_POLICY": "trim,wait=50ms,spill", "SIMGPU_DEVICES": "36MiB"},
        {"VRAMGUARD_INJECT": "10%:7"},
        {"VRAMGUARD_POLICY": "off", "VRAMGUARD_KEEP": "1"},
    ],
    ids=["", "limit", "crowded", "injected", "off"],
)
def test_eight_threads(racing, settings):
    found = counts(racing.many(8, 300, **settings))
    assert found["taken"] + found["refused"] >= 2400
    assert found["looked up"] == 152 and found["forks"] == 16
    assert found["reports"] > 0

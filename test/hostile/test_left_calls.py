"""Calls that a thread leaves otherwise than by their end, and threads that are cancelled in them."""

import json
import subprocess
import sys
import time

import pytest

from conftest import ROOT, e2e

HOLD = ROOT / "test" / "model" / "hold_memory.py"
POLICY = {"VRAMGUARD_POLICY": "wait=60s", "SIMGPU_DEVICES": "1GiB"}


def holding(machine, size):
    """Start a guarded process that holds memory; return it when it has it."""
    command = [sys.executable, HOLD, size]
    process = machine.start(command, True, stdin=subprocess.PIPE, **POLICY)
    assert process.stdout.readline().startswith("holding "), process.communicate()[1]
    return process


def test_a_cancelled_thread_makes_its_calls(hostile):
    command = hostile.program("left", "pending")
    bare, guarded = hostile.both(command)
    assert guarded.own == bare.own
    assert guarded.stdout == "the cancelled thread made 20000 calls\nwent on\n"
    record = hostile.only_record()
    assert record["live"] == 20001 and record["failures"] == 1


def test_threads_cancelled_at_random(hostile):
    result = hostile.run(hostile.program("left", "cancel", 300), guarded=True)
    assert (result.code, result.stdout) == (0, "went on\n"), result.stderr
    assert hostile.only_record()["live"] == 1


def test_jumped_out_of_a_wait(hostile):
    holding(hostile, "850MiB")
    process = hostile.start(
        hostile.program("left", "siglongjmp"), guarded=True, stdin=subprocess.PIPE, **POLICY
    )
    assert process.stdout.readline() == "went on\n"
    process.stdin.close()
    process.stdin = None
    assert hostile.finish(process).code == 0
    live = [record["live"] for record in hostile.all_records() if record["pid"] == process.pid]
    assert live == [17], "calls after it are tracked, from wherever they are made"


def test_jumped_out_of_a_wait_without_the_mask(hostile):
    holding(hostile, "850MiB")
    result = hostile.run(hostile.program("left", "longjmp"), guarded=True, **POLICY)
    assert (result.code, result.stdout) == (0, "went on\n"), "SIGINT can come in again"


def test_jumped_out_of_a_wait_on_a_small_stack(hostile):
    """The wait has a stack of its own."""
    holding(hostile, "850MiB")
    process = hostile.start(hostile.program("left", "small"), guarded=True, **POLICY)
    result = hostile.finish(process)
    assert (result.code, result.stdout) == (0, "went on\n"), result.stderr
    live = [record["live"] for record in hostile.all_records() if record["pid"] == process.pid]
    assert live == [17]


def test_a_signal_during_a_wait_on_a_small_stack(hostile):
    """What its handler does is no sign that the wait was left."""
    holding(hostile, "850MiB")
    policy = {**POLICY, "VRAMGUARD_POLICY": "wait=2s"}
    process = hostile.start(hostile.program("left", "within"), guarded=True, **policy)
    result = hostile.finish(process)
    assert (result.code, result.stdout) == (0, "went on\n"), result.stderr
    (record,) = [record for record in hostile.all_records() if record["pid"] == process.pid]
    assert record["failures"] == 1


def waiting(machine):
    """Of this test's processes."""
    listed = machine.vramguard("list", "--waiting", "--json", guarded=False)
    pids = machine.pids()
    return [waiter["pid"] for waiter in json.loads(listed.stdout) if waiter["pid"] in pids]


def test_jumped_out_of_the_line_of_newcomers(hostile):
    """It waits no longer behind those who came before."""
    holding(hostile, "850MiB")
    first = hostile.start([sys.executable, HOLD, "400MiB"], True, **POLICY)
    while waiting(hostile) != [first.pid]:
        time.sleep(0.1)
    second = hostile.start(
        hostile.program("left", "siglongjmp"), guarded=True, stdin=subprocess.PIPE,
        **{**POLICY, "VRAMGUARD_POLICY": "wait=2s"}
    )
    assert second.stdout.readline() == "went on\n"
    assert waiting(hostile) == [first.pid]


def test_who_jumped_out_of_a_wait_gives_back_its_pool(hostile):
    """No call of its lacks memory any more."""
    policy = {**POLICY, "VRAMGUARD_POLICY": "trim,wait=60s"}
    holding(hostile, "700MiB")
    first = hostile.start(
        hostile.program("left", "pool"), guarded=True, stdin=subprocess.PIPE, **policy
    )
    assert first.stdout.readline() == "went on\n"
    second = hostile.start([sys.executable, HOLD, "200MiB"], True, **policy)
    start = time.monotonic()
    assert second.stdout.readline().startswith("holding 200")
    assert time.monotonic() - start < 50, "nobody else gives memory back"


@pytest.mark.parametrize("how", ["siglongjmp", "thread", "exec"])
def test_nobody_waits_behind_it(hostile, how):
    """The one behind gets what comes free, also when the first makes no call any more."""
    holder = holding(hostile, "850MiB")
    first = hostile.start(
        hostile.program("left", how), guarded=True, stdin=subprocess.PIPE, **POLICY
    )
    if how != "siglongjmp":
        assert first.stdout.readline() == "went on\n"
    second = hostile.start([sys.executable, HOLD, "400MiB"], True, **POLICY)
    time.sleep(1.5)
    hostile.stop(holder)
    start = time.monotonic()
    assert second.stdout.readline().startswith("holding 400")
    took = time.monotonic() - start
    assert took < 50 and e2e.at_most(took, 1.5), "the first would wait for a minute"

"""The recorder file or the registry is cut short while a program runs: it goes on to its end."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest


def blocks_bus_errors(process):
    """Does its main thread?"""
    status = Path(f"/proc/{process.pid}/status").read_text()
    blocked = int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16)
    return bool(blocked >> (signal.SIGBUS - 1) & 1)


def run_and(hostile, steps, meanwhile, blocked=False, **extra):
    """Run the program, with SIGBUS blocked or not, do something while it waits; its Result."""
    command = hostile.program("fill", 200, 0, "wait", *steps)
    if blocked:
        command = ["env", "--block-signal=BUS", *command]
    process = hostile.start(command, True, stdin=subprocess.PIPE, **extra)
    assert process.stdout.readline() == "waiting\n"
    meanwhile()
    assert blocks_bus_errors(process) == blocked
    process.stdin.write("\n")
    process.stdin.close()
    process.stdin = None
    return hostile.finish(process)


def lost_lines(result):
    return [line for line in result.guard_lines if "was cut short" in line]


@pytest.mark.parametrize(
    "size, blocked", [(0, False), (4096, False), (65536, False), (131072, False), (0, True)]
)
def test_recorder_file_is_cut_short(hostile, size, blocked):
    def cut():
        for path in hostile.records():
            os.truncate(path, size)

    result = run_and(hostile, ["more", "free"], cut, blocked)
    assert (result.code, result.stdout) == (0, "done\n"), result.stderr
    assert len(lost_lines(result)) == 1
    second = lost_lines(result)[0].split(" it goes on in ")[1]
    assert hostile.vramguard("report", second).code == 0
    assert re.search(r"GPU 0 out of memory: \S+ asked ", result.guard_text), result.stderr


@pytest.mark.parametrize("blocked", [False, True])
def test_registry_is_cut_short(hostile, blocked):
    result = run_and(
        hostile, ["more", "free"], lambda: os.truncate(hostile.registry_file(), 0), blocked
    )
    assert (result.code, result.stdout) == (0, "done\n"), result.stderr
    assert len(lost_lines(result)) == 1


def test_files_are_cut_short_before_the_end(hostile):
    """What is done at exit is, too."""
    files = lambda: [*hostile.records(), hostile.registry_file()]
    result = run_and(hostile, [], lambda: [os.truncate(path, 0) for path in files()], True)
    assert (result.code, result.stdout) == (0, "done\n"), result.stderr


def test_registry_is_deleted(hostile):
    """Who fails afterwards is found again by those who have come."""
    process = hostile.start(
        hostile.program("fill", 10, 0, "wait", "fail", "wait"), True, stdin=subprocess.PIPE
    )
    assert process.stdout.readline() == "waiting\n"
    registry = hostile.registry_file()
    registry.unlink()
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "waiting\n"
    assert str(process.pid) in owners(registry)
    assert hostile.stop(process).code == 0


def owners(registry):
    """The pids that a registry file names: 22 bits of each slot's first word."""
    words = memoryview(registry.read_bytes()[64 : 64 + 64 * 1023]).cast("Q")
    return {str(words[i] >> 26 & 0x3FFFFF) for i in range(0, len(words), 8) if words[i]}


def test_a_limit_stays(hostile):
    """What is no longer known stays charged."""
    limit = {"VRAMGUARD_LIMIT": "1MiB"}
    intact = run_and(hostile, ["until"], lambda: None, **limit)
    assert intact.stdout == "got 56\ndone\n"
    (record,) = hostile.records()
    cut = run_and(
        hostile, ["until"], lambda: [os.truncate(p, 0) for p in hostile.records()], **limit
    )
    assert cut.stdout == "got 56\ndone\n" and len(lost_lines(cut)) == 1, cut.stderr

"""What a program has done to its own process must not matter to it with the guard either."""

import fcntl
import os
import resource
import signal
import subprocess
import time

import pytest
from conftest import e2e


def run(machine, command, preexec=None, stderr=subprocess.PIPE, guarded=True, **extra):
    """Run a command with an unusual stderr or after `preexec`; return (code, stdout, seconds)."""
    start = time.monotonic()
    process = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=stderr,
        stdin=subprocess.DEVNULL,
        env=machine.environment(guarded, extra),
        cwd=machine.folder,
        preexec_fn=preexec,
        text=True,
    )
    stdout, _ = process.communicate(timeout=60)
    return process.returncode, stdout, time.monotonic() - start


def test_stderr_is_a_closed_pipe(hostile):
    reader, writer = os.pipe()
    os.close(reader)
    code, stdout, _ = run(hostile, hostile.program("fill", 10, 3), stderr=writer)
    os.close(writer)
    assert (code, stdout) == (0, "done\n")
    assert hostile.only_record()["failures"] == 3


def test_stderr_is_closed(hostile):
    code, stdout, _ = run(
        hostile, hostile.program("fill", 10, 3), stderr=None, preexec=lambda: os.close(2)
    )
    assert (code, stdout) == (0, "done\n")
    assert hostile.only_record()["failures"] == 3


@pytest.mark.parametrize("blocking", [True, False])
def test_stderr_is_a_full_pipe_nobody_reads(hostile, blocking):
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        pass
    fcntl.fcntl(writer, fcntl.F_SETFL, 0 if blocking else os.O_NONBLOCK)
    code, stdout, seconds = run(hostile, hostile.program("fill", 10, 4), stderr=writer)
    os.close(writer)
    os.close(reader)
    assert (code, stdout) == (0, "done\n")
    assert e2e.at_most(seconds, 4), "one write waits two seconds, the others know better"
    assert hostile.only_record()["failures"] == 4


@pytest.mark.parametrize("limit", [0, 4096, 65536, 100000])
def test_file_size_limit(hostile, limit):
    def preexec():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    # The simulated GPU has files of its own: they are made before.
    assert hostile.run(hostile.program("fill", 1, 0)).code == 0
    command = hostile.program("fill", 20000, 0)
    bare = run(hostile, command, preexec, guarded=False)
    if bare[0] == -signal.SIGXFSZ:
        pytest.skip("the simulated GPU itself needs larger files than this limit allows")
    assert bare[:2] == (0, "done\n")
    code, stdout, _ = run(hostile, command, preexec)
    assert (code, stdout) == (0, "done\n")


def test_all_descriptors_closed_midway(hostile):
    result = hostile.run(hostile.program("fill", 10, 0, "close", "more"), guarded=True)
    assert result.code == 0, result.stdout
    assert result.stdout == "done\n"
    record = hostile.only_record()
    assert record["live"] == 20010
    assert record["memory_only"] == 0
    assert record["failures"] == 1


def test_own_descriptors_where_others_were(hostile):
    """libunwind tries memory below code without unwind tables through a pipe, if it is let."""
    own = hostile.folder / "own"
    own.mkdir()
    command = hostile.program("descriptors", own)
    bare = hostile.run(command)
    guarded = hostile.run(command, guarded=True)
    assert bare.own == guarded.own, guarded.stdout
    assert guarded.stdout == "done\n"
    assert hostile.only_record()["live"] == 12


def test_state_directory_vanishes(hostile):
    result = hostile.run(hostile.program("fill", 10, 0, "vanish", "more", "free"), guarded=True)
    assert result.code == 0, result.stdout
    lines = [line for line in result.guard_lines if "recorder file" in line]
    assert len(lines) == 1
    assert not hostile.state.exists(), "nothing is made again"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the root directory")
def test_root_and_user_change(hostile):
    command = hostile.program("fill", 10, 0, "root", "more", "free")
    bare = hostile.run(command)
    assert bare.code == 0, bare.stdout
    (hostile.folder / "empty").rmdir()
    guarded = hostile.run(command, guarded=True)
    assert guarded.code == 0, guarded.stdout
    record = hostile.only_record()
    assert record["memory_only"] == 1
    assert record["ended"] == 1


BESIDE_A_HOLDER = """
rm -f holder
"$0" 40 0 hold > holder & holder=$!
until grep -q holding holder; do sleep 0.01; done
"$0" 10 0 $1 until
"$0" 10 0 until
kill $holder
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the root directory")
def test_root_change_under_a_shared_limit(hostile):
    """Without /proc it is not known who lives: what they are charged stays charged."""
    limit = {"VRAMGUARD_LIMIT": "1MiB", "VRAMGUARD_LIMIT_SCOPE": "shared", "VRAMGUARD_POLICY": "off"}
    (fill,) = hostile.program("fill")
    command = ["sh", "-c", BESIDE_A_HOLDER, fill]
    intact = hostile.run([*command, "close"], True, **limit)
    assert intact.code == 0 and intact.stdout.count("got ") == 2, intact.stdout
    without_proc = hostile.run([*command, "root"], True, **limit)
    assert without_proc.stdout == intact.stdout




OF_ANOTHER_NAMESPACE = """
rm -f holder
"$0" 40 0 hold > holder & holder=$!
until grep -q holding holder; do sleep 0.01; done
"$@" "$0" 10 0 free; "$@" "$0" 10 0 free
kill $holder
"""


@pytest.mark.parametrize(
    "start, namespace",
    [
        (["env"], None),
        (["unshare", "-m"], None),
        (["unshare", "-i"], "IPC namespace"),
        (["unshare", "-p", "-f", "--mount-proc"], "pid namespace"),
        (["unshare", "-p", "-f"], "pid namespace"),
    ],
)
def test_a_shared_limit_says_whom_it_does_not_reach(hostile, start, namespace):
    if hostile.run([*start, "true"]).code != 0:
        pytest.skip("no such namespace to be had here")
    limit = {"VRAMGUARD_LIMIT": "1MiB", "VRAMGUARD_LIMIT_SCOPE": "shared", "VRAMGUARD_POLICY": "off"}
    (fill,) = hostile.program("fill")
    result = hostile.run(["sh", "-c", OF_ANOTHER_NAMESPACE, fill, *start], True, **limit)
    assert result.code == 0 and result.stdout.count("done") == 2, result.stderr
    lines = [line for line in result.guard_lines if "VRAMGUARD_LIMIT_SCOPE" in line]
    assert len(lines) == (2 if namespace else 0), lines
    assert all(namespace in line and "not counted" in line for line in lines)


def test_slow_reader_and_a_ticking_timer(hostile):
    """Signals interrupt the waiting for a full pipe, not the report."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        pass
    fcntl.fcntl(writer, fcntl.F_SETFL, 0)
    process = subprocess.Popen(
        list(map(str, hostile.program("fill", 10, 0, "tick", "fail"))),
        stdout=subprocess.PIPE,
        stderr=writer,
        env=hostile.environment(True, {}),
        cwd=hostile.folder,
    )
    os.close(writer)
    time.sleep(0.5)
    with os.fdopen(reader, "rb") as file:
        told = file.read().lstrip(b"x").decode()
    assert process.wait(60) == 0
    process.stdout.close()
    assert "out of memory: " in told and "\n  GPU 0 " in told

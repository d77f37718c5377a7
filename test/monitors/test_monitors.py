"""What people look at GPUs with runs on the simulated NVML, bare and guarded, and shows what is there."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import termios
import time
from pathlib import Path

import pytest
from conftest import e2e

VENVS = e2e.BUILD / "clients-venv"
TOOLS = VENVS / "tools" / "bin"
ROWS, COLUMNS = 50, 150
SECONDS = 100


def reason_for_absence(name):
    path = VENVS / "skipped"
    rows = [line.split("\t") for line in path.read_text().splitlines()] if path.exists() else []
    return dict(rows).get(name, "scripts/install-clients installs it")


def tool(name):
    """Its path; skips the test where it is not installed, and says how it can be."""
    places = [TOOLS / name, VENVS / "nvtop/usr/bin" / name, shutil.which(name) or "/none"]
    found = next((place for place in places if Path(place).exists()), None)
    if not found:
        pytest.skip("no %s: %s" % (name, reason_for_absence(name)))
    return found


@pytest.fixture(params=["bare", "guarded"])
def busy(machine, request):
    """A machine with two GPUs and a process that holds 50 MiB of the first."""
    machine.guarded = request.param == "guarded"
    machine.extra = dict(SIMGPU_DEVICES="256MiB,1GiB", TERM="xterm", COLUMNS=str(COLUMNS))
    holder = e2e.sys.executable, e2e.MODEL / "hold_memory.py", "50MiB"
    process = machine.start(holder, machine.guarded, stdin=-1, **machine.extra)
    assert process.stdout.readline().startswith("holding ")
    machine.holder = process.pid
    return machine


def run(machine, *command):
    result = machine.run(command, machine.guarded, **machine.extra)
    assert result.code == 0 and "Traceback" not in result.stdout + result.stderr, result.stderr
    assert result.guard_lines == []
    return result.stdout


def test_gpustat(busy):
    seen = json.loads(run(busy, tool("gpustat"), "--json"))
    assert [gpu["memory.total"] for gpu in seen["gpus"]] == [256, 1024]
    ((process,), nothing) = [gpu["processes"] for gpu in seen["gpus"]]
    assert (process["pid"], process["gpu_memory_usage"], nothing) == (busy.holder, 82, [])
    assert "python" in run(busy, tool("gpustat"), "-cpuF", "--show-power", "--no-color")


def test_nvitop(busy):
    shown = run(busy, tool("nvitop"), "--once", "--no-unicode")
    assert shown.count("SimGPU") == 2 and "82.00MiB / 256.0MiB" in shown
    assert re.search(r"\| +0 +%d " % busy.holder, shown), shown


class Screen:
    """A program on a terminal of its own."""

    def __init__(self, machine, *command):
        environment = machine.environment(machine.guarded, machine.extra)
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(command[0], [str(word) for word in command], environment)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.seen = ""

    def read_until(self, done):
        """Read what it writes, escapes left out, until that is so."""
        deadline, bytes_seen = time.monotonic() + SECONDS, b""
        while not done(self.seen):
            assert time.monotonic() < deadline, self.seen
            if select.select([self.terminal], [], [], 1)[0]:
                try:
                    bytes_seen += os.read(self.terminal, 65536)
                except OSError:  # it has ended
                    break
            text = bytes_seen.decode(errors="replace")
            self.seen = re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|\(.|[=>])", "", text)

    def end(self):
        """Type "q", read to the end; return the exit code."""
        os.write(self.terminal, b"q")
        self.read_until(lambda seen: False)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self):
        with contextlib.suppress(OSError):
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.terminal)


@pytest.mark.parametrize("name", ["nvitop", "nvtop"])
def test_on_a_terminal(busy, name):
    screen = Screen(busy, tool(name))
    try:
        screen.read_until(lambda seen: "SimGPU" in seen and str(busy.holder) in seen)
        assert screen.end() == 0, screen.seen
    finally:
        screen.close()
    assert "Traceback" not in screen.seen

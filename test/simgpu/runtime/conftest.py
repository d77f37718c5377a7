"""How the tests of the simulated runtime run a program."""
import subprocess
import uuid

import pytest

from places import PROGRAMS, SIMGPU, clean_environment


@pytest.fixture
def on_simgpu():
    """Runs a command on a simulation of its own; returns the finished process."""
    def run(command, devices="64MiB", **settings):
        settings = {"SIMGPU_DEVICES": devices, "SIMGPU_CONTEXT": "0", "SIMGPU_QUIET": "1",
                    "SIMGPU_ID": "test-" + uuid.uuid4().hex[:12],
                    "LD_LIBRARY_PATH": SIMGPU, **settings}
        return subprocess.run([str(c) for c in command], env=clean_environment(**settings),
                              capture_output=True, text=True, timeout=120)
    return run


@pytest.fixture
def on_probe(tmp_path):
    """Runs a command on the driver probe; returns the process and the probe's lines."""
    def run(command, **settings):
        log = tmp_path / "log"
        log.write_text("")
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60,
                              env=clean_environment(LD_LIBRARY_PATH=f"{PROGRAMS}/probe:{SIMGPU}",
                                                    PROBE_LOG=log, **settings))
        return done, log.read_text().splitlines()
    return run

"""scripts/gpu-check on the simulated GPU: its table, and that it sees a guard that differs."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("BUILD", "build")).resolve()
COMPILER = os.environ.get("CC", "cc").split()


def gpu_check(*words, **extra):
    command = [ROOT / "scripts" / "gpu-check", "--no-build", "--build", BUILD, *words]
    values = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    return subprocess.run(
        [str(word) for word in command],
        env={**values, **extra},
        capture_output=True,
        text=True,
        timeout=300,
    )


def rows(done):
    """{check: verdict} of the table."""
    lines = done.stdout.split("remarks\n")[1].split("\n\n")[0].splitlines()
    return {line[:30].strip(): line[57:65].strip() for line in lines}


@pytest.fixture
def other_guard(tmp_path):
    """A library that takes the GPU away from programs that it is preloaded into."""
    source = tmp_path / "guard.c"
    source.write_text(
        """
        #include <stdlib.h>
        __attribute__((constructor)) static void start(void)
        {
            setenv("SIMGPU_DEVICES", "none", 1);
        }
        """
    )
    library = tmp_path / "guard.so"
    subprocess.run([*COMPILER, "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def test_without_a_gpu():
    if any(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("this machine has a GPU")
    done = gpu_check()
    assert done.returncode == 1
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("scripts/gpu-check: no GPU here: ")


def test_table():
    done = gpu_check("--simulate", "--only", "behaviour", "--only", "runtime")
    verdicts = rows(done)
    assert done.returncode == 0, done.stdout
    assert len(verdicts) > 5 and verdicts["behaviour memory"] == "same"
    assert verdicts.pop("C program, static libcudart") == "skipped"
    assert verdicts.pop("C program, shared libcudart") == "skipped"
    assert set(verdicts.values()) == {"same"}


def test_a_guard_that_differs(other_guard):
    done = gpu_check("--simulate", "--only", "behaviour", GUARD=str(other_guard))
    assert done.returncode == 1
    assert set(rows(done).values()) == {"DIFFERS"}
    assert "bare only: ok " in done.stdout


def test_a_guard_that_does_nothing_writes_no_report(tmp_path):
    python = BUILD / "clients-venv" / "numba-cuda" / "bin" / "python"
    if not (BUILD / "clients-venv" / "numba-cuda.installed").exists():
        pytest.skip("numba is not installed (scripts/install-clients)")
    words = ["--simulate", "--only", "frameworks", "--python", python]
    assert rows(gpu_check(*words))["numba"] == "same"
    verdicts = rows(gpu_check(*words, GUARD=str(tmp_path / "none.so")))
    assert verdicts["numba"] == "FAILS"

"""A program that nvcc compiled and linked with `-cudart shared` runs on the simulation, unmodified."""
import shutil
import subprocess

import pytest

from places import HERE


def test_compiled_program(on_simgpu, tmp_path):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc on the PATH")
    program = tmp_path / "compiled"
    subprocess.run([nvcc, "-cudart", "shared", "-o", program, HERE / "compiled.cu"], check=True,
                   capture_output=True)
    done = on_simgpu([program])
    assert (done.returncode, done.stdout, done.stderr) == (0, "out of memory\n", "")

"""The exceptions that threads are handling, as the library reads them against what these themselves know, on every
interpreter of the machine (and those of VG_TEST_PYTHONS, test_python_stacks.py)."""

import subprocess
from pathlib import Path

from conftest import BUILD
from test_python_stacks import READABLE, each

PROGRAM = Path(__file__).with_name("handled_program.py")


@each(READABLE)
def test_all_threads(python):
    command = [python, PROGRAM, BUILD / "test/e2e/handled_probe.so"]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "[] 7 threads\n"

"""In a MIG instance the report is about the instance, not about the GPU it is a part of."""

import os
import subprocess
import sys
from pathlib import Path

from conftest import UUID_PROGRAM

HERE = Path(__file__).parent
PROGRAM = f"""
import ctypes, sys; sys.path.insert(0, {str(HERE)!r})
from driver_calls import *
call("cuInit", 0)
current_primary_context()
print(allocate(2048 * MIB)[0])
"""
PCI_PROGRAM = f"""
import ctypes, sys; sys.path.insert(0, {str(HERE)!r})
from driver_calls import *
call("cuInit", 0)
text = ctypes.create_string_buffer(32)
call("cuDeviceGetPCIBusId", text, 32, 0)
print(text.value.decode())
"""


def test_processes_of_the_instance(machine):
    fake = machine.folder / "nvml"
    fake.mkdir()
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", fake / "libnvidia-ml.so.1",
                    HERE / "mig_nvml.c"], check=True)
    uuid = machine.run([sys.executable, "-c", UUID_PROGRAM]).stdout.strip()
    pci = machine.run([sys.executable, "-c", PCI_PROGRAM]).stdout.strip()
    machine.search_path.insert(0, fake)
    result = machine.run([sys.executable, "-c", PROGRAM], guarded=True,
                         FAKE_MIG=uuid.replace("GPU-", "MIG-"), FAKE_PCI=pci,
                         FAKE_PID=str(os.getpid()))
    assert result.stdout == "2\n"
    assert f"pid {os.getpid()} " in result.guard_text
    assert f"pid {os.getpid() + 1} " not in result.guard_text
    assert "in one piece are more than this MIG instance has" in " ".join(result.guard_text.split())
    assert "300 MiB" in result.guard_text and "Whole" not in result.guard_text

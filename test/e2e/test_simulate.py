"""`vramguard run --simulate` needs nothing else: no preloading by hand, whatever a program brings."""

import subprocess
import sys

import pytest
from conftest import BUILD

DECOY = "int cudaMalloc(void **out, unsigned long size) { (void)out; (void)size; return 801; }\n"

# A framework's way: linked with a runtime of its own, which its RPATH names before any other.
PROGRAM = """
#include <stdio.h>
int cudaMalloc(void **out, unsigned long size);
int main(void)
{
    void *memory;
    printf("%d\\n", cudaMalloc(&memory, 1 << 20));
    return 0;
}
"""

FILES = """
import os, stat
for name in ("nvidia0", "nvidia1", "nvidia2", "nvidia01x", "nvidiactl", "null", "no-such"):
    path = "/dev/" + name
    try:
        mode = os.stat(path).st_mode
        kind = "device" if stat.S_ISCHR(mode) else "file"
    except OSError as error:
        kind = error.strerror
    print(name, kind, os.path.exists(path), os.access(path, os.R_OK))
"""


def compiled(*command):
    subprocess.run([str(word) for word in command], check=True)


@pytest.mark.parametrize("name", ["libcudart.so.%s" % version for version in ("11.0", "12", "13")])
def test_a_runtime_that_the_program_brings_gives_way_to_ours(machine, name):
    own = machine.folder / "own"
    own.mkdir()
    (machine.folder / "decoy.c").write_text(DECOY)
    (machine.folder / "program.c").write_text(PROGRAM)
    (machine.folder / "map").write_text(name + " { *; };\n")
    version = "-Wl,--version-script=%s" % (machine.folder / "map")
    compiled("cc", "-shared", "-fPIC", "-Wl,-soname," + name, version,
             machine.folder / "decoy.c", "-o", own / name)  # fmt: skip
    compiled("cc", "-Wl,--disable-new-dtags", "-Wl,-rpath," + str(own),
             machine.folder / "program.c", own / name, "-o", machine.folder / "program")  # fmt: skip
    without = dict(LD_LIBRARY_PATH=None, SIMGPU_DEVICES=None)
    assert machine.run([machine.folder / "program"]).stdout == "801\n"
    run = ["run", "--simulate", "256MiB", "--", machine.folder / "program"]
    result = machine.vramguard(*run, **without)
    assert (result.code, result.stdout, result.stderr) == (0, "0\n", "")
    assert len(machine.records()) == 1


def test_the_simulated_gpus_have_device_files(machine):
    run = ["run", "--simulate", "256MiB,256MiB", "--", sys.executable, "-c", FILES]
    lines = machine.vramguard(*run).stdout.splitlines()
    assert lines == [
        "nvidia0 device True True",
        "nvidia1 device True True",
        "nvidia2 No such file or directory False False",
        "nvidia01x No such file or directory False False",
        "nvidiactl device True True",
        "null device True True",
        "no-such No such file or directory False False",
    ]


# JAX's way: the runtime that its packages bring is loaded by its path, and opened by its name.
BY_PATH_THEN_NAME = """
import ctypes, sys
own = ctypes.CDLL(sys.argv[1])
ours = ctypes.CDLL(sys.argv[1].rpartition("/")[2])
memory = ctypes.c_void_p()
print(own.cudaMalloc(None, 0), ours.cudaMalloc(ctypes.byref(memory), ctypes.c_size_t(1 << 20)))
"""


@pytest.mark.parametrize("name", ["libcudart.so.%s" % version for version in ("11.0", "12", "13")])
def test_a_runtime_that_was_loaded_by_its_path_gives_way_to_ours(machine, name):
    own = machine.folder / name
    (machine.folder / "decoy.c").write_text(DECOY)
    compiled("cc", "-shared", "-fPIC", "-Wl,-soname," + own.name, machine.folder / "decoy.c", "-o", own)  # fmt: skip
    command = [sys.executable, "-c", BY_PATH_THEN_NAME, own]
    without = dict(LD_LIBRARY_PATH=None, SIMGPU_DEVICES=None)
    assert machine.run(command, **without).stdout == "801 801\n"
    result = machine.vramguard("run", "--simulate", "256MiB", "--", *command, **without)
    assert (result.code, result.stdout, result.stderr) == (0, "801 0\n", "")


LOOKS_UP = """
import ctypes
driver, table = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p()
tables = [driver.cuGetExportTable]
driver.cuGetProcAddress_v2(b"cuGetExportTable", ctypes.byref(table), 13000, ctypes.c_uint64(0), None)
tables.append(ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(table.value))
print(driver.cuInit(0))
"""
ASKS = LOOKS_UP + "print([ask(ctypes.byref(table), bytes(16)) for ask in tables])\n"


def test_nvidias_own_runtime_is_named_as_the_reason(machine):
    """A program that only looks the function up, as our runtime's tables do, is told nothing."""
    run = ["run", "--simulate", "256MiB", "--", sys.executable, "-c"]
    result = machine.vramguard(*run, ASKS)
    assert result.stdout == "0\n[801, 801]\n"
    (line,) = result.own_stderr.splitlines()
    assert line.startswith("simgpu: a part of this program (cuBLAS, cuDNN, CuPy 13 and newer) has NVIDIA's own CUDA runtime")
    assert "works with a real GPU only" in line and "compute on the CPU or a real GPU" in line
    assert machine.vramguard(*run, ASKS, SIMGPU_QUIET="1").own_stderr == ""
    result = machine.vramguard(*run, LOOKS_UP)
    assert (result.stdout, result.own_stderr) == ("0\n", "")


def test_two_simulations_that_differ(machine):
    """Whoever comes second is told in the words of what was typed."""
    without = dict(LD_LIBRARY_PATH=None, SIMGPU_DEVICES=None)
    use = "import ctypes; print(ctypes.CDLL('libcuda.so.1').cuInit(0), flush=True); input()"
    command = [BUILD / "vramguard", "run", "--simulate", "1GiB", "--", sys.executable, "-c", use]
    first = machine.start(command, stdin=subprocess.PIPE, **without)
    assert first.stdout.readline() == "0\n"
    second = machine.vramguard("run", "--simulate", "2GiB", "--", sys.executable, "-c", use, **without)
    assert second.stdout == "100\n"
    assert "simulate other GPUs than SIMGPU_DEVICES (--simulate) asks for" in second.stderr
    machine.finish(first)


def test_other_calls_about_files_are_the_kernels(machine):
    shell = "ls -l /dev/nvidia1; test -e /dev/nvidia0 && test ! -x /dev/nvidia0 && stat -c %t:%T /dev/nvidia1"
    result = machine.vramguard("run", "--simulate", "1GiB,1GiB", "--", "sh", "-c", shell)
    assert result.stdout.startswith("crw-rw-rw-") and result.stdout.endswith("\nc3:1\n")
    assert (BUILD / "simgpu" / "libsimgpu_device_files.so").exists()

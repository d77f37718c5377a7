"""What libvramguard.so shows of itself, and how it gets on with other drivers and libraries."""

import glob
import os
import re
import subprocess

import pytest
from conftest import GUARD, PROGRAMS, ROOT, SIMGPU, exported

PUBLIC = re.compile(r"vramguard_\w+|dlv?sym")
STUBS = sorted(glob.glob("/usr/local/cuda*/lib64/stubs/libcuda.so"))
DRIVERS = [SIMGPU / "libcuda.so.1", *STUBS[-1:]]
NVMLS = [
    SIMGPU / "libnvidia-ml.so.1",
    *sorted(glob.glob("/usr/local/cuda*/lib64/stubs/libnvidia-ml.so"))[-1:],
]
NEIGHBOURS = {
    "libjemalloc.so.2": ("libjemalloc2", {}),
    "faketime/libfaketime.so.1": ("libfaketime", {"FAKETIME": "-1d"}),
}


def ours(prefix):
    return {name for name in exported(GUARD) if name.startswith(prefix)}


@pytest.mark.parametrize("driver", DRIVERS, ids=str)
def test_exports_are_the_drivers(driver):
    assert len(ours("cu")) >= 9 and ours("cu") - set(exported(driver)) == set()


@pytest.mark.parametrize("nvml", NVMLS, ids=str)
def test_exports_are_nvmls(nvml):
    assert ours("nvml") == {"nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"}
    assert ours("nvml") - set(exported(nvml)) == set()


def torch_table():
    text = (ROOT / "src" / "hook" / "torch_table.h").read_text()
    return set(re.findall(r"^VG_TORCH\((\w+),", text, re.MULTILINE))


def test_exports_are_pytorchs():
    assert ours("_Z") == torch_table() and len(torch_table()) >= 4


def test_nothing_else_is_exported():
    rest = set(exported(GUARD)) - ours("cu") - ours("nvml") - torch_table()
    assert {name for name in rest if not PUBLIC.fullmatch(name)} == set()


def test_public_names():
    assert {"dlsym", "dlvsym", "vramguard_version"} <= set(exported(GUARD))


def test_needs_only_libc():
    text = subprocess.run(
        ["readelf", "-d", GUARD], check=True, capture_output=True, text=True
    ).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", text)
    # The last two are parts of glibc before 2.34.
    ours = re.compile(r"(libc|libdl|libpthread)\.so|ld-linux")
    assert [name for name in needed if not ours.match(name)] == []
    assert "libc.so.6" in needed


@pytest.mark.parametrize("age", ["older", "newer"])
def test_drivers_that_do_not_fit_the_table(machine, driver_names, age):
    machine.search_path = [PROGRAMS / age, PROGRAMS]
    names = [name for name in driver_names if name] + ["cuMemAllocTelepathic"]
    _, guarded = machine.same([PROGRAMS / "odd_client", *names])
    assert "finds itself: 1" in guarded.stdout and guarded.wrapped >= 4


def find_library(name):
    folders = os.environ.get("NEIGHBOURS", "").split(":") + glob.glob("/usr/lib/*-linux-gnu")
    return next((f + "/" + name for f in folders if f and os.path.exists(f + "/" + name)), None)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("name", NEIGHBOURS)
def test_beside_another_preloaded_library(machine, name, side):
    package, settings = NEIGHBOURS[name]
    path = find_library(name)
    if not path:
        pytest.skip("%s is not here: apt-get install %s" % (name, package))
    setattr(machine, side, [path])
    machine.same([PROGRAMS / "moments", "use", "thread", "fork", "deepbind", "exec"], **settings)
    machine.same([PROGRAMS / "runtime_static"], **settings)

"""How the runtime finds the driver: exactly as documented for the real one, since tools that watch a
program rely on it."""
import os

import pytest

from places import MAJORS, PROGRAMS, VARIANTS, SIMGPU, library_name

RTLD_NOW = 2
INSUFFICIENT_DRIVER, REQUIRES_NEWER_DRIVER, NO_DEVICE = 35, 36, 100


@pytest.fixture(params=VARIANTS)
def first_call(request):
    return PROGRAMS / request.param / "first_call"


def lookups(lines, how):
    return [tuple(line.split()[1:]) for line in lines if line.startswith(how + " ")]


def test_one_dlsym(first_call, on_probe):
    done, lines = on_probe([first_call], LD_PRELOAD=PROGRAMS / "probe" / "dl_probe.so")
    assert done.stdout == "0 1\n", done.stderr
    assert [line for line in lines if line.startswith("dl")] == \
        [f"dlopen libcuda.so.1 {RTLD_NOW}", "dlsym cuGetProcAddress_v2 0"]


def test_the_answer_for_cuGetProcAddress_is_used(first_call, on_probe):
    _, lines = on_probe([first_call])
    assert lookups(lines, "first") == [("cuGetProcAddress", "12000", "0")]
    assert len(lookups(lines, "then")) > 200


@pytest.mark.parametrize("name, version, flags", [
    ("cuInit", 2000, 0), ("cuMemAlloc", 3020, 0), ("cuMemFree", 3020, 0),
    ("cuMemAllocPitch", 3020, 0), ("cuMemAllocManaged", 6000, 0), ("cuMemHostAlloc", 2020, 0),
    ("cuMemFreeHost", 2000, 0), ("cuMemGetInfo", 3020, 0), ("cuMemAllocAsync", 11020, 0),
    ("cuMemAllocAsync", 11020, 2), ("cuMemAllocFromPoolAsync", 11020, 0),
    ("cuMemAllocFromPoolAsync", 11020, 2), ("cuMemFreeAsync", 11020, 0),
    ("cuMemFreeAsync", 11020, 2), ("cuArray3DCreate", 3020, 0), ("cuCtxGetDevice", 2000, 0),
    ("cuMemcpyHtoD", 3020, 0), ("cuMemcpyHtoD", 7000, 2)])
def test_versions_and_flags(first_call, on_probe, name, version, flags):
    _, lines = on_probe([first_call])
    assert (name, str(version), str(flags)) in lookups(lines, "then")


def test_names_have_no_suffix_and_come_once(first_call, on_probe):
    _, lines = on_probe([first_call])
    found = lookups(lines, "then")
    assert not [name for name, _, _ in found if name.endswith(("_v2", "_v3", "_ptsz", "_ptds"))]
    assert len(set(found)) == len(found)
    assert {flags for _, _, flags in found} == {"0", "2"}


def test_virtual_memory_is_left_to_applications(first_call, on_probe):
    _, lines = on_probe([first_call])
    names = {name for name, _, _ in lookups(lines, "then")}
    assert not names & {"cuMemCreate", "cuMemMap", "cuMemAddressReserve", "cuGetExportTable"}


def test_driver_older_than_the_runtime(first_call, on_probe):
    major = int(first_call.parent.name.replace("static", "13"))
    done, _ = on_probe([first_call], PROBE_VERSION=major * 1000 - 10)
    assert done.stdout == f"{INSUFFICIENT_DRIVER} 0\n"
    done, _ = on_probe([first_call], PROBE_VERSION=major * 1000)
    assert done.stdout == "0 1\n"


def test_no_device(first_call, on_probe):
    for settings in ({"PROBE_DEVICES": 0}, {"PROBE_INIT": NO_DEVICE}):
        done, _ = on_probe([first_call], **settings)
        assert done.stdout == f"{NO_DEVICE} 0\n"


def test_what_cuInit_returns_is_returned(first_call, on_probe):
    done, _ = on_probe([first_call], PROBE_INIT=802)
    assert done.stdout == "802 0\n"


def test_function_the_driver_lacks(first_call, on_probe):
    done, _ = on_probe([first_call, "then"])
    assert done.stdout.split() == ["0", "1", str(REQUIRES_NEWER_DRIVER)]


def test_no_driver(first_call, tmp_path, on_simgpu):
    for name in map(library_name, MAJORS):
        os.symlink(SIMGPU / name, tmp_path / name)
    real = [d for d in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")
            if os.path.exists(d + "/libcuda.so.1")]
    if real:
        pytest.skip(f"{real[0]} has a libcuda.so.1, so there is always a driver here")
    done = on_simgpu([first_call], LD_LIBRARY_PATH=tmp_path)
    assert done.stdout == f"{INSUFFICIENT_DRIVER} 0\n"

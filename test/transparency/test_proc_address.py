"""cuGetProcAddress answers as the driver does, for every name, version and flag."""

import re

import pytest
from conftest import PROGRAMS


@pytest.fixture
def names_file(machine, driver_names):
    path = machine.folder / "names"
    path.write_text("".join(name + "\n" for name in driver_names))
    return path


def replaced(result, version):
    """The functions of the guard that one version of cuGetProcAddress has answered, of all names."""
    found, current = set(), None
    for line in result.stdout.splitlines():
        if not line.startswith(" "):
            current = "v2" if line.endswith(" (v2)") else "v1"
        elif current == version:
            found.update(re.findall(r"\blibvramguard\.so:(cu\w+)", line))
    return found


@pytest.mark.parametrize("driver_version", [11040, 12040, 13000])
def test_every_name_version_and_flag(machine, names_file, driver_version):
    command = [PROGRAMS / "proc_address", names_file]
    _, guarded = machine.same(command, SIMGPU_DRIVER_VERSION=driver_version)
    assert len(replaced(guarded, "v2")) > 20
    assert replaced(guarded, "v1") == replaced(guarded, "v2")


def test_switched_off(machine, names_file):
    _, guarded = machine.same([PROGRAMS / "proc_address", names_file], VRAMGUARD="off")
    assert guarded.stdout.count("libvramguard.so:") == 0

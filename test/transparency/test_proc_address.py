"""cuGetProcAddress answers as the driver does, for every name, version and flag."""

import pytest
from conftest import PROGRAMS


@pytest.fixture
def names_file(machine, driver_names):
    path = machine.folder / "names"
    path.write_text("".join(name + "\n" for name in driver_names))
    return path


@pytest.mark.parametrize("driver_version", [11040, 12040, 13000])
def test_every_name_version_and_flag(machine, names_file, driver_version):
    command = [PROGRAMS / "proc_address", names_file]
    _, guarded = machine.same(command, SIMGPU_DRIVER_VERSION=driver_version)
    assert guarded.wrapped > 20


def test_switched_off(machine, names_file):
    _, guarded = machine.same([PROGRAMS / "proc_address", names_file], VRAMGUARD="off")
    assert guarded.stdout.count("libvramguard.so:") == 0

"""Differences between a bare and a guarded run that are known and not mended. They fail; the suite
does not run them. To see them: `test/transparency/run test/transparency/known.py`."""

from conftest import PROGRAMS


def test_dlerror_names_the_caller(machine):
    """After a look-up that the guard had to make behind itself, the text names the guard."""
    command = [PROGRAMS / "lookups", "none"]
    bare, guarded = machine.run(command, False), machine.run(command, True)
    assert bare.stdout == guarded.stdout


def test_another_wrapper_of_the_driver_is_passed_over(machine):
    """A library preloaded after the guard, with a cuMemFree_v2 of its own, is not called by a
    program that is linked with the driver: the guard comes first and calls the driver itself."""
    machine.after = [PROGRAMS / "libopened.so"]
    machine.same([PROGRAMS / "moments", "use"])

"""Each C program of this folder, linked with libcudart.so.13, .12, .11.0 and the static archive."""
import pytest

from places import PROGRAMS, VARIANTS

DEVICES = {"device": "64MiB,32MiB", "thread": "64MiB,32MiB"}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("program", ["alloc", "array", "code", "copy", "device", "entry_point",
                                     "forked", "graph", "pool", "stream", "thread"])
def test_program(on_simgpu, program, variant):
    done = on_simgpu([PROGRAMS / variant / program], devices=DEVICES.get(program, "64MiB"))
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("variant", VARIANTS)
def test_launches_are_announced(on_simgpu, variant):
    done = on_simgpu([PROGRAMS / variant / "code"], SIMGPU_QUIET="0")
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1 and "kernels are not executed" in done.stderr


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_program_that_does_not_fit(on_simgpu, variant):
    """The first context costs more than there is: the first call that needs one says so."""
    done = on_simgpu([PROGRAMS / variant / "first_call", "then"], devices="64MiB",
                     SIMGPU_CONTEXT="65MiB")
    assert done.stdout.split() == ["0", "1", "2"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_sticky_error(on_simgpu, variant):
    done = on_simgpu([PROGRAMS / variant / "sticky"], SIMGPU_FAIL="cuCtxSynchronize:2=719")
    assert (done.returncode, done.stderr) == (0, "")

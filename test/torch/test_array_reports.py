"""What a program without PyTorch is told of its arrays of CuPy, numba or JAX when it runs out of memory. They are in an
environment of their own (test_census_arrays.py)."""

import json
import re

import pytest
from conftest import CENSUS_PROBE, MIB, PROGRAMS
from test_census_arrays import NEEDS_ARRAYS, PYTHON

pytestmark = NEEDS_ARRAYS
ADDRESS = re.compile(r"\b0x[0-9a-f]+")
HISTORY = r"^ +(\S+ \wiB) +(\d+)x  `history` \(list of (\d+), array_failing\.py:\d+ (\w+)\)$"


def run(machine, case, **extra):
    """Bare and guarded they end alike. Returns the live report and that of `vramguard report`."""
    command = [PYTHON, PROGRAMS / "array_failing.py", case]
    extra.update(SIMGPU_DEVICES="4GiB,4GiB", CENSUS_PROBE=str(CENSUS_PROBE))
    bare = machine.run(command, **extra)
    for _ in range(3):  # a busy machine may not give the census the time that it has
        guarded = machine.run(command, True, **extra)
        if case == "kept_gil" or not re.search("not looked at|as far as there was time", guarded.guard_text):
            break
    assert bare.code == guarded.code == 0, guarded.stderr
    assert bare.stdout == guarded.stdout
    assert ADDRESS.sub("", bare.own_stderr) == ADDRESS.sub("", guarded.own_stderr)
    texts = []
    for text in guarded.guard_text, machine.vramguard("report").stdout:
        head, found, rest = text.partition("vramguard: GPU 0 out of memory")
        assert found, text
        assert not re.search("torch|tensor", rest.replace(str(PROGRAMS), ""), re.I), text
        texts.append(found + rest)
    return texts


def test_json(machine):
    """As for programs: the sums, the shapes and the variables of the text."""
    run(machine, "cupy_list")
    (failure,) = json.loads(machine.vramguard("report", "--json").stdout)["failures"]
    all_of_them, none = {"bytes": 2000 * MIB, "blocks": 20}, {"bytes": 0, "blocks": 0}
    arrays = failure["arrays"]
    assert failure["census"] is None and failure["cause"] == "held-arrays"
    assert [arrays[name] for name in ("complete", "cupy", "numba", "jax")] == [True, all_of_them, none, none]
    (shape,) = arrays["shapes"]
    assert shape == {"library": "cupy", "dtype": "float32", "shape": [25 * MIB], "amount": all_of_them}
    (history,) = arrays["variables"]
    assert (history["variable"], history["function"], history["length"]) == ("history", "cupy_list", 20)
    assert (history["cupy"], history["numba"], history["traceback"]) == (all_of_them, none, none)


def key(text, name):
    """What stands under this key of the first screen, on one line."""
    (found,) = re.findall(r"^  %s +(\S.*(?:\n {11,12}\S.*)*)" % name, text, re.M)
    return " ".join(found.split())


def test_numba_that_fills_the_gpu(machine):
    for text in run(machine, "numba_list"):
        assert re.search(r"^  Arrays on this GPU: numba 3\.52 GiB \(15x\)$", text, re.M), text
        assert re.search(r"^ +3\.50 GiB +14x  numba float64 \(256, 131072\)$", text, re.M), text
        assert re.search(r"^ +0\.02 GiB +1x  numba float64 \(16, 131072\)$", text, re.M), text
        assert re.search(HISTORY, text, re.M).groups() == ("3.50 GiB", "14", "14", "numba_list")
        assert "`history` (list of 14, array_failing.py:" in key(text, "why")
        assert "3.50 GiB of numba device arrays" in key(text, "why")
        assert "x.copy_to_host()" in key(text, "do")


@pytest.mark.parametrize("case", ["cupy_list", "cupy_gil"])
def test_cupy(machine, case):
    for text in run(machine, case):
        assert re.search(r"^  Arrays on this GPU: CuPy 1\.95 GiB \(20x\)$", text, re.M), text
        assert re.search(r"^ +1\.95 GiB +20x  CuPy float32 \(26214400,\)$", text, re.M), text
        assert re.search(HISTORY, text, re.M).groups() == ("1.95 GiB", "20", "20", case)


def test_what_a_library_works_with(machine):
    """No variable of the program's: it is in the table, and nothing is to be removed from it."""
    for text in run(machine, "of_library"):
        assert re.search(r"^ +1\.95 GiB +20x  `blocks` \(list of 20, pool\.py:3 solve\)$", text, re.M), text
        assert "blocks" not in key(text, "why") + key(text, "do"), text


def test_what_an_exception_keeps(machine):
    for text in run(machine, "cupy_in_exception"):
        assert re.search(r"^ +1\.95 GiB +20x  `kept_error` \(ValueError, ", text, re.M), text


def test_another_thread_keeps_the_gil(machine):
    for text in run(machine, "kept_gil", VRAMGUARD_POLICY="off"):
        assert "Arrays on this GPU: not looked at, another thread kept Python's lock (GIL)" in text
        assert "history" not in text


@pytest.mark.parametrize("case", ["numpy_only", "other_gpu", "deleted", "jax_on_cpu", "no_library"])
def test_what_looks_like_it(machine, case):
    for text in run(machine, case):
        assert "Arrays on this GPU" not in text and "history" not in text, text


def test_the_user_wants_none(machine):
    for text in run(machine, "cupy_list", VRAMGUARD_TENSORS="lines"):
        assert "Arrays on this GPU" not in text and "history" not in text


def test_an_injected_failure_looks_for_none(machine):
    for text in run(machine, "cupy_list", VRAMGUARD_INJECT="21"):
        assert "Arrays on this GPU" not in text

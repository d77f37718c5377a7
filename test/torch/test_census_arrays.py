"""The census of arrays of other libraries, against what these say themselves.

They are in an environment of their own, without PyTorch: ARRAYS_PYTHON, or that of scripts/install-torch arrays."""

import json

import pytest
from conftest import PROGRAMS, other_python

PYTHON, NEEDS_ARRAYS = other_python("arrays")
pytestmark = NEEDS_ARRAYS
LIBRARIES = ("cupy", "numba", "jax")
SHAPES = {
    "cupy": ["float32", [2000], [40960, 5]],
    "numba": ["float64", [1000], [40000, 5]],
    "jax": ["float32", [2000], [40000, 5]],
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_arrays(census_machine, library):
    result = census_machine.run([PYTHON, PROGRAMS / "census_arrays.py", library], SIMGPU_DEVICES="4GiB,4GiB")
    assert result.code == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines
    for line in lines:
        census = line["census"]
        assert census["state"] == 1
        assert census[library] == line["truth"]
        assert [census[other] for other in LIBRARIES if other != library] == [[0, 0], [0, 0]]
    history = lines[0]["census"]["variables"][0]
    assert (history["path"], history["type"], history["length"]) == ("history", "list", 5)
    assert history[library] == lines[0]["truth"]
    assert history["direct"] == history["graph"] == [0, 0]  # they are no tensors
    (shape,) = lines[0]["census"]["array_shapes"]
    assert shape["library"] == LIBRARIES.index(library)
    assert [shape["shape"][name] for name in ("dtype", "sizes", "amount")] == SHAPES[library]

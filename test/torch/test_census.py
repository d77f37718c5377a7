"""The census against PyTorch's own answers, at random moments and when memory has run out."""

import json

import pytest

KINDS = ("parameter", "gradient", "optimizer", "buffer", "other", "graph")
MIB = 1 << 20


@pytest.mark.parametrize("seed", range(4))
def test_kinds_are_exact(census_machine, seed):
    result = census_machine.run(census_machine.program("census_numbers", seed))
    assert result.code == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) > 3
    for line in lines:
        census = line["census"]
        assert census["state"] == 1
        assert {kind: census[kind] for kind in KINDS} == line["truth"], line["moment"]
        assert sum(census[kind][0] for kind in KINDS) == census["total"][0]


def fail(machine, where, tmp_path):
    told = tmp_path / "told"
    result = machine.run(machine.program("census_failing", where, told), SIMGPU_DEVICES="1100MiB")
    assert result.code == 0, result.stderr
    assert result.stdout == "OutOfMemoryError CUDA out of memory.\n"
    return [json.loads(line) for line in told.read_text().splitlines()]


def known_bytes(census):
    return sum(census[kind][0] for kind in KINDS)


def test_forward(census_machine, tmp_path):
    (failure,) = fail(census_machine, "forward", tmp_path)
    census = failure["census"]
    assert failure["device"] == 0 and failure["asked"] == 20 * MIB
    assert census["state"] == 1
    assert census["parameter"] == [32 * MIB, 4]
    assert census["total"][0] - known_bytes(census) <= 16 * MIB  # what C++ holds in the middle of an operator
    history, *_ = census["variables"]
    assert (history["path"], history["type"], history["function"]) == ("history", "list", "forward")
    assert history["direct"] == [512 * history["length"], history["length"]]
    assert history["graph"][0] > census["total"][0] * 0.8


def test_backward(census_machine, tmp_path):
    """On autograd's thread, which has no Python frames of the program's."""
    (failure,) = fail(census_machine, "backward", tmp_path)
    census = failure["census"]
    assert failure["asked"] == 4096 * MIB
    assert census["state"] == 1
    assert census["parameter"] == [32 * MIB, 4]
    assert census["gradient"] == [32 * MIB, 4]
    assert "loss" in [variable["path"] for variable in census["variables"]]


def test_optimizer_step(census_machine, tmp_path):
    (failure,) = fail(census_machine, "step", tmp_path)
    census = failure["census"]
    assert census["state"] == 1
    assert census["parameter"] == [240 * MIB, 4] and census["gradient"] == [240 * MIB, 4]
    assert census["optimizer"][0] > 0
    (outermost, *layers) = census["modules"]
    assert outermost["path"] == "Sequential" and outermost["parameter"] == [240 * MIB, 4]
    assert {layer["path"] for layer in layers} == {"Sequential.%d" % i for i in range(4)}
    assert all(layer["parameter"] == layer["gradient"] == [60 * MIB, 1] for layer in layers)


def test_thread(census_machine, tmp_path):
    (failure,) = fail(census_machine, "on_thread", tmp_path)
    variable = failure["census"]["variables"][0]
    assert (variable["path"], variable["type"], variable["thread"]) == ("kept", "list", 1)
    assert variable["direct"] == failure["census"]["total"]


def test_among_threads(census_machine, tmp_path):
    failures = fail(census_machine, "among_threads", tmp_path)
    for failure in failures:
        census = failure["census"]
        assert census["state"] == 1
        assert known_bytes(census) <= census["total"][0]
    history = failures[0]["census"]["variables"][0]
    assert history["path"] == "history" and history["direct"][1] == history["length"]

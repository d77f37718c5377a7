"""The census against PyTorch's own answers, at random moments and when memory has run out."""

import json

import pytest
from conftest import skip_what_is_lacking, skip_without_cuda

KINDS = ("parameter", "gradient", "optimizer", "buffer", "other", "graph")
MIB = 1 << 20


@pytest.mark.parametrize("seed", range(4))
def test_kinds_are_exact(census_machine, seed):
    skip_without_cuda()
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
    skip_without_cuda()
    told = tmp_path / "told"
    result = machine.run(machine.program("census_failing", where, told), SIMGPU_DEVICES="1100MiB")
    skip_what_is_lacking(result)
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


def test_operator_in_backward(census_machine, tmp_path):
    """A node of PyTorch's own, which holds a lock of its own while it runs out of memory."""
    (failure,) = fail(census_machine, "operator_in_backward", tmp_path)
    census = failure["census"]
    assert census["state"] == 1
    assert census["graph"][0] >= 200 * MIB


@pytest.mark.parametrize("way", ("dtensor", "fsdp", "flat_fsdp", "ddp"))
def test_distributed(census_machine, way):
    """Wherever the numbers of two layers of 32 x 32 lie, they are told as the model's."""
    result = census_machine.run(census_machine.program("census_distributed", way))
    skip_what_is_lacking(result)
    assert result.code == 0, result.stderr
    census = json.loads(result.stdout.splitlines()[-1])
    numbers_bytes = 2 * (32 * 32 + 32) * 4
    assert census["state"] == 1
    assert census["parameter"][0] - numbers_bytes in (0, 128)  # a DTensor case: the loop's own variable
    assert census["gradient"][0] == numbers_bytes
    assert census["optimizer"][0] - 2 * numbers_bytes in (4, 16)  # and its step counters
    outermost = census["modules"][0]
    assert outermost["depth"] == 0
    for kind in ("gradient", "optimizer"):
        assert outermost[kind] == census[kind]
    assert outermost["parameter"][0] == numbers_bytes
    assert [v["path"] for v in census["variables"] if v["model"][0] > numbers_bytes] == ["optimizer", "net"]

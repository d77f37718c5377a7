"""How many of a batch fit at most is said where it can be told, and is so; else nothing of it is said."""

import json
import re

import pytest
from conftest import REAL_GPU, ROOT, needs_cuda

pytestmark = [needs_cuda(), pytest.mark.skipif(REAL_GPU, reason="needs a GPU of a known size")]


def last_do(machine, name, size, gpu):
    """What to do about it, and the record of the batch."""
    result = machine.run(machine.program("batch_fits", name, str(size)), True, VRAMGUARD_POLICY="off", SIMGPU_DEVICES=gpu)
    assert result.code != 0 and "OutOfMemoryError" in result.stderr, result.stderr
    failure = json.loads(machine.vramguard("report", "--json").stdout)["failures"][-1]
    return failure["do"], failure["census"]["batch"]


def fits(machine, name, size, gpu):
    result = machine.run(machine.program("batch_fits", name, str(size)), SIMGPU_DEVICES=gpu)
    assert "done\n" in result.stdout or "OutOfMemoryError" in result.stderr, result.stderr
    return "done\n" in result.stdout


TAKEN, LAYERS = "by what it has taken so far", r"if the other layers keep as much as the first \d"

# The size of the batch and of the GPU, under what condition it is told, and how much of what is said to
# fit at most does so at least.
TOLD = {
    "plain": (32, "770MiB", TAKEN, 0.9),
    "loader": (32, "770MiB", TAKEN, 0.9),
    "sampler": (32, "770MiB", TAKEN, 0.9),
    "arguments": (32, "770MiB", TAKEN, 0.9),
    "mapping": (32, "770MiB", TAKEN, 0.9),
    "layers": (64, "1000MiB", LAYERS, 0.8),
    "layers_late": (64, "1300MiB", LAYERS, 0.8),
    "sequential": (64, "1000MiB", LAYERS, 0.8),
    "logits": (32, "700MiB", TAKEN, 0.75),
    "data_on_gpu": (32, "780MiB", TAKEN, 0.9),
    "heads": (64, "879MiB", LAYERS, 0.75),  # layers, not their heads, of which there are more
}


@pytest.mark.parametrize("case", TOLD)
def test_what_fits_at_most(machine, case):
    name = case.partition("_late")[0]
    size, gpu, condition, share = TOLD[case]
    do, batch = last_do(machine, name, size, gpu)
    said = re.match(rf"a smaller batch \(with gradient accumulation\): of this one's {size} at most (\d+) fit, {condition};", do)
    assert said, (do, batch)
    most = int(said.group(1))
    assert 0 < most < size and batch["size"] == size
    assert not fits(machine, name, most + 1, gpu)
    assert fits(machine, name, int(most * share), gpu), most


def test_what_is_to_come_is_what_comes(machine):
    """Wherever a forward pass fails, in the fourth layer or in the last."""
    whole = machine.run(machine.program("batch_fits", "layers", "64"), SIMGPU_DEVICES="4GiB").stdout
    (taken,) = [int(line.split()[1]) for line in whole.splitlines() if line.startswith("forward")]
    done = set()
    for room in range(300, 1120, 90):  # less than a layer takes
        _, batch = last_do(machine, "layers", 64, f"{room + 330}MiB")
        if batch["layer_bytes"]:
            done.add(batch["layers_done"])
            assert 0.95 * taken <= batch["bytes"] + batch["coming_bytes"] <= taken, (room, batch, taken)
    assert done == set(range(3, 8)), done


# Those of which it cannot be told: how memory grows, what the batch is, or how far it has come.
UNTOLD = {
    "contrastive": (16384, "3GiB"),
    "pairs": (463, "750MiB"),
    "triplets": (500, "2GiB"),
    "views": (8192, "2400MiB"),
    "stacked": (6000, "1498MiB"),
    "others": (257, "600MiB"),
    "joined": (32, "711MiB"),
    "words_first_of_two": (64, "1210MiB"),
    "shrinking": (32, "950MiB"),
    "nameless": (32, "770MiB"),
    "words_first": (32, "750MiB"),
    "other_loader": (16, "520MiB"),
    "channels": (64, "750MiB"),
    "micro": (32, "770MiB"),
    "plain": (32, "700MiB"),  # it fails in the forward pass, of which nobody knows how much is to come
}


@pytest.mark.parametrize("name", UNTOLD)
def test_what_cannot_be_told(machine, name):
    size, gpu = UNTOLD[name]
    do, batch = last_do(machine, name, size, gpu)
    assert not re.search(r"at most \d+ fit|not even 1|is 1 already", do), (do, batch)
    assert name in ("plain", "shrinking") or batch is None, batch


def test_a_batch_of_one(machine):
    do, batch = last_do(machine, "one", 32, "750MiB")
    assert do.startswith("shorter or smaller inputs (the batch is 1 already); activation checkpointing"), do
    assert batch["size"] == 1


def test_not_even_one(machine):
    do, batch = last_do(machine, "long_texts", 2, "550MiB")
    assert re.match(r"shorter or smaller inputs: not even 1 of this batch's 2 fits, if the other", do), (do, batch)
    assert not fits(machine, "long_texts", 1, "550MiB")


def test_the_report_tells_the_batch(machine):
    last_do(machine, "layers", 64, "1000MiB")
    report = " ".join(machine.vramguard("report").stdout.split())
    assert re.search(
        r"Batch 64, the first dimension of tensors of \S+ MiB; the forward pass is in layer \d of 8, and each one before "
        r"it keeps 1\d\d MiB",
        report,
    ), report


def test_the_readme_quotes_what_is_said(machine):
    do, _ = last_do(machine, "layers", 64, "1000MiB")
    said = do.partition(": ")[2].partition(";")[0]
    assert said and f"`{said}`" in " ".join((ROOT / "README.md").read_text().split())

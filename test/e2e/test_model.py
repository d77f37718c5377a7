"""The model scripts themselves: the file is what it says, the loader sees what is there."""

import json
import struct
import subprocess
import sys

import pytest
from conftest import MODEL

sys.path.insert(0, str(MODEL))
import make_checkpoint  # noqa: E402


def make(path, *options):
    command = [sys.executable, MODEL / "make_checkpoint.py", *options, path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def read_header(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return 8 + length, json.loads(file.read(length))


@pytest.mark.parametrize(
    "config, parameters",
    # BertForPreTraining with the decoder tied to the word embeddings.
    [("bert-large-uncased", 336_226_108), ("bert-base-uncased", 110_106_428)],
)
def test_parameter_counts_are_those_of_the_published_models(config, parameters):
    shapes = make_checkpoint.tensor_shapes(config)
    assert sum(map(make_checkpoint.element_count, shapes.values())) == parameters


def test_base_file_has_the_published_size_to_the_byte():
    shapes = make_checkpoint.tensor_shapes("bert-base-uncased")
    header, data_bytes = make_checkpoint.build_header(shapes, "F32")
    assert len(header) + data_bytes == 440_449_768


@pytest.mark.parametrize("dtype, item_bytes", [("F32", 4), ("F16", 2)])
def test_file_is_wellformed(tmp_path, dtype, item_bytes):
    path = tmp_path / "model.safetensors"
    assert make(path, "--config", "tiny", "--dtype", dtype).returncode == 0
    data_start, header = read_header(path)
    assert header.pop("__metadata__") == {"format": "pt"}
    assert data_start % 8 == 0
    end_of_last = 0
    for entry in header.values():
        begin, end = entry["data_offsets"]
        assert entry["dtype"] == dtype
        assert begin == end_of_last
        assert end - begin == make_checkpoint.element_count(entry["shape"]) * item_bytes
        end_of_last = end
    assert path.stat().st_size == data_start + end_of_last


def test_large_file_is_sparse(tmp_path):
    path = tmp_path / "model.safetensors"
    make(path)
    assert path.stat().st_size > 1_344_904_432
    assert path.stat().st_blocks * 512 < 16 << 20


def test_valid_file_is_reused_and_damaged_one_is_replaced(tmp_path):
    path = tmp_path / "model.safetensors"
    make(path, "--config", "tiny")
    first = path.stat()
    content = path.read_bytes()
    assert "already there" in make(path, "--config", "tiny").stdout
    assert path.stat().st_ino == first.st_ino
    with open(path, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    assert "made" in make(path, "--config", "tiny").stdout
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    result = make(tmp_path / "file" / "model.safetensors", "--config", "tiny")
    assert result.returncode == 1
    assert result.stderr.startswith("make_checkpoint: cannot write ")
    assert result.stderr.count("\n") == 1


def test_loader_verifies_every_tensor(machine, load_model):
    result = machine.run(load_model)
    assert result.code == 0, result.stderr
    assert result.stdout.splitlines()[-1].startswith("verified 46 tensors, 17733872 bytes, crc32 ")


def test_loader_sees_memory_that_changed_on_the_device(machine, tiny_checkpoint):
    damage = (
        "import sys, run_model as m\n"
        "copy = m.Device.to_device\n"
        "def damaged(self, address, size):\n"
        "    pointer = copy(self, address, size)\n"
        "    self._runtime.copy_to_device(pointer, b'damage', 6)\n"
        "    return pointer\n"
        "m.Device.to_device = damaged\n"
        "m.main()\n"
    )
    result = machine.run(
        [sys.executable, "-c", damage, tiny_checkpoint], PYTHONPATH=str(MODEL)
    )
    assert result.code == 1
    assert "in the file" in result.own_stderr and "on the GPU" in result.own_stderr


def test_copies_and_extra_take_that_much_more(machine, load_model):
    assert machine.run([*load_model, "--copies", "3", "--extra", "100MiB"]).code == 0
    result = machine.run([*load_model, "--copies", "3", "--extra", "200MiB"])
    assert result.code == 1
    assert "CUDA out of memory. Tried to allocate" in result.own_stderr


def test_neighbour_ends_with_its_standard_input(machine):
    neighbour = machine.neighbour("64MiB")
    assert machine.stop(neighbour).code == 0


def test_neighbour_ends_cleanly_on_a_signal(machine):
    neighbour = machine.neighbour("64MiB")
    neighbour.terminate()
    assert machine.finish(neighbour).code == 0


def test_bad_size_names_what_is_wrong(machine):
    result = machine.run([sys.executable, MODEL / "hold_memory.py", "3x"])
    assert result.code == 2
    assert '"3x" is not a size such as' in result.own_stderr

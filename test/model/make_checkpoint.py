#!/usr/bin/env python3
"""Make a BERT checkpoint with real names and shapes in the safetensors format, locally.

The file has the tensors of Hugging Face's published `bert-large-uncased`
(BertForPreTraining: encoder, pooler and both pretraining heads; the decoder weight is
tied to the word embeddings and therefore not stored), in the order in which safetensors
writes them. The weights are not trained ones: each tensor carries deterministic
pseudo-random values in its first and last 4 KiB and zeros between them, so the file is
sparse (3 MiB on disk instead of 1.3 GB) and a checksum over a tensor still means something.

Format: https://github.com/huggingface/safetensors#format
"""

import argparse
import contextlib
import json
import os
import random
import struct
import sys
import tempfile

CONFIGS = {
    "bert-large-uncased": dict(hidden=1024, layers=24, intermediate=4096),
    "bert-base-uncased": dict(hidden=768, layers=12, intermediate=3072),
    "tiny": dict(hidden=128, layers=2, intermediate=512),
}
VOCABULARY = 30522
POSITIONS = 512
TOKEN_TYPES = 2

ITEM_BYTES = {"F32": 4, "F16": 2}
STRUCT_CODE = {"F32": "f", "F16": "e"}
EDGE_BYTES = 4096


def layer_norm(prefix, hidden):
    # The published file keeps TensorFlow's names for weight and bias.
    return {prefix + ".gamma": [hidden], prefix + ".beta": [hidden]}


def linear(prefix, inputs, outputs):
    return {prefix + ".weight": [outputs, inputs], prefix + ".bias": [outputs]}


def tensor_shapes(config_name):
    """Return {tensor name: shape} of one configuration, sorted as the published file is."""
    config = CONFIGS[config_name]
    hidden, intermediate = config["hidden"], config["intermediate"]
    shapes = {
        "bert.embeddings.word_embeddings.weight": [VOCABULARY, hidden],
        "bert.embeddings.position_embeddings.weight": [POSITIONS, hidden],
        "bert.embeddings.token_type_embeddings.weight": [TOKEN_TYPES, hidden],
        **layer_norm("bert.embeddings.LayerNorm", hidden),
    }
    for index in range(config["layers"]):
        layer = "bert.encoder.layer.%d." % index
        for part in ("query", "key", "value"):
            shapes.update(linear(layer + "attention.self." + part, hidden, hidden))
        shapes.update(linear(layer + "attention.output.dense", hidden, hidden))
        shapes.update(layer_norm(layer + "attention.output.LayerNorm", hidden))
        shapes.update(linear(layer + "intermediate.dense", hidden, intermediate))
        shapes.update(linear(layer + "output.dense", intermediate, hidden))
        shapes.update(layer_norm(layer + "output.LayerNorm", hidden))
    shapes.update(linear("bert.pooler.dense", hidden, hidden))
    shapes["cls.predictions.bias"] = [VOCABULARY]
    shapes.update(linear("cls.predictions.transform.dense", hidden, hidden))
    shapes.update(layer_norm("cls.predictions.transform.LayerNorm", hidden))
    shapes.update(linear("cls.seq_relationship", hidden, 2))
    return dict(sorted(shapes.items()))


def element_count(shape):
    count = 1
    for length in shape:
        count *= length
    return count


def build_header(shapes, dtype):
    """Return (header bytes with their length prefix, bytes of tensor data)."""
    entries = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shapes.items():
        end = offset + element_count(shape) * ITEM_BYTES[dtype]
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data starts at a multiple of 8
    return struct.pack("<Q", len(text)) + text, offset


def edge_values(name, which, size_bytes, dtype):
    """Return deterministic bytes that decode to small weights, as an initialised model has."""
    next_value = random.Random("%s/%s" % (name, which)).random
    count = size_bytes // ITEM_BYTES[dtype]
    values = ((next_value() - 0.5) * 0.08 for _ in range(count))
    return struct.pack("<%d%s" % (count, STRUCT_CODE[dtype]), *values)


def edges(shapes, dtype, data_start):
    """Yield (file offset, bytes) of each piece that is not zero."""
    offset = data_start
    for name, shape in shapes.items():
        size = element_count(shape) * ITEM_BYTES[dtype]
        first = min(size, EDGE_BYTES)
        last = min(size - first, EDGE_BYTES)
        yield offset, edge_values(name, "first", first, dtype)
        if last:
            yield offset + size - last, edge_values(name, "last", last, dtype)
        offset += size


def is_valid(path, header, data_bytes, shapes, dtype):
    """Answer whether the file is complete and exactly what this script would write."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size != len(header) + data_bytes:
                return False
            if file.read(len(header)) != header:
                return False
            for offset, content in edges(shapes, dtype, len(header)):
                file.seek(offset)
                if file.read(len(content)) != content:
                    return False
            return True
    except OSError:
        return False


def write_checkpoint(path, header, data_bytes, shapes, dtype):
    """Write the file under a temporary name and rename it, so that it is whole or absent."""
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".checkpoint-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(header)
            file.truncate(len(header) + data_bytes)
            for offset, content in edges(shapes, dtype, len(header)):
                file.seek(offset)
                file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="file to make (reused when it is already right)")
    parser.add_argument("--config", choices=CONFIGS, default="bert-large-uncased")
    parser.add_argument("--dtype", choices=ITEM_BYTES, default="F32")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    shapes = tensor_shapes(arguments.config)
    header, data_bytes = build_header(shapes, arguments.dtype)
    facts = (arguments.path, len(shapes), data_bytes)
    if is_valid(arguments.path, header, data_bytes, shapes, arguments.dtype):
        print("%s: already there, %d tensors, %d bytes" % facts)
        return 0
    try:
        write_checkpoint(arguments.path, header, data_bytes, shapes, arguments.dtype)
    except OSError as error:
        reason = "make_checkpoint: cannot write %s: %s" % (arguments.path, error.strerror)
        print(reason, file=sys.stderr)
        return 1
    print("%s: made, %d tensors, %d bytes" % facts)
    return 0


if __name__ == "__main__":
    sys.exit(main())

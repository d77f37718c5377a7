#!/usr/bin/env python3
"""Loads a saved BERT classifier onto the GPU, as people do. See --help."""

import argparse
import sys
import time

import torch
from transformers import AutoModelForSequenceClassification


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--device-map", help='"cuda" or "auto": from_pretrained places the weights')
    parser.add_argument("--copies", type=int, default=1, help="loads of the model, all kept")
    parser.add_argument("--fall-back", action="store_true", help="to the CPU, out of memory")
    parser.add_argument("--verify", action="store_true", help="copies the weights back, compares")
    parser.add_argument("--hold", type=float, default=0, metavar="SECONDS")
    return parser.parse_args()


def load(arguments):
    if arguments.device_map:
        return AutoModelForSequenceClassification.from_pretrained(
            arguments.folder, device_map=arguments.device_map
        )
    model = AutoModelForSequenceClassification.from_pretrained(arguments.folder)
    return model.to("cuda")


def load_with_fallback(arguments):
    try:
        return load(arguments)
    except torch.cuda.OutOfMemoryError as error:
        print("falling back to the CPU:", str(error).split(".")[0])
        return AutoModelForSequenceClassification.from_pretrained(arguments.folder)


def places(model):
    """How much lies where: {"cuda": MiB, ...}."""
    sums = {}
    for parameter in model.parameters():
        sums[parameter.device.type] = sums.get(parameter.device.type, 0) + parameter.nbytes
    return {device: size >> 20 for device, size in sorted(sums.items())}


def is_as_saved(model, folder):
    saved = AutoModelForSequenceClassification.from_pretrained(folder).state_dict()
    return all(torch.equal(value.cpu(), saved[name]) for name, value in model.state_dict().items())


def main():
    arguments = parse_arguments()
    models = []
    for _ in range(arguments.copies):
        models.append((load_with_fallback if arguments.fall_back else load)(arguments))
        print("loaded", places(models[-1]), flush=True)
    if arguments.fall_back and "cpu" in places(models[0]):
        with torch.no_grad():
            logits = models[0](input_ids=torch.arange(8)[None]).logits
        print("computed", tuple(logits.shape), bool(logits.isfinite().all()))
    if arguments.verify:
        print("as saved", all(is_as_saved(model, arguments.folder) for model in models))
    time.sleep(arguments.hold)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Prints the fastest census in milliseconds, how many objects it looked at, and the minor version of this Python:
census_time.py PROGRAMS ROUNDS. A million objects and 100,000 tensors, all of which are walked through."""

import sys

sys.path.insert(0, sys.argv[1])
import census_probe
import torch

OBJECTS, TENSORS = 1_000_000, 100_000


class Thing:
    pass


def make_objects():
    objects = []
    for i in range(OBJECTS // 4):
        thing = Thing()
        thing.held = [i]
        objects += [thing, {"a": [i]}]
    return objects


def main(rounds):
    objects = make_objects()  # walked through before the tensors are reached
    tensors = [torch.empty(4) for _ in range(TENSORS)]
    blocks = [census_probe.storage_of(tensor) for tensor in tensors]
    censuses = [census_probe.take(blocks) for _ in range(rounds)]
    for census in censuses:
        assert census["state"] == 1 and census["other"] == [16 * TENSORS, TENSORS], census
        assert census["variables"][0]["path"] == "tensors", census["variables"]
    print(min(census["elapsed_ns"] for census in censuses) / 1e6, censuses[0]["objects"], sys.version_info.minor)
    return objects


main(int(sys.argv[2]))

"""The table of lines in the report is that of PyTorch's own history, whole and to the byte: of each program here
that runs out of memory, when it does and at its end, and of programs made at random. TABLE_PROGRAMS names a
folder with more of them, a shell script each (*/run.sh)."""

import collections
import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import PROGRAMS, needs_cuda
from test_causes import CAUSES

MORE = os.environ.get("TABLE_PROGRAMS")
TABLES = Path(__file__).resolve().parent / "tables"
pytestmark = needs_cuda()
LIBRARY = ("/site-packages/", "/dist-packages/", "/lib/python3.")
COMMON = {"SIMGPU_DEVICES": "1400MiB", "VRAMGUARD_POLICY": "off"}


def own_line(frames):
    """The innermost line of the program's own code."""
    for path, line in frames:
        if not path.startswith("<frozen ") and not any(part in path for part in LIBRARY):
            return path, line
    return None


def table_of_history(path):
    table = collections.defaultdict(lambda: [0, 0])
    for device, size, frames in json.loads(path.read_text()):
        row = table[device, own_line(frames)]
        row[0] += size
        row[1] += 1
    return dict(table)


def table_of_report(machine, path):
    result = machine.vramguard("report", "--json", str(path))
    assert result.code == 0, result.stderr
    table = collections.defaultdict(lambda: [0, 0])
    for device in json.loads(result.stdout)["devices"]:
        blocks = device["blocks"]
        if blocks is None:
            continue
        assert blocks["rest_bytes"] == 0  # nothing is cut
        for site in blocks["sites"]:
            if site["live_count"]:
                line = site["line"] and (site["line"]["path"], site["line"]["line"])
                row = table[device["gpu"]["ordinal"], line]
                row[0] += site["live_bytes"]
                row[1] += site["live_count"]
    return dict(table)


def compare(machine, folder):
    """Returns how many moments and how many lines were compared."""
    moments = lines = 0
    for truth in sorted(folder.glob("*.truth")):
        of_history = table_of_history(truth)
        of_report = table_of_report(machine, truth.with_suffix(".vgr"))
        differing = {
            key: (of_report.get(key), of_history.get(key))
            for key in of_report.keys() | of_history.keys()
            if of_report.get(key) != of_history.get(key)
        }
        assert not differing, "%s: {line: (ours, PyTorch's)} %s" % (truth.name, differing)
        moments += 1
        lines += len(of_history)
    return moments, lines


@pytest.fixture
def tables(machine):
    folder = machine.folder / "tables"
    folder.mkdir()
    return {"TABLES": str(folder), "PYTHONPATH": str(TABLES)}


@pytest.mark.parametrize("cause", CAUSES)
def test_programs_that_run_out(machine, tables, cause):
    result = machine.run(machine.program("causes", cause), True, **COMMON, **tables)
    assert result.code == 1 and "out of memory" in result.stderr
    assert compare(machine, Path(tables["TABLES"]))[0] >= 2  # where it gave up, and at its end


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("settings", [{}, {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}])
def test_random_programs(machine, tables, seed, settings):
    command = machine.program("random_lines", seed, 400)
    result = machine.run(command, True, **{**COMMON, "SIMGPU_DEVICES": "350MiB,350MiB"}, **tables, **settings)
    assert result.code == 0, result.stderr
    moments, lines = compare(machine, Path(tables["TABLES"]))
    assert moments >= 2 and lines > 20


def more_programs():
    return sorted(path.parent.name for path in Path(MORE).glob("*/run.sh")) if MORE else []


@pytest.mark.parametrize("name", more_programs())
def test_more_programs(machine, tables, name):
    environment = {**os.environ, **tables, "P": str(PROGRAMS.parents[2])}
    subprocess.run(["bash", Path(MORE) / name / "run.sh"], env=environment, capture_output=True)
    print("%s: %d moments, %d lines" % (name, *compare(machine, Path(tables["TABLES"]))))

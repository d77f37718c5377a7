"""The table of lines in the report is that of PyTorch's own history, whole and to the byte: of each program here
that runs out of memory, when it does and at its end, and of programs made at random. TABLE_PROGRAMS names a
folder with more of them, a shell script each (*/run.sh, of those that name PY, the Python with PyTorch; it ends
with code 0, or with 77 where something is missing): make check-tables."""

import collections
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import PROGRAMS, VERSION, needs_cuda, skip_what_is_lacking
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


OBSERVED = VERSION >= [2, 0]  # 1.13 tells nobody that it gives up
BESIDE = {"cache_in_way", "cache_in_use"}  # where another library runs out


@pytest.mark.parametrize("cause", CAUSES)
def test_programs_that_run_out(machine, tables, cause):
    result = machine.run(machine.program("causes", cause), True, **COMMON, **tables)
    assert result.code == 1 and "out of memory" in result.stderr
    moments = 1 if cause in BESIDE or not OBSERVED else 2  # at its end; where PyTorch gave up
    assert compare(machine, Path(tables["TABLES"]))[0] >= moments


# Before 2.4 PyTorch gives an observer of failures, as the table's, to the first GPU and breaks the others.
GPUS = "350MiB,350MiB" if VERSION >= [2, 4] else "350MiB"


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("settings", [{}, {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}])
def test_random_programs(machine, tables, seed, settings):
    command = machine.program("random_lines", seed, 400)
    result = machine.run(command, True, **{**COMMON, "SIMGPU_DEVICES": GPUS}, **tables, **settings)
    skip_what_is_lacking(result)
    assert result.code == 0, result.stderr
    moments, lines = compare(machine, Path(tables["TABLES"]))
    assert moments >= (2 if OBSERVED else 1) and lines > (20 if OBSERVED else 5)


def lines_of(machine, settings, level):
    """Of a program that ends nowhere near the end of the memory: {line: (bytes, count)} of what PyTorch allocated, by what
    the report says of the level, with each backend the same program."""
    command = machine.program("random_lines", 5, 400, 120000, "wait")
    process = machine.start(command, True, stdin=subprocess.PIPE, SIMGPU_DEVICES="8GiB,8GiB", VRAMGUARD_POLICY="off", **settings)
    if process.stdout.readline() != "ready\n":
        result = machine.finish(process)
        skip_what_is_lacking(result)
        pytest.fail(result.stderr)
    report = machine.vramguard("report", "--json", str(process.pid))
    assert machine.finish(process).code == 0
    table = collections.defaultdict(lambda: [0, 0])
    for device in json.loads(report.stdout)["devices"]:
        assert device[level]["rest_bytes"] == 0
        for site in device[level]["sites"]:
            if site["live_count"] and site["line"]:
                row = table[device["gpu"]["ordinal"], site["line"]["path"], site["line"]["line"]]
                row[0] += site["live_bytes"]
                row[1] += site["live_count"]
    return table


def test_each_backend_gives_the_same_table(machine):
    """PyTorch's own allocator rounds up to 512 bytes, below a MiB; what it asks of the driver's pools is asked as it is."""
    native = lines_of(machine, {}, "blocks")
    pools = lines_of(machine, {"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"}, "allocations")
    assert len(native) > 20
    assert {line: count for line, (_, count) in native.items()} == {line: count for line, (_, count) in pools.items()}
    for line, (size, count) in native.items():
        assert size % 512 == 0 and 0 <= size - pools[line][0] < 512 * count, line


def more_programs():
    scripts = sorted(Path(MORE).glob("*/run.sh")) if MORE else []
    return [path.parent.name for path in scripts if re.search("needs_torch|have_torch|\\bPY\\b", path.read_text())]


@pytest.mark.skipif(not MORE, reason="no TABLE_PROGRAMS: make check-tables TABLE_PROGRAMS=FOLDER")
def test_there_are_more_programs():
    assert more_programs(), "no */run.sh with PyTorch in " + MORE


@pytest.mark.parametrize("name", more_programs())
def test_more_programs(machine, tables, name):
    environment = {"LIMIT": "400", **os.environ, **tables, "P": str(PROGRAMS.parents[2])}
    result = subprocess.run(["bash", Path(MORE) / name / "run.sh"], env=environment, capture_output=True, text=True)
    if result.returncode == 77:
        pytest.skip(result.stdout.strip())
    assert result.returncode == 0, result.stdout + result.stderr
    moments, lines = compare(machine, Path(tables["TABLES"]))
    print("%s: %d moments, %d lines" % (name, moments, lines))
    assert moments >= 1, "nothing was compared: " + result.stdout + result.stderr

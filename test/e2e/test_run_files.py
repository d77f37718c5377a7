"""Run files of every released format, made by the version that wrote it: all that they say is read.

run_files/VERSION-END.vgr.xz are files of one program (program.py; `make` makes them): three places that
allocate, two marks, a call that was rescued by spilling, failures, and an end by exit(3), by SIGKILL
or by _exit(4). Beside the killed one another process held memory.
"""

import json
import lzma
import re
from pathlib import Path

import pytest

FILES = Path(__file__).parent / "run_files"
VERSIONS = sorted({path.name.split("-")[0] for path in FILES.glob("*.vgr.xz")})
ENDS = ["exited", "killed", "_exit"]


def report_of(machine, version, end, *options):
    """What the tool says of a file, in one line with single blanks."""
    path = machine.folder / ("%s-%s.vgr" % (version, end))
    path.write_bytes(lzma.decompress((FILES / (path.name + ".xz")).read_bytes()))
    result = machine.vramguard("report", *options, path)
    assert result.code == 0 and result.stderr == "", result.stderr
    return " ".join(result.stdout.split())


def test_there_is_a_file_of_each_version():
    assert "version3" in VERSIONS
    for version in VERSIONS:
        for end in ENDS:
            assert (FILES / ("%s-%s.vgr.xz" % (version, end))).exists()


@pytest.mark.parametrize("version", VERSIONS)
def test_ends(machine, version):
    assert "exit code 3" in report_of(machine, version, "exited")
    for end in ("killed", "_exit"):
        assert "no end was recorded" in report_of(machine, version, end)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("version", VERSIONS)
def test_failures_marks_and_sites(machine, version, end):
    text = report_of(machine, version, end, "--all")
    assert len(re.findall(r"GPU 0 out of memory: \S+ asked 1000 MiB; [\d.]+ MiB of 320 MiB", text)) == 1
    assert "program.py:44 <module> > program.py:36 main > program.py:14 take" in text
    assert "loaded: 120 MiB live on GPU 0, peak 120 MiB" in text
    assert "epoch 1: 168 MiB live on GPU 0, peak 168 MiB" in text
    assert re.search(r"120 MiB 3x program.py:44 <module> > program.py:31 main > program.py:19", text)
    assert re.search(r"48\.0 MiB 6x program.py:44 <module> > program.py:33 main", text)
    assert "By size 8-16 MiB: 6 32-64 MiB: 3" in text
    assert "#3 program.py:14 take #4 program.py:36 main #5 program.py:44 <module>" in text


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_tried(machine, version):
    text = report_of(machine, version, "killed", "--all")
    assert "1 allocation" in text
    assert re.search(r"100 MiB on GPU 0 after 1\.\d s; trim: ", text)
    assert re.search(r"pid \d+ \(python3 holder.py\) still holds 46\.0 MiB", text)
    assert "spill: placed in host memory, +100 MiB" in text
    assert re.search(r"pid \d+ python3 holder.py 46\.0 MiB 14 % ## guarded", text)
    assert "100 MiB pinned host memory, 100 MiB of it in place of GPU memory (spilled)" in text
    assert "CUDA_VISIBLE_DEVICES=1" in text  # the machine's other GPU
    assert re.search(r"spill: .*VRAMGUARD_SPILL_CAP.*100 MiB.*128 MiB", text)


@pytest.mark.parametrize("version", VERSIONS)
def test_list(machine, version):
    state = machine.state / "vramguard"
    state.mkdir(parents=True)
    for end in ENDS:
        packed = FILES / ("%s-%s.vgr.xz" % (version, end))
        (state / packed.name[: -len(".xz")]).write_bytes(lzma.decompress(packed.read_bytes()))
    runs = json.loads(machine.vramguard("list", "--json", "--all").stdout)
    assert len(runs) == len(ENDS)
    for run in runs:
        assert run["peak_bytes"] == run["live_bytes"] in (168 << 20, 268 << 20)
        assert run["command"].startswith("/usr/bin/python3 program.py")
        assert run["failures"] >= 1
    assert sorted(run["rescues"] for run in runs)[-1] == 1

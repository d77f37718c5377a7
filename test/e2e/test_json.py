"""`vramguard report --json`: the same facts as the text, for programs."""

import json
import lzma

import pytest
from test_run_files import ENDS, FILES, VERSIONS, report_of

MIB = 1 << 20


def run_of(machine, version, end, *options):
    path = machine.folder / ("%s-%s.vgr" % (version, end))
    path.write_bytes(lzma.decompress((FILES / (path.name + ".xz")).read_bytes()))
    result = machine.vramguard("report", "--json", *options, path)
    assert result.code == 0 and result.stderr == "", result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("end", ENDS)
def test_how_it_ended(machine, version, end):
    run = run_of(machine, version, end)
    process = run["process"]
    assert process["command"].startswith("/usr/bin/python3 program.py")
    assert process["state"] == ("exited" if end == "exited" else "killed")
    assert process["exit_status"] == (3 if end == "exited" else None)
    assert (process["end_ns"] is None) == (end != "exited")
    assert run["file"].endswith("%s-%s.vgr" % (version, end)) and not run["incomplete"]


@pytest.mark.parametrize("version", VERSIONS)
def test_sites_add_up(machine, version):
    run = run_of(machine, version, "killed")
    devices = run["devices"] + [failure["device"] for failure in run["failures"]]
    assert len(devices) == 4 and devices[1]["gpu"] is None  # the second: what lies on the host
    for device in devices:
        sites = device["allocations"]["sites"]
        assert sum(site["live_bytes"] for site in sites) == device["live_bytes"] > 0
        assert sum(site["live_count"] for site in sites) == device["live_count"]
        assert sum(kind["bytes"] for kind in device["kinds"]) == device["live_bytes"]
    load, step = devices[0]["allocations"]["sites"]
    assert (load["live_bytes"], load["live_count"]) == (120 * MIB, 3)
    assert (load["line"]["line"], load["line"]["function"]) == (14, "take")
    assert (step["caller"]["line"], step["caller"]["function"]) == (22, "Model.step")
    assert step["label"].startswith("program.py:44 <module> > program.py:33 main")


@pytest.mark.parametrize("version", VERSIONS)
def test_causes_are_those_of_the_text(machine, version):
    text = report_of(machine, version, "killed", "--all")
    first, last = run_of(machine, version, "killed")["failures"]
    assert (first["cause"], last["cause"]) == ("own-total", "impossible")
    assert (first["refused_by"], first["asked_bytes"]) == ("driver", 300 * MIB)
    for failure in (first, last):
        assert failure["why"] in text and failure["do"] in text
        assert failure["why"] != failure["do"]
        assert [frame["line"] for frame in failure["stack"] if frame["python"]][-1] == 44


@pytest.mark.parametrize("version", VERSIONS)
def test_processes_of_a_failure(machine, version):
    for failure in run_of(machine, version, "killed")["failures"]:
        (holder,) = failure["device"]["processes"]
        assert (holder["command"], holder["bytes"]) == ("/usr/bin/python3 holder.py", 46 * MIB)
        flags = [holder[name] for name in ("guarded", "waiting", "visible")]
        assert flags == [True, False, True]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_unknown_is_null(machine, version):
    """Not the largest number that there is, which JSON would have as -1."""
    run = run_of(machine, version, "killed")
    amounts = [*amounts_of(run)]
    assert len(amounts) > 100 and None in amounts
    assert min(amount for amount in amounts if amount is not None) >= 0


def amounts_of(value):
    """All that is counted in bytes or pieces, wherever it stands."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, (dict, list)):
            yield from amounts_of(inner)
        elif isinstance(key, str) and key.endswith(("_bytes", "_count")):
            yield inner


@pytest.mark.parametrize("version", VERSIONS)
def test_rescues_and_marks(machine, version):
    run = run_of(machine, version, "killed")
    (rescue,) = run["rescues"]
    assert (rescue["asked_bytes"], rescue["ordinal"]) == (100 * MIB, 0)
    spill = rescue["actions"][-1]
    assert spill["action"] == "spill" and spill["recovered_bytes"] == 100 * MIB
    # Before version 4 files held sentences, not codes.
    name = "text" if version == "version3" else "placed"
    assert spill["outcomes"] == [{"outcome": name, "text": "placed in host memory"}]
    assert [mark["text"] for mark in run["marks"]] == ["loaded", "epoch 1"]
    assert run["marks"][1]["devices"][0]["live_bytes"] == 168 * MIB


def test_one_failure_alone(machine):
    both = run_of(machine, "version4", "killed")["failures"]
    assert run_of(machine, "version4", "killed", "--failure", "2")["failures"] == both[1:]
    path = machine.folder / "version4-killed.vgr"
    result = machine.vramguard("report", "--json", "--failure", "3", path)
    assert result.code == 1 and result.stdout == ""
    assert result.stderr == "vramguard report: there is no failure 3; 2 are recorded\n"

"""What is left of a run: `vramguard list` and `vramguard report`, after any kind of end."""

import re
import signal
import socket
import sys

import pytest
from conftest import FIRST_LINE


@pytest.fixture
def failed_run(machine, load_model):
    """A guarded run that ran out of memory: (its result, its pid, the neighbour's pid)."""
    neighbour = machine.neighbour("180MiB")
    process = machine.start(load_model, guarded=True)
    result = machine.finish(process)
    assert result.code == 1
    machine.stop(neighbour)
    return result, process.pid, neighbour.pid


def start_holding(machine, load_model):
    """Start a guarded run; return it when the model is loaded and it sleeps."""
    process = machine.start([*load_model, "--hold", "600"], guarded=True)
    for line in process.stdout:
        if line.startswith("verified"):
            return process
    raise AssertionError(process.communicate()[1])


def list_line(machine, pid):
    """Return the one line of `vramguard list` about a pid."""
    result = machine.vramguard("list")
    assert result.code == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line.split()[:1] == [str(pid)]]
    assert len(lines) == 1, result.stdout
    return lines[0]


@pytest.mark.parametrize("which", ["latest", "pid", "file"])
def test_report_is_printed_again(machine, failed_run, which):
    result, pid, neighbour_pid = failed_run
    (record,) = machine.records()
    argument = {"latest": [], "pid": [pid], "file": [record]}[which]
    again = machine.vramguard("report", *map(str, argument))
    assert again.code == 0, again.stderr
    first_line = next(line for line in result.guard_lines if FIRST_LINE.fullmatch(line))
    assert first_line.replace("vramguard: ", "", 1) in again.stdout
    assert re.search("pid %d .*hold_memory.py" % neighbour_pid, again.stdout)


def test_list_says_how_a_run_ended(machine, failed_run):
    _, pid, _ = failed_run
    line = list_line(machine, pid)
    assert "run_model.py" in line
    assert "out of memory" in line
    assert re.search(r"[0-9.]+ (KiB|MiB)", line)


def test_normal_end_is_listed(machine, load_model):
    process = machine.start(load_model, guarded=True)
    assert machine.finish(process).code == 0
    assert "exit" in list_line(machine, process.pid)


def test_killed_process_has_a_post_mortem(machine, load_model):
    process = start_holding(machine, load_model)
    assert "running" in list_line(machine, process.pid)
    machine.kill(process)
    assert "killed" in list_line(machine, process.pid)
    report = machine.vramguard("report", str(process.pid))
    assert report.code == 0, report.stderr
    assert "run_model.py" in report.stdout
    assert "46 live allocations" in report.stdout
    assert "16.9" in report.stdout  # MiB: 17,733,872 bytes


def test_process_ended_by_a_signal_is_listed(machine, load_model):
    process = start_holding(machine, load_model)
    process.send_signal(signal.SIGTERM)
    assert machine.finish(process).code == -signal.SIGTERM
    line = list_line(machine, process.pid)
    assert "running" not in line and "exit" not in line


def test_list_is_newest_first(machine, load_model):
    pids = []
    for _ in range(3):
        process = machine.start(load_model, guarded=True)
        machine.finish(process)
        pids.append(process.pid)
    words = [line.split()[0] for line in machine.vramguard("list").stdout.splitlines() if line]
    assert [int(word) for word in words if word.isdigit()] == pids[::-1]


def test_one_file_per_process(machine, load_model):
    machine.run(load_model, guarded=True)
    machine.run(load_model, guarded=True)
    assert len(machine.records()) == 2
    assert [path.name for path in machine.state.iterdir()] == ["vramguard"]


def test_records_are_private(machine, load_model):
    machine.run(load_model, guarded=True)
    (record,) = machine.records()
    assert record.stat().st_mode & 0o077 == 0
    assert record.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("value", [None, "", "relative/path"])
def test_default_state_folder_is_in_the_home(machine, load_model, value):
    # The XDG base directory specification: a path that is not absolute is ignored.
    machine.run(load_model, guarded=True, XDG_STATE_HOME=value)
    folder = machine.folder / ".local" / "state" / "vramguard"
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 1
    listed = machine.vramguard("list", XDG_STATE_HOME=value)
    assert "run_model.py" in listed.stdout


def test_log_path_with_every_placeholder(machine, load_model):
    pattern = machine.folder / "r-%p-%h-%e-%t-100%%"
    process = machine.start(load_model, guarded=True, VRAMGUARD_LOG=str(pattern))
    assert machine.finish(process).code == 0
    executable = re.escape(sys.executable.rsplit("/", 1)[1])
    wanted = "r-%d-%s-(%s|python3[.0-9]*)-[0-9]+[0-9T:Z-]*-100%%" % (
        process.pid,
        re.escape(socket.gethostname()),
        executable,
    )
    names = [path.name for path in machine.folder.iterdir() if path.name.startswith("r-")]
    assert len(names) == 1 and re.fullmatch(wanted, names[0]), names
    assert not machine.state.exists()
    report = machine.vramguard("report", str(machine.folder / names[0]))
    assert report.code == 0 and "run_model.py" in report.stdout


def test_log_path_that_is_a_folder_gets_a_file_of_the_usual_name(machine, load_model):
    folder = machine.folder / "logs"
    folder.mkdir()
    machine.run(load_model, guarded=True, VRAMGUARD_LOG=str(folder))
    (record,) = folder.iterdir()
    assert re.fullmatch(r"[0-9]{8}-[0-9]{6}-python3[.0-9]*-[0-9]+\.vgr", record.name)
    listed = machine.vramguard("list", VRAMGUARD_LOG=str(folder)).stdout.splitlines()
    assert len(listed) == 2 and "run_model.py" in listed[1]
    assert [path.name for path in machine.folder.iterdir() if "logs" in path.name] == ["logs"]


def test_log_path_that_is_a_device_is_one_line(machine, load_model):
    bare, guarded = machine.both(load_model, VRAMGUARD_LOG="/dev/full")
    assert guarded.own == bare.own
    (line,) = guarded.guard_lines
    assert "/dev/full" in line and "no recorder file" in line


def test_nothing_recorded_is_said(machine):
    listed = machine.vramguard("list")
    assert listed.code == 0
    report = machine.vramguard("report")
    assert report.code != 0
    assert report.stderr.startswith("vramguard") and report.stderr.count("\n") == 1


@pytest.mark.parametrize("argument", ["4194305", "no-such-file"])
def test_unknown_run_is_one_line(machine, failed_run, argument):
    report = machine.vramguard("report", argument)
    assert report.code != 0
    assert argument in report.stderr and report.stderr.count("\n") == 1


def damage_truncate(path):
    with open(path, "r+b") as file:
        file.truncate(100)


def damage_empty(path):
    path.write_bytes(b"")


def damage_magic(path):
    with open(path, "r+b") as file:
        file.write(b"\0" * 64)


def damage_body(path):
    with open(path, "r+b") as file:
        file.seek(64)
        file.write(b"\xff" * (path.stat().st_size - 64))


@pytest.mark.parametrize("damage", [damage_truncate, damage_empty, damage_magic, damage_body])
def test_damaged_record_does_not_hide_the_others(machine, load_model, damage):
    first = machine.start(load_model, guarded=True)
    machine.finish(first)
    (record,) = machine.records()
    second = machine.start(load_model, guarded=True)
    machine.finish(second)
    damage(record)
    list_line(machine, second.pid)
    report = machine.vramguard("report", str(record))
    assert report.code > 0, "a signal or success for a damaged file"
    assert report.stderr.count("\n") == 1


def test_foreign_files_in_the_folder_are_left_alone(machine, load_model):
    folder = machine.state / "vramguard"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "notes.txt").write_text("mine")
    process = machine.start(load_model, guarded=True)
    machine.finish(process)
    list_line(machine, process.pid)
    assert (folder / "notes.txt").read_text() == "mine"

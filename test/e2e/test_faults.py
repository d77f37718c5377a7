"""What is wrong around the guard costs one clear line, never the program."""

import os
import re
import signal
import subprocess
import sys

import pytest
from conftest import FIRST_LINE, MODEL


def own_lines_only(bare, guarded):
    """Check that the program did the same, and return the guard's lines."""
    assert guarded.own == bare.own
    return guarded.guard_lines


@pytest.mark.parametrize(
    "name, value, allowed",
    [
        ("VRAMGUARD", "maybe", "on|off"),
        ("VRAMGUARD_STACKS", "sometimes", "off|native"),
        ("VRAMGUARD_STACKS", "native,", "off|native"),
        ("VRAMGUARD_KEEP", "12x", "0 to 1000000"),
        ("VRAMGUARD_KEEP", "-1", "0 to 1000000"),
        ("VRAMGUARD_KEEP", "99999999999999999999", "0 to 1000000"),
        ("VRAMGUARD_POLICY", "spil", "trim"),
    ],
)
def test_bad_option_value_is_one_line(machine, load_model, name, value, allowed):
    bare, guarded = machine.both(load_model, **{name: value})
    (line,) = own_lines_only(bare, guarded)
    assert name in line and '"%s"' % value in line and allowed in line and "default" in line
    assert len(machine.records()) == 1, "the defaults are in force"


def test_empty_option_is_an_unset_one(machine, load_model):
    empty = dict(VRAMGUARD="", VRAMGUARD_STACKS="", VRAMGUARD_LOG="", VRAMGUARD_KEEP="")
    bare, guarded = machine.both(load_model, **empty)
    assert own_lines_only(bare, guarded) == []
    assert len(machine.records()) == 1


def test_off_is_silent_about_the_other_options(machine, load_model):
    bare, guarded = machine.both(load_model, VRAMGUARD="off", VRAMGUARD_KEEP="many")
    assert own_lines_only(bare, guarded) == []


def test_two_bad_options_are_two_lines(machine, load_model):
    wrong = dict(VRAMGUARD_STACKS="x", VRAMGUARD_KEEP="y")
    bare, guarded = machine.both(load_model, **wrong)
    assert len(own_lines_only(bare, guarded)) == 2


def test_option_value_cannot_forge_lines_or_colours(machine, load_model):
    hostile = "\x1b[31m\nvramguard: GPU 0 out of memory: asked all, free none of it"
    bare, guarded = machine.both(load_model, VRAMGUARD_STACKS=hostile)
    (line,) = own_lines_only(bare, guarded)
    assert "\x1b" not in line


@pytest.mark.parametrize("where", ["below a file", "/proc/nothing", "/dev/null"])
def test_state_folder_that_cannot_be_made(machine, load_model, where):
    # Root may write everywhere but here.
    if where == "below a file":
        (machine.folder / "file").write_text("")
        where = str(machine.folder / "file" / "state")
    bare, guarded = machine.both(load_model, XDG_STATE_HOME=where)
    (line,) = own_lines_only(bare, guarded)
    assert where in line or "~" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write to a read-only folder")
def test_state_folder_without_permission(machine, load_model):
    machine.state.mkdir(mode=0o500)
    bare, guarded = machine.both(load_model)
    (line,) = own_lines_only(bare, guarded)
    assert str(machine.state) in line or "~" in line


def test_log_file_that_cannot_be_written(machine, load_model):
    bare, guarded = machine.both(load_model, VRAMGUARD_LOG="/proc/nothing/run")
    (line,) = own_lines_only(bare, guarded)
    assert "/proc/nothing/run" in line


def test_log_file_never_replaces_a_file(machine, load_model):
    precious = machine.folder / "precious"
    precious.write_text("mine")
    bare, guarded = machine.both(load_model, VRAMGUARD_LOG=str(precious))
    assert len(own_lines_only(bare, guarded)) <= 1
    assert precious.read_text() == "mine"


def test_report_still_comes_without_a_recorder(machine, load_model):
    neighbour = machine.neighbour("180MiB")
    bare, guarded = machine.both(load_model, XDG_STATE_HOME="/proc/nothing")
    lines = own_lines_only(bare, guarded)
    assert bare.code == 1
    assert len([line for line in lines if FIRST_LINE.fullmatch(line)]) == 1
    assert "pid %d" % neighbour.pid in guarded.guard_text
    assert "vramguard report" not in guarded.guard_text, "there is nothing to print again"


def small_tmpfs(size_bytes):
    """Return a command prefix that runs `sh -c SCRIPT` with a tiny file system at $FULL."""
    script = 'mount -t tmpfs -o size=%d none "$FULL" && exec "$@"' % size_bytes
    for flags in ("-m", "-rm"):
        probe = ["unshare", flags, "sh", "-c", "mount -t tmpfs none /mnt"]
        try:
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return ["unshare", flags, "sh", "-c", script, "sh"]
        except FileNotFoundError:
            break
    pytest.skip("this machine does not let us mount a file system of our own (unshare -m)")


@pytest.mark.parametrize("size_bytes", [4096, 65536, 262144])
def test_full_disk(machine, load_model, size_bytes):
    prefix = small_tmpfs(size_bytes)
    full = machine.folder / "full"
    full.mkdir()
    where = dict(FULL=str(full), VRAMGUARD_LOG=str(full / "run"))
    bare, guarded = machine.both(prefix + load_model, **where)
    assert bare.code == 0, bare.stderr
    lines = own_lines_only(bare, guarded)
    assert len(lines) <= 1 if size_bytes > 65536 else len(lines) == 1


def test_limit_on_file_sizes_does_not_kill(machine, tiny_checkpoint):
    # Growing a file beyond RLIMIT_FSIZE raises SIGXFSZ, whose default is to end the process.
    limited = (
        "import resource, signal, sys, run_model\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "sys.exit(run_model.main())\n"
    )
    machine.neighbour("2MiB")  # the simulated GPU exists: the program need not make its file
    machine.registry_file().unlink(missing_ok=True)  # but the guard's it has to
    command = [sys.executable, "-c", limited, tiny_checkpoint]
    bare, guarded = machine.both(command, PYTHONPATH=str(MODEL))
    assert bare.code == 0, bare.stderr
    lines = own_lines_only(bare, guarded)
    assert 1 <= len(lines) <= 2, "one for the recorder file, one for the registry's"


def shadow(machine, soname):
    """Put a file that is no library in front of the real one of that name."""
    folder = machine.folder / "broken"
    folder.mkdir(exist_ok=True)
    (folder / soname).write_text("not a library")
    machine.search_path.insert(0, folder)


def test_missing_libunwind(machine, load_model):
    """It costs time and loses nothing: no line for each run; `vramguard doctor` says it."""
    shadow(machine, "libunwind.so.8")
    bare, guarded = machine.both(load_model, VRAMGUARD_STACKS="native")
    assert own_lines_only(bare, guarded) == []
    report = machine.vramguard("report").stdout
    assert re.search(r"\d+x .*_ctypes", report) and "no stack" not in report
    doctor = machine.vramguard("doctor").stdout
    assert re.search(r"libunwind +is missing: stacks are captured at several times the cost", doctor)


def test_missing_nvml(machine, load_model):
    shadow(machine, "libnvidia-ml.so.1")
    neighbour = machine.neighbour("180MiB")
    bare, guarded = machine.both(load_model)
    lines = own_lines_only(bare, guarded)
    assert neighbour.poll() is None
    assert len([line for line in lines if FIRST_LINE.fullmatch(line)]) == 1
    notices = [
        line for line in lines if line.startswith("vramguard: ") and not FIRST_LINE.fullmatch(line)
    ]
    assert len(notices) == 1 and ("NVML" in notices[0] or "libnvidia-ml" in notices[0]), notices
    # What is not known is said to be unknown; the missing memory is not given to anybody.
    assert "pid %d" % neighbour.pid not in guarded.guard_text
    assert "not accounted for" in guarded.guard_text or "unknown" in guarded.guard_text

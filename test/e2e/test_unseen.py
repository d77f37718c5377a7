"""`vramguard run` when nothing comes of it: the program allocates no GPU memory, or cannot be watched.
One line says so, and a report never passes off an earlier run as this one."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import BUILD, ROOT

ALLOCATE = [sys.executable, ROOT / "test" / "e2e" / "allocate.py"]
SAID = "vramguard: nothing is recorded: "


def notes(machine):
    folder = machine.state / "vramguard" / "unseen"
    return sorted(folder.iterdir()) if folder.exists() else []


def guarded(machine, *command, **extra):
    return machine.vramguard("run", "--", *command, **extra)


def build(machine, name, *options, text="int main(void) { return 7; }\n", compiler="cc"):
    source, program = machine.folder / "program.c", machine.folder / name
    source.write_text(text)
    command = [compiler, "-w", *options, str(source), "-o", str(program)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        pytest.skip("%s cannot build it: %s" % (compiler, result.stderr.splitlines()[-1]))
    return program


def record_one(machine):
    result = machine.vramguard("run", "--", *ALLOCATE)
    assert result.guard_lines == [], result.stderr
    assert len(machine.records()) == 1 and notes(machine) == []


@pytest.mark.parametrize("code", [0, 7])
def test_a_program_without_cuda_is_one_line(machine, code):
    result = guarded(machine, "sh", "-c", "echo out; exit %d" % code)
    assert (result.code, result.stdout) == (code, "out\n")
    line = SAID + 'no allocation of GPU memory was seen in "sh -c echo out; exit %d"\n' % code
    assert result.stderr == line


def test_a_recorded_program_is_no_line(machine):
    record_one(machine)


def test_a_child_that_is_recorded_is_enough(machine):
    words = " ".join(map(str, ALLOCATE))
    assert guarded(machine, "sh", "-c", words + "; true").guard_lines == []


def test_a_static_program(machine):
    program = build(machine, "static", "-static")
    result = guarded(machine, program)
    assert result.code == 7 and result.stderr.count("\n") == 1
    assert result.stderr.startswith(SAID) and "linked statically" in result.stderr


def test_a_script_of_a_static_interpreter(machine):
    program = build(machine, "static", "-static")
    script = machine.folder / "script"
    script.write_text("#! %s -x\n" % program)
    script.chmod(0o755)
    assert "linked statically" in guarded(machine, script).stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make a setuid program of another user")
def test_a_setuid_program(machine):
    machine.folder.chmod(0o711)
    program = build(machine, "setuid")
    os.chown(program, 65534, -1)
    program.chmod(0o4755)
    result = guarded(machine, program)
    assert result.code == 7 and "setuid" in result.stderr.replace(str(program), "")
    own = build(machine, "own")  # of the user's own: the loader preloads as ever
    own.chmod(0o4755)
    assert "no allocation" in guarded(machine, own).stderr


def test_a_32_bit_program(machine):
    program = build(machine, "narrow", "-m32")
    result = guarded(machine, program)
    assert result.code == 7
    assert result.stderr.count("\n") == 1 and "32-bit program" in result.stderr
    result = machine.vramguard("run", "--simulate", "1GiB", "--", program)
    assert result.code == 7 and result.stderr.count("\n") == 1


def test_another_c_library(machine):
    program = build(machine, "musl", compiler="musl-gcc")
    bare, result = machine.run([program]), guarded(machine, program)
    assert bare.code == result.code == 7
    assert result.stderr.count("\n") == 1 and "another C library" in result.stderr


def test_an_emptied_environment(machine):
    sleep = [sys.executable, "-S", "-c", "import time; time.sleep(4)"]
    result = guarded(machine, "env", "-i", *sleep)
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("LD_PRELOAD was taken out of its environment\n")


@pytest.mark.parametrize("off", ["off", "0", "false", "no"])
def test_switched_off_is_silent(machine, off):
    assert guarded(machine, "true", VRAMGUARD=off).stderr == ""
    assert machine.vramguard("run", "--", *ALLOCATE, VRAMGUARD=off).stderr == ""
    assert machine.records() == []


def test_the_program_sees_nothing_of_it(machine):
    """Its pid, parents, children, descriptors, signals, and what `wait` finds."""
    program = """
import os, signal, sys
status = open("/proc/self/status").read().splitlines()
print([line for line in status if line.startswith(("SigP", "SigB", "SigI", "SigC", "Shd", "NoNew"))])
print(sorted(os.listdir("/proc/self/fd")), os.getpgrp() == os.getpid(), os.getsid(0) == os.getpid())
print(open("/proc/self/task/%d/children" % os.getpid()).read(), os.getppid() == int(sys.argv[1]))
try:
    print(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print("no children")
print(sorted(set(os.environ) - {"VRAMGUARD_RUN", "LD_PRELOAD"}), os.getcwd())
"""
    command = [sys.executable, "-S", "-c", program, os.getpid()]
    bare, result = machine.run(command), guarded(machine, *command)
    assert bare.code == 0, bare.stderr
    assert (result.code, result.stdout) == (bare.code, bare.stdout)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_kills_the_program_itself(machine, number):
    process = machine.start(
        [BUILD / "vramguard", "run", "--", "sh", "-c", "echo up; exec sleep 60"]
    )
    assert process.stdout.readline() == "up\n"
    os.kill(process.pid, number)
    result = machine.finish(process)
    assert result.code == -number
    assert result.stderr.startswith(SAID) and result.stderr.count("\n") == 1


def test_a_group_that_is_killed_leaves_the_watcher(machine):
    process = machine.start([BUILD / "vramguard", "run", "--", "sh", "-c", "echo up; sleep 60; true"])
    assert process.stdout.readline() == "up\n"
    os.killpg(process.pid, signal.SIGKILL)
    result = machine.finish(process)
    assert result.code == -signal.SIGKILL
    assert result.stderr.startswith(SAID) and result.stderr.count("\n") == 1


def test_the_watcher_is_not_found_by_the_commands_name(machine):
    process = machine.start([BUILD / "vramguard", "run", "--", "sleep", "61.625"])
    deadline = time.monotonic() + 30
    while "sleep" not in Path("/proc/%d/comm" % process.pid).read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"61.625" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            pass
    assert found == [process.pid]


def test_report_says_that_the_last_command_is_not_the_run_shown(machine):
    record_one(machine)
    guarded(machine, "sh", "-c", "exit 3")
    result = machine.vramguard("report")
    assert result.code == 0 and "allocate.py" in result.stdout
    assert len(result.guard_lines) == 1
    assert '"sh -c exit 3"' in result.stderr and "an earlier run" in result.stderr
    assert machine.vramguard("run", "--", *ALLOCATE).code == 0
    assert machine.vramguard("report").stderr == ""


def test_report_of_a_pid_that_was_not_recorded(machine):
    record_one(machine)
    process = machine.start([BUILD / "vramguard", "run", "--", "true"])
    machine.finish(process)
    result = machine.vramguard("report", str(process.pid))
    assert result.code == 1 and result.stdout == ""
    assert result.stderr == SAID + 'no allocation of GPU memory was seen in "true"\n'
    other = machine.vramguard("report", "4194305")
    assert other.code == 1 and "no run of pid 4194305 is recorded in " in other.stderr


def test_report_without_any_run(machine):
    guarded(machine, "true")
    result = machine.vramguard("report")
    assert result.code == 1 and '"true"' in result.stderr


@pytest.mark.parametrize("home", [None, "/proc/nowhere"])
def test_where_no_note_can_be_left_among_the_records(machine, home):
    """No home, or one that cannot be written: a container, a unit, a job."""
    without = dict(XDG_STATE_HOME=None, HOME=home)
    assert guarded(machine, "true", **without).stderr == (
        SAID + 'no allocation of GPU memory was seen in "true"\n')
    result = machine.vramguard("report", **without)
    assert result.code == 1 and '"true"' in result.guard_lines[0], result.stderr
    result = guarded(machine, *ALLOCATE, **without)
    assert result.code == 0 and len(result.guard_lines) == 1, result.stderr
    assert (home or "neither XDG_STATE_HOME nor HOME is set") in result.stderr


def test_report_says_that_the_last_run_could_not_be_written(machine):
    record_one(machine)
    result = guarded(machine, *ALLOCATE, VRAMGUARD_LOG="/dev/full/x")
    assert len(result.guard_lines) == 1 and "no recorder file" in result.stderr
    result = machine.vramguard("report")
    assert result.code == 0 and len(result.guard_lines) == 1
    assert "no run file could be written; this is an earlier run" in result.stderr
    assert guarded(machine, *ALLOCATE).guard_lines == []
    assert machine.vramguard("report").stderr == ""


def test_report_says_that_the_last_run_is_recorded_elsewhere(machine):
    record_one(machine)
    folder = machine.folder / "central"
    folder.mkdir()
    for path in (folder, machine.folder / "one.vgr"):
        assert guarded(machine, *ALLOCATE, VRAMGUARD_LOG=str(path)).guard_lines == []
        result = machine.vramguard("report")
        assert result.code == 0 and len(result.guard_lines) == 1
        assert "recorded elsewhere (VRAMGUARD_LOG); this is an earlier run" in result.stderr
    assert machine.vramguard("report", VRAMGUARD_LOG=str(folder)).stderr != ""  # the last is not there
    assert guarded(machine, *ALLOCATE, VRAMGUARD_LOG=str(folder)).guard_lines == []
    assert machine.vramguard("report", VRAMGUARD_LOG=str(folder)).stderr == ""


def test_a_command_that_never_ran_leaves_no_note(machine):
    result = guarded(machine, "/no/such/program")
    assert result.stderr.count("\n") == 1 and notes(machine) == []


def test_an_inner_run_tells_for_the_outer_one(machine):
    result = guarded(machine, BUILD / "vramguard", "run", "--", *ALLOCATE)
    assert result.guard_lines == [] and notes(machine) == []
    result = guarded(machine, BUILD / "vramguard", "run", "--", "true")
    assert len(result.guard_lines) == 1


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make a pid namespace")
def test_the_first_process_of_a_container(machine):
    """It is who orphans go to, so nobody can watch for its end."""

    def first(*command, **extra):
        start = ["unshare", "-p", "-f", "--mount-proc", BUILD / "vramguard", "run", "--"]
        return machine.run([*start, *command], **extra)

    if machine.run(["unshare", "-p", "-f", "--mount-proc", "true"]).code != 0:
        pytest.skip("no pid namespace of our own")
    result = first(sys.executable, "-S", "-c", "raise SystemExit(7)")
    line = 'no allocation of GPU memory was seen in "%s -S -c raise SystemExit(7)"\n' % sys.executable
    assert (result.code, result.stderr) == (7, SAID + line)
    assert first(*ALLOCATE).stderr == "" and first("true", VRAMGUARD="off").stderr == ""
    result = first(build(machine, "static", "-static"))
    assert result.code == 7 and result.stderr.count("\n") == 1 and "linked statically" in result.stderr


def test_nothing_but_a_note_is_ever_removed(machine):
    kept = machine.folder / "unseen"
    kept.mkdir()
    for name in ("12-", "12-x", "note", "-12"):
        (kept / name).write_text("mine")
        assert machine.run(ALLOCATE, guarded=True, VRAMGUARD_RUN=str(kept / name)).code == 0
    other = machine.folder / "12-34"
    other.write_text("mine")
    machine.run(ALLOCATE, guarded=True, VRAMGUARD_RUN=str(other))
    assert len(list(kept.iterdir())) == 4 and other.exists()


def test_old_notes_go(machine):
    folder = machine.state / "vramguard" / "unseen"
    folder.mkdir(parents=True)
    for number in range(70):
        (folder / ("%020d-%d" % (number, number))).write_text("1 1 1\n\nold\n")
    for name in ("other", "+other"):
        (folder / name).write_text("mine")
    guarded(machine, "true")
    names = [path.name for path in notes(machine)]
    assert len(names) < 60 and "%020d-%d" % (69, 69) in names
    assert {"other", "+other"} < set(names)


def test_a_damaged_note_is_passed_over(machine):
    folder = machine.state / "vramguard" / "unseen"
    folder.mkdir(parents=True)
    note = folder / "99999999999999999999-1"
    note.write_bytes(b"\0\xff\033[31m")
    result = machine.vramguard("report")
    assert result.code == 1 and result.stderr.count("\n") == 1
    assert "no runs are recorded" in result.stderr
    note.unlink()
    record_one(machine)
    note.write_bytes(b"\0\xff\033[31m")
    result = machine.vramguard("report")
    assert result.code == 0 and "\033" not in result.stderr + result.stdout


def test_env_prints_the_line(machine, load_model):
    result = machine.vramguard("env")
    assert result.stdout == "LD_PRELOAD=%s\n" % (BUILD / "libvramguard.so")
    other = machine.simgpu / "libcuda.so.1"
    before = "%s %s" % (BUILD / "libvramguard.so", other)
    assert machine.vramguard("env", LD_PRELOAD=before).stdout.strip() == (
        "LD_PRELOAD=%s:%s" % (BUILD / "libvramguard.so", other))
    path = machine.vramguard("env", "--path")
    assert path.stdout == "%s\n" % (BUILD / "libvramguard.so")
    shell = 'export $(%s env); exec "$@"' % (BUILD / "vramguard")
    assert machine.run(["sh", "-c", shell, "sh", *load_model]).code == 0
    assert len(machine.records()) == 1


def test_a_misspelt_variable_is_named(machine):
    result = machine.run(ALLOCATE, guarded=True, VRAMGUARD_POLCY="trim", VRAMGUARD_LIMIT="8")
    assert len(result.guard_lines) == 2
    said = "VRAMGUARD_POLCY is not an option of vramguard; the nearest is VRAMGUARD_POLICY"
    assert said in result.stderr
    assert '"8": a size needs a unit, for example 8GiB' in result.stderr
    assert machine.run(ALLOCATE, guarded=True, VRAMGUARD_POLCY="trim", VRAMGUARD="0").stderr == ""


def test_nothing_of_the_watcher_stays(machine):
    shutil.rmtree(machine.folder / "gone", ignore_errors=True)
    process = machine.start([BUILD / "vramguard", "run", "--", "true"])
    machine.finish(process)  # its standard error has ended: whoever held it is gone
    assert [p for p in Path("/proc").glob("[0-9]*") if holds(p, process.pid)] == []


def holds(folder, pid):
    try:
        return (folder / "comm").read_text().startswith("vramguard-watch") and any(
            "pid:\t%d" % pid in (folder / "fdinfo" / name).read_text().lower().splitlines()
            for name in os.listdir(folder / "fdinfo")
        )
    except OSError:
        return False

"""`vramguard doctor`: each finding, with its remedy, and the exit code."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import BUILD, at_most

WITHOUT_DRIVER = dict(LD_LIBRARY_PATH=None)


def doctor(machine, *words, **extra):
    return machine.vramguard("doctor", *words, **extra)


def findings(result):
    """{what: [(kind, text), ...]} with the remedy in the text."""
    found, key = {}, None
    for line in result.stdout.splitlines():
        match = re.match(r"  (ok|note|problem) +(\w+) +(.*)", line)
        if match:
            key = match.group(2)
            found.setdefault(key, []).append([match.group(1), match.group(3)])
        elif key and line.strip():
            found[key][-1][1] += " " + line.strip()
    return found


def problems(result):
    return [text for rows in findings(result).values() for kind, text in rows if kind == "problem"]


def test_a_machine_in_order(machine):
    begun = time.monotonic()
    result = doctor(machine)
    assert at_most(time.monotonic() - begun, 2)
    assert (result.code, result.stderr) == (0, ""), result.stdout
    assert result.stdout.endswith("no problem\n") and problems(result) == []
    found = findings(result)
    assert found["driver"][0][1].endswith("for CUDA up to 13.0")
    assert found["GPU"] == [["ok", "0: SimGPU, 256 MiB"]]
    assert found["NVML"][0][0] == "ok"
    assert [kind for kind, _ in found["seen"]] == ["ok"] * 3
    assert "simulated" not in result.stdout


def test_without_a_driver_the_ways_are_tried_on_a_simulated_one(machine):
    result = doctor(machine, **WITHOUT_DRIVER)
    assert result.code == 1 and result.stdout.endswith("\n1 problem\n")
    (problem,) = problems(result)
    assert "there is no libcuda.so.1" in problem and "--simulate" in problem
    seen = findings(result)["seen"]
    assert len(seen) == 3 and all(kind == "ok" and "simulated" in text for kind, text in seen)


def test_a_driver_that_refuses(machine):
    result = doctor(machine, SIMGPU_FAIL="cuInit:*=100")
    assert result.code == 1
    (problem,) = problems(result)
    assert "cuInit fails with error 100" in problem and "--gpus all" in problem


def test_a_driver_that_hangs(machine):
    begun = time.monotonic()
    result = doctor(machine, SIMGPU_LATENCY="cuInit=50s")
    assert "does not answer within 5 s" in result.stdout and result.code == 1
    assert at_most(time.monotonic() - begun, 40)


def test_no_nvml(machine):
    alone = machine.folder / "alone"
    alone.mkdir()
    shutil.copy(BUILD / "simgpu" / "libcuda.so.1", alone)
    result = doctor(machine, LD_LIBRARY_PATH=str(alone))
    ((kind, text),) = findings(result)["NVML"]
    assert kind == "note" and "cannot name other processes" in text and result.code == 0


def test_several_gpus(machine):
    found = findings(doctor(machine, SIMGPU_DEVICES="1GiB,2GiB"))
    assert [text for _, text in found["GPU"]] == ["0: SimGPU, 1.00 GiB", "1: SimGPU, 2.00 GiB"]


def test_another_library_in_front(machine):
    source, other = machine.folder / "other.c", machine.folder / "libother.so"
    source.write_text("int cuMemAlloc_v2(void *a, unsigned long b) { return a != 0 && b; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(other)], check=True)
    tree = machine.folder / "tree"
    tree.mkdir()
    for name in ("vramguard", "simgpu"):
        (tree / name).symlink_to(BUILD / name)
    shutil.copy(BUILD / "vramguard", tree / "tool")
    # A "libvramguard.so" that wraps nothing stands for one that is not in front.
    shutil.copy(other, tree / "libvramguard.so")
    result = machine.run([tree / "tool", "doctor"])
    assert result.code == 1
    assert any("of version unknown" in text for text in problems(result))
    assert any("does not preload" in text for text in problems(result))


def test_variables(machine):
    result = doctor(machine, VRAMGUARD_LIMITS="8GiB", VRAMGUARD_NEED="8", VRAMGUARD_KEEP="7")
    assert result.code == 1
    misspelt, wrong = sorted(problems(result), key=len)
    said = " ".join([misspelt, wrong])
    assert "VRAMGUARD_LIMITS is not an option" in said and "VRAMGUARD_LIMIT;" in said
    assert 'VRAMGUARD_NEED="8": a size needs a unit' in said
    assert ["ok", "VRAMGUARD_KEEP=7"] in findings(result)["variable"]
    off = findings(doctor(machine, VRAMGUARD="0"))["variable"]
    assert ["note", "VRAMGUARD=0: vramguard does nothing"] in off


def test_settings_for_all_users(machine):
    file = machine.folder / "settings"
    file.write_text("VRAMGUARD_KEEP=7\nVRAMGUARD_NEED=8\n")
    result = doctor(machine, VRAMGUARD_CONFIG=str(file))
    good, wrong = sorted(findings(result)["settings"])
    assert good == ["ok", "%s: VRAMGUARD_KEEP=7" % file]
    assert wrong[0] == "problem" and 'VRAMGUARD_NEED="8": a size needs a unit' in wrong[1]
    assert result.code == 1


def test_folders(machine):
    result = doctor(machine, XDG_STATE_HOME=None, HOME=None)
    assert any("neither XDG_STATE_HOME nor HOME" in text for text in problems(result))
    plain = machine.folder / "plain"
    plain.write_text("")
    result = doctor(machine, XDG_STATE_HOME=str(plain))
    assert any(text.startswith(str(plain)) for text in problems(result)), result.stdout


def test_where_run_files_go(machine):
    """VRAMGUARD_LOG, where it is set: the remedy of a state directory that cannot be used."""
    none = dict(XDG_STATE_HOME=None, HOME=None)
    folder = machine.folder / "central"
    folder.mkdir()
    for path in (folder, folder / "run-%p.vgr"):
        result = doctor(machine, VRAMGUARD_LOG=str(path), **none)
        (finding,) = findings(result)["records"]
        assert finding[0] == "ok" and finding[1].startswith(str(folder)), result.stdout
    (finding,) = findings(doctor(machine, VRAMGUARD_LOG=str(machine.folder / "no" / "folder")))["records"]
    assert finding[0] == "problem"
    assert finding[1].startswith("%s: No such file or directory" % (machine.folder / "no"))


def test_limits_of_the_kernel(machine):
    assert findings(doctor(machine))["limits"][0][0] == "ok"
    shell = 'ulimit -S -v 16000000 -f 2000; exec "$0" doctor'
    limited = machine.run(["bash", "-c", shell, BUILD / "vramguard"])
    address, file = findings(limited)["limits"]
    assert address[0] == file[0] == "note" and limited.code == 0
    assert "15.3 GiB" in address[1] and "ulimit -v unlimited" in address[1]
    assert "1.95 MiB" in file[1] and "ulimit -f unlimited" in file[1]


@pytest.mark.parametrize("words, remedy", [(["true"], None), (["/no/such"], "correct the path"),
                                           (["no-such"], "correct the name, or add its folder to PATH")])  # fmt: skip
def test_a_command(machine, words, remedy):
    ((found, text),) = findings(doctor(machine, "--", *words))["command"]
    assert found == ("problem" if remedy else "ok")
    assert not remedy or re.fullmatch("there is no program %s  *do  *%s" % (words[0], remedy), text)


def test_a_folder_is_no_command(machine):
    (machine.folder / "named").mkdir()
    path = "%s:%s" % (machine.folder, "/usr/bin:/bin")
    ((kind, _),) = findings(doctor(machine, "--", "named", PATH=path))["command"]
    assert kind == "problem"


def test_a_static_command(machine):
    program, source = machine.folder / "static", machine.folder / "static.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["cc", "-static", str(source), "-o", str(program)], check=True)
    result = doctor(machine, "--", program)
    ((kind, text),) = findings(result)["command"]
    assert kind == "problem" and "linked statically" in text and result.code == 1


def test_python_is_asked_and_the_command_not_run(machine):
    script = machine.folder / "script.py"
    script.write_text("open('was-run', 'w')\n")
    result = doctor(machine, "--", sys.executable, script)
    ((kind, text),) = findings(result)["Python"]
    assert kind == "ok" and text.startswith("%d.%d: reports name" % sys.version_info[:2])
    assert "packages" in findings(result)
    assert not (machine.folder / "was-run").exists()


def fake_python(machine, script):
    fake = machine.folder / "python3.99"
    fake.write_text("#!/bin/sh\n%s\n" % script)
    fake.chmod(0o755)
    return fake


def test_a_python_that_is_unknown(machine):
    for line in ("cpython 3 99 1", "cpython 3 12 1", "pypy 3 12 0", "cpython 2 12 0"):
        fake = fake_python(machine, "echo %s /usr/bin/python3.99" % line)
        ((kind, text),) = findings(doctor(machine, "--", fake))["Python"]
        assert kind == "note" and ("without the GIL" in text) == line.endswith("1")


def test_an_answer_in_pieces(machine):
    """And what it says beside its answer is nobody's."""
    script = "printf 'cpython 3 '; sleep 0.3; echo 99 0 /usr/bin/python3.99; echo noise >&2"
    result = doctor(machine, "--", fake_python(machine, script))
    ((_, text),) = findings(result)["Python"]
    assert text.startswith("cpython 3.99: ") and text.endswith("(/usr/bin/python3.99)")
    assert result.stderr == ""


def test_an_answer_without_end(machine):
    script = "echo cpython 3 99 0 /usr/bin/python3.99; head -c 8000000 /dev/zero | tr '\\0' x"
    result = doctor(machine, "--", fake_python(machine, script))
    assert result.code == 0 and findings(result)["Python"][0][0] == "note"


def test_a_python_that_fails(machine):
    result = doctor(machine, "--", fake_python(machine, "echo cpython 3 12 0 /x; exit 3"))
    ((kind, text),) = findings(result)["Python"]
    assert kind == "note" and "does not say its version" in text
    assert "packages" not in findings(result)


def test_a_python_that_hangs(machine):
    result = doctor(machine, "--", fake_python(machine, "exec sleep 600"))
    ((kind, text),) = findings(result)["Python"]
    assert kind == "note" and text.endswith("(no answer in 3 s)")


def test_packages_of_a_python(machine):
    script = "echo cpython 3 12 0 /x; echo torch 2.9; echo jax 0.8"
    found = findings(doctor(machine, "--", fake_python(machine, script)))
    assert found["packages"] == [["ok", "torch 2.9, jax 0.8"]]


def test_it_leaves_nothing(machine):
    doctor(machine, **WITHOUT_DRIVER)
    assert [path for path in machine.folder.rglob("*") if path.is_file()] == []
    process = machine.start([BUILD / "vramguard", "doctor"], **WITHOUT_DRIVER)
    assert "(tried on a simulated GPU)" in " ".join(machine.finish(process).stdout.split())
    assert not Path("/dev/shm/simgpu-doctor-%d" % process.pid).exists()


def test_help_names_no_hidden_option(machine):
    assert "--probe" not in doctor(machine, "--help").stdout

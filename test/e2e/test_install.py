"""Installing: make install and uninstall, the wheel, the tarball, the Debian package, man pages and
completions. Each is tried from where it was put, away from the build."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import BUILD, ROOT

ALLOCATE = [sys.executable, ROOT / "test" / "e2e" / "allocate.py"]
COMMANDS = ("run", "list", "report", "options", "env", "doctor")
VERSION = re.search(r'TEXT\s+"(.+)"', (ROOT / "src/base/version.h").read_text()).group(1)


# What glibc has had before 2.28, and gave another version since or moved into libc.so.6.
REVERSIONED = {
    "__libc_start_main", "__pthread_register_cancel", "__pthread_unregister_cancel",
    "__pthread_unwind_next", "dladdr1", "dlclose", "dlerror", "dlinfo", "dlopen", "dlsym", "fstat",
    "fstatat", "lstat", "stat", "pthread_attr_getstack", "pthread_attr_setstacksize",
    "pthread_create", "pthread_getattr_np", "pthread_key_create", "pthread_mutex_consistent",
    "pthread_mutexattr_destroy", "pthread_mutexattr_init", "pthread_mutexattr_setpshared",
    "pthread_mutexattr_setrobust", "pthread_once", "pthread_setname_np", "pthread_setspecific",
    "pthread_sigmask",
}


def make(*words):
    command = ["make", "-s", "BUILD=%s" % BUILD, *map(str, words)]
    with open(BUILD / "packaging.lock", "w") as lock:  # tests run side by side, on one tree
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def test_no_function_is_newer_than_glibc_2_28():
    """A build on an old distribution runs on all later ones (tried with Debian 11)."""
    files = [BUILD / "libvramguard.so", BUILD / "vramguard"]
    files += [BUILD / "simgpu" / name for name in ("libcuda.so.1", "libnvidia-ml.so.1", "libcudart.so.11.0",
                                                   "libcudart.so.12", "libcudart.so.13")]
    for file in files:
        symbols = subprocess.run(["objdump", "-T", file], capture_output=True, text=True, check=True)
        newer = {name for minor, name in re.findall(r"\(?GLIBC_2\.(\d+)\)? +(\w+)", symbols.stdout)
                 if int(minor) > 28}
        assert newer <= REVERSIONED, (file, newer - REVERSIONED)


def check_tool(machine, tool):
    """It runs, simulates, guards and reports, and finds its parts."""
    without = dict(LD_LIBRARY_PATH=None, SIMGPU_DEVICES=None)
    assert machine.run([tool, "--version"]).own == (0, "vramguard %s\n" % VERSION, "")
    result = machine.run([tool, "run", "--simulate", "256MiB", "--", *ALLOCATE], **without)
    assert (result.code, result.stderr) == (0, "")
    assert "allocate.py" in machine.run([tool, "report"]).stdout
    preload = machine.run([tool, "env"]).stdout.strip().removeprefix("LD_PRELOAD=")
    assert Path(preload).name == "libvramguard.so"
    assert os.path.commonpath([os.path.realpath(preload), tool]) != "/"  # its own, not the build's
    assert str(BUILD) not in preload or str(BUILD) in str(tool)
    result = machine.run(["sh", "-c", 'env $("$0" env) "$@"', tool, *ALLOCATE], VRAMGUARD_INJECT="1")
    assert result.stderr.count("GPU 0 out of memory") == 1, result.stderr
    assert re.search("ok +preload +works", machine.run([tool, "doctor"], SIMGPU_DEVICES=None).stdout)


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def test_make_install_and_uninstall(machine):
    root = machine.folder / "root"
    make("install", "DESTDIR=%s" % root, "PREFIX=/opt/vg")
    installed = files(root)
    for name in ("bin/vramguard", "include/vramguard.h", "lib/libvramguard.so",
                 "lib/pkgconfig/vramguard.pc", "share/man/man1/vramguard-run.1",
                 "share/bash-completion/completions/vramguard"):  # fmt: skip
        assert "opt/vg/" + name in installed
    check_tool(machine, root / "opt/vg/bin/vramguard")
    moved = machine.folder / "moved"
    shutil.move(root / "opt/vg", moved)
    check_tool(machine, moved / "bin/vramguard")
    shutil.move(moved, root / "opt/vg")
    make("uninstall", "DESTDIR=%s" % root, "PREFIX=/opt/vg")
    assert files(root) == [] and list(root.rglob("*vramguard*")) == []


def test_pkg_config(machine):
    if not shutil.which("pkg-config"):
        pytest.skip("no pkg-config")
    root = machine.folder / "root"
    make("install", "DESTDIR=%s" % root, "PREFIX=/opt/vg")
    found = {
        what: machine.run(
            ["pkg-config", "--define-prefix", what, "vramguard"],
            PKG_CONFIG_PATH=str(root / "opt/vg/lib/pkgconfig"),
        ).stdout.strip()
        for what in ("--modversion", "--cflags")
    }
    assert found == {"--modversion": VERSION, "--cflags": "-I%s" % (root / "opt/vg/include")}


def test_the_name_alone_is_enough_where_the_loader_looks(machine):
    root = machine.folder / "root"
    make("install", "DESTDIR=%s" % root, "PREFIX=")
    path = "%s:%s" % (root / "lib", machine.simgpu)
    result = machine.run(ALLOCATE, LD_PRELOAD="libvramguard.so", LD_LIBRARY_PATH=path)
    assert (result.code, result.stderr) == (0, "") and len(machine.records()) == 1


def test_a_library_of_another_version_is_said(machine):
    root = machine.folder / "root"
    make("install", "DESTDIR=%s" % root, "PREFIX=")
    library = root / "lib/libvramguard.so"
    mark, content = b"vramguard version: ", library.read_bytes()
    for version, told in (("0.0.9",) * 2, ("0.0.10",) * 2, (300 * "9", 60 * "9" + "...")):
        library.write_bytes(content.replace(mark + VERSION.encode(), mark + version.encode()))
        result = machine.run([root / "bin/vramguard", "--version"])
        assert result.code == 1 and result.stdout == "vramguard %s\n" % VERSION
        assert result.stderr.endswith("is of another version: %s\n" % told)
    for content in (b"", b"no library"):
        library.write_bytes(content)
        result = machine.run([root / "bin/vramguard", "--version"])
        assert result.code == 1 and "another version: unknown" in result.stderr
    library.unlink()
    result = machine.run([root / "bin/vramguard", "--version"])
    assert result.code == 1 and "cannot find libvramguard.so" in result.stderr


def test_wheel(machine):
    make("wheel")
    (wheel,) = BUILD.glob("vramguard-*.whl")
    assert wheel.stat().st_size <= 3 << 20
    newest = max(int(n) for n in re.findall(r"manylinux_2_(\d+)", wheel.name))
    assert newest <= 35  # what the README promises
    venv = machine.folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin/pip"), "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "install", "--no-index", str(wheel)], check=True)
    check_tool(machine, venv / "bin/vramguard")
    subprocess.run([*pip, "uninstall", "-y", "vramguard"], check=True)
    left = [name for name in files(venv) if "vramguard" in name or "simgpu" in name]
    assert left == []
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None


def test_tarball(machine):
    make("tarball")
    (tarball,) = BUILD.glob("vramguard-*.tar.gz")
    subprocess.run(["tar", "-C", str(machine.folder), "-xzf", str(tarball)], check=True)
    (folder,) = machine.folder.glob("vramguard-*")
    check_tool(machine, folder / "bin/vramguard")
    odd = machine.folder / "a b:c;d" / folder.name  # the loader has no way to name it
    odd.parent.mkdir()
    folder = folder.rename(odd)
    check_tool(machine, folder / "bin/vramguard")
    link = machine.folder / "link"
    link.symlink_to(folder / "bin/vramguard")
    check_tool(machine, link)


def test_debian_package(machine):
    if not shutil.which("dpkg-deb"):
        pytest.skip("no dpkg-deb")
    make("deb")
    (package,) = BUILD.glob("vramguard_*.deb")
    root = machine.folder / "root"
    subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    check_tool(machine, root / "usr/bin/vramguard")
    if shutil.which("lintian"):
        run = subprocess.run(["lintian", str(package)], capture_output=True, text=True)
        assert [line for line in run.stdout.splitlines() if line[:2] in ("E:", "W:")] == []


@pytest.mark.parametrize("name", ["vramguard", *("vramguard-" + c for c in COMMANDS)])
def test_man_pages_say_what_help_says(machine, name):
    page = BUILD / "doc" / "man1" / (name + ".1")
    if not shutil.which("man"):
        pytest.skip("no man")
    shown = machine.run(["man", "--warnings", "-l", page], MANWIDTH="300", MANPAGER="cat")
    assert shown.code == 0 and shown.stderr == ""
    text = re.sub(".\x08", "", shown.stdout)
    help_text = machine.vramguard(*name.split("-")[1:], "--help").stdout
    names = re.findall(r"^ +(?:-\S, )?(--[a-z][a-z-]+|\w+ )", help_text, re.MULTILINE)
    assert names and [word for word in names if word.strip() not in text] == []


def completions(machine, *words):
    """What bash offers for the last of the words; where a program's own words begin, it says so."""
    script = """
_command_offset() { COMPREPLY=("of word" $1); }
. %s
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_vramguard; printf '%%s\\n' "${COMPREPLY[@]}"
""" % (BUILD / "doc/bash/vramguard")
    return machine.run(["bash", "-c", script, "bash", *words]).stdout.split()


def test_bash_completion(machine):
    assert set(COMMANDS) <= set(completions(machine, "vramguard", ""))
    assert completions(machine, "vramguard", "rep") == ["report"]
    assert "--simulate" in completions(machine, "vramguard", "run", "--s")
    assert completions(machine, "vramguard", "run", "--stacks", "=", "n") == ["native"]
    assert completions(machine, "vramguard", "run", "--gpu", "=") == ["auto"]
    assert completions(machine, "vramguard", "list", "--wai") == ["--waiting"]


@pytest.mark.parametrize("before", [
    "run", "run --", "run --policy off", "run --policy = off", "run --simulate 1GiB --", "doctor --",
])  # fmt: skip
def test_bash_completion_of_a_program(machine, before):
    words = ["vramguard", *before.split()]
    assert set(completions(machine, *words, "sha256s")) == {"sha256sum"}
    assert completions(machine, *words, "cat", "--") == ["of", "word", str(len(words))]


# A zsh on a terminal of its own that has loaded the completion: types $3 and TAB, and prints what then
# stands in its line and what it showed above.
ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "path=($1 /usr/bin /bin); fpath=($1/doc/zsh \$fpath); PS1=; PS2=; cd $2; stty -echo cols 200
autoload -Uz compinit; compinit -D -u; show_line() { print -r -- \"<line>\$BUFFER</line>\" }
zle -N show_line; bindkey '^T' show_line; print '<'ready'>'"
zpty -r shell output '*<ready>*'
zpty -w -n shell "$3"$'\t\x14'
zpty -r shell output '*</line>*'
print -r -- "$output"
"""


@pytest.mark.parametrize("typed, line, shown", [
    ("vramguard rep", "vramguard report ", ""),
    ("vramguard ", None, "doctor +-- look for what is in the way"),
    ("vramguard --ver", "vramguard --version ", ""),
    ("vramguard run --simul", "vramguard run --simulate=", ""),
    ("vramguard run --stacks=na", "vramguard run --stacks=native ", ""),
    ("vramguard list --wai", "vramguard list --waiting ", ""),
    ("vramguard run -- ./the_pro", "vramguard run -- ./the_program ", ""),
    ("vramguard run -- sha256s", "vramguard run -- sha256sum ", ""),
    ("vramguard run --simulate 1GiB sha256s", "vramguard run --simulate 1GiB sha256sum ", ""),
    ("vramguard run -- sha256sum the_f", "vramguard run -- sha256sum the_file ", ""),
    ("vramguard doctor -- sha256s", "vramguard doctor -- sha256sum ", ""),
])  # fmt: skip
def test_zsh_completion(machine, typed, line, shown):
    if not shutil.which("zsh"):
        pytest.skip("no zsh")
    (machine.folder / "the_file").touch()
    (machine.folder / "the_program").touch(0o755)
    command = ["zsh", "-f", "-c", ZSH, "zsh", BUILD, machine.folder, typed]
    result = machine.run(command, TERM="xterm", SHELL=None)
    assert (result.code, result.stderr) == (0, "")
    text = re.sub("\x1b[^a-zA-Z]*[a-zA-Z]|\r|\x07", "", result.stdout)
    assert re.search(shown, text) and not re.search(r"\w:\d+: ", text), text
    assert line is None or "<line>%s</line>" % line in text, text


def test_missing_packages_are_named_before_anything_is_compiled(machine):
    tools = machine.folder / "bin"
    tools.mkdir()
    needed = "sh sed grep env mkdir touch id printf rm find uname dirname"
    for name in needed.split():
        (tools / name).symlink_to(shutil.which(name))
    command = [shutil.which("make"), "-C", ROOT, "BUILD=%s" % (machine.folder / "build")]
    result = machine.run(command, PATH=str(tools))
    assert result.code == 2
    said = "install-deps: missing:"
    missing = [line for line in result.stderr.splitlines() if line.startswith(said)]
    assert len(missing) == 1 and "uthash-dev" in missing[0] and "gcc" in missing[0]


def test_flags_of_the_caller_are_heeded(machine):
    """On the command line, where make lets them replace what the Makefile sets; nothing is built."""
    command = ["make", "-n", "all", "CC=cc", "BUILD=%s" % (machine.folder / "none"), "LDFLAGS=-Wl,-zcaller",
               "CFLAGS=-Dcaller_c", "CPPFLAGS=-Dcaller_cpp"]  # fmt: skip
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = run.stdout.replace("\\\n", " ").splitlines()
    compiled = [line for line in lines if re.search(r"^cc .* -c ", line)]
    assert len(compiled) > 100
    for line in compiled:
        assert "-Dcaller_c " in line and "-Dcaller_cpp" in line and " -Isrc " in line, line
    linked = [line for line in lines if re.search(r"^cc .*(-shared |bin/vramguard|/vramguard$)", line)]
    assert len(linked) >= 7 and [line for line in linked if "-Wl,-zcaller" not in line] == []


def test_make_help(machine):
    for word in ("install", "uninstall", "wheel", "deb", "tarball", "LDFLAGS"):
        assert word in make("help").stdout

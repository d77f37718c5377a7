"""The scripts a newcomer runs first."""

import contextlib
import glob
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import BUILD, MODEL, ROOT

SCRIPTS = ROOT / "scripts"
DEMO_SECONDS = 300


def run_script(*command, cwd="/", **environment):
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )


@pytest.fixture
def tree():
    """A tree in which scripts/demo finds the built one through links, beside it: the demo writes a
    large checkpoint there. The demo derives the name of its simulated GPU from the place."""
    folder = Path(tempfile.mkdtemp(prefix="e2e-tree-", dir=BUILD))
    for name in ("scripts", "test"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "build").mkdir()
    for name in ("simgpu", "vramguard", "libvramguard.so"):
        (folder / "build" / name).symlink_to(BUILD / name)
    yield folder
    shutil.rmtree(folder)


def processes_in(folder):
    """Return the pids of the processes whose working directory is the folder."""
    pids = []
    for link in glob.glob("/proc/[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if os.readlink(link) == str(folder):
                pids.append(int(link.split("/")[2]))
    return pids


def test_demo_tells_its_story_and_leaves_nothing_behind(tree, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    users_own = dict(HOME=str(home), XDG_STATE_HOME=str(home / "state"), VRAMGUARD="off")
    result = run_script(tree / "scripts" / "demo", "--no-build", **users_own)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "All of it happened as told" in result.stdout
    assert result.stderr == ""
    assert list(home.iterdir()) == []
    assert processes_in(tree) == []


@pytest.mark.parametrize("broken", ["libvramguard.so", "vramguard"])
def test_demo_fails_when_something_is_broken(tree, broken):
    (tree / "build" / broken).unlink()
    result = run_script(tree / "scripts" / "demo", "--no-build")
    assert result.returncode != 0
    assert result.stderr.startswith("scripts/demo: ")
    assert "All of it happened" not in result.stdout


def test_real_demo_without_a_gpu_is_one_line(tree):
    probe = run_script(sys.executable, MODEL / "cuda_runtime.py")
    if probe.returncode == 0:
        pytest.skip("this machine has a GPU: " + probe.stdout.strip())
    result = run_script(tree / "scripts" / "demo", "--real", "--no-build")
    assert result.returncode == 1
    assert result.stderr.startswith("scripts/demo: --real needs a working GPU: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("script", ["demo", "test", "install-deps", "install-torch", "install-clients", "simulated-torch"])
def test_unknown_argument_is_one_line(script):
    result = run_script(SCRIPTS / script, "--frobnicate")
    assert result.returncode == 1
    assert "--frobnicate" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("script", ["demo", "test", "install-deps", "install-torch", "install-clients", "simulated-torch"])
def test_help(script):
    result = run_script(SCRIPTS / script, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("usage: scripts/" + script)


class FreshMachine:
    """A PATH with a shell's tools and none of the packages; apt-get writes down its calls."""

    TOOLS = ("sh", "sed", "tail", "rm", "mktemp", "env", "cat", "dirname")

    def __init__(self, folder):
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.calls = folder / "calls"
        for tool in self.TOOLS:
            (self.bin / tool).symlink_to("/bin/" + tool)
        self.tool("dpkg-query", "exit 1")

    def tool(self, name, script):
        path = self.bin / name
        path.write_text("#!/bin/sh\n%s\n" % script)
        path.chmod(0o755)

    def apt_get(self, script="exit 0"):
        self.tool("apt-get", 'echo "apt-get $*" >>%s\n%s' % (self.calls, script))

    def install(self, *groups):
        return run_script(SCRIPTS / "install-deps", *groups, PATH=str(self.bin))


@pytest.fixture
def fresh(tmp_path):
    return FreshMachine(tmp_path)


def test_install_names_what_is_missing_when_it_may_not_install(fresh):
    fresh.apt_get()
    fresh.tool("id", "echo 1000")
    result = fresh.install("build")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    for word in ("root", "sudo", "gcc", "make", "uthash-dev", "libunwind-dev", "libdw-dev"):
        assert word in result.stderr
    assert not fresh.calls.exists()


def test_install_without_apt_names_what_is_missing(fresh):
    fresh.tool("id", "echo 0")
    result = fresh.install("build")
    assert result.returncode == 1
    assert "apt-get" in result.stderr and "gcc" in result.stderr
    assert result.stderr.count("\n") == 1


def test_install_uses_sudo(fresh):
    fresh.apt_get()
    fresh.tool("id", "echo 1000")
    fresh.tool("sudo", 'echo "sudo" >>%s\nexec "$@"' % fresh.calls)
    assert fresh.install("build", "test").returncode == 0
    calls = fresh.calls.read_text()
    assert calls.startswith("sudo\napt-get ")
    assert "libcmocka-dev" in calls


def test_install_fetches_package_lists_when_there_are_none(fresh):
    lists = fresh.bin / "lists"
    fresh.apt_get(
        'case "$*" in *update*) : >%s ;; *install*) [ -e %s ] ;; esac' % (lists, lists)
    )
    fresh.tool("id", "echo 0")
    assert fresh.install("build").returncode == 0
    words = [line.split() for line in fresh.calls.read_text().splitlines()]
    assert [("update" in call) for call in words] == [False, True, False]


def test_install_says_when_apt_failed(fresh):
    fresh.apt_get("echo E: no network; exit 100")
    fresh.tool("id", "echo 0")
    result = fresh.install("build")
    assert result.returncode == 1
    assert "E: no network" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("install-deps: apt-get could not install:")


def test_install_is_silent_where_nothing_is_missing():
    result = run_script(SCRIPTS / "install-deps")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def install_torch(folder, **environment):
    """Run scripts/install-torch for a build folder of its own; return what it said and what the tests
    of PyTorch say then."""
    own = {"BUILD": str(folder), "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", **environment}
    done = run_script(SCRIPTS / "install-torch", **own)
    assert done.returncode == 0, done.stderr
    tests = run_script(ROOT / "test" / "torch" / "run", **own)
    assert tests.returncode == 0, tests.stderr
    return done.stdout, tests.stdout


def test_torch_without_pypi_is_one_line(tmp_path):
    said, tests = install_torch(tmp_path, PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert said == "scripts/install-torch: skipped: PyTorch: PyPI cannot be reached\n"
    assert tests == "SKIPPED [1] test/torch: PyTorch is not installed: PyPI cannot be reached\n"


def test_torch_without_disk_space_is_one_line(tmp_path):
    df = tmp_path / "bin" / "df"
    df.parent.mkdir()
    df.write_text("#!/bin/sh\necho; echo disk 100000000 90000000 10000000 90% /\n")
    df.chmod(0o755)
    said, tests = install_torch(tmp_path, PATH="%s:%s" % (df.parent, os.environ["PATH"]))
    assert said == "scripts/install-torch: skipped: PyTorch: it needs 14 GB of disk, 9 GB are free\n"
    assert "it needs 14 GB of disk" in tests


def embedding_torch(folder, version):
    """An environment with a PyTorch whose allocator library needs no libcudart."""
    torch = folder / "lib" / "python3.11" / "site-packages" / "torch"
    (torch / "lib").mkdir(parents=True)
    (torch / "version.py").write_text("__version__ = '%s+cu117'\n" % version)
    source = folder / "none.c"
    source.write_text("int none;\n")
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", torch / "lib" / "libc10_cuda.so"], check=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)


@pytest.mark.parametrize("version, why", [
    ("1.12.0", "PyTorch 1.12.0 has NVIDIA's runtime in its allocator, and no source of it is known here"),
    ("1.13.1", "Debian's source of PyTorch 1.13.1 cannot be reached"),
])  # fmt: skip
def test_torch_that_cannot_be_built_is_one_line(tmp_path, version, why):
    embedding_torch(tmp_path, version)
    proxies = {name: "http://127.0.0.1:9" for name in ("https_proxy", "http_proxy", "all_proxy")}
    done = run_script(SCRIPTS / "simulated-torch", str(tmp_path), **proxies)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "scripts/simulated-torch: skipped: %s\n" % why
    assert (tmp_path / "simulated.skipped").read_text() == why + "\n"
    assert not (tmp_path / "simulated").exists()


def test_torch_with_a_shared_runtime_needs_nothing(tmp_path):
    embedding_torch(tmp_path, "2.3.1")
    library = tmp_path / "lib" / "python3.11" / "site-packages" / "torch" / "lib" / "libc10_cuda.so"
    runtime = tmp_path / "libcudart.so.12"
    flags = ["-shared", "-fPIC", tmp_path / "none.c"]
    subprocess.run(["cc", *flags, "-Wl,-soname,libcudart.so.12", "-o", runtime], check=True)
    subprocess.run(["cc", *flags, "-Wl,--no-as-needed", runtime, "-o", library], check=True)
    done = run_script(SCRIPTS / "simulated-torch", str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "simulated").exists() and not (tmp_path / "simulated.skipped").exists()


def test_torch_that_is_there_is_left_alone(tmp_path):
    venv = tmp_path / "torch-venv"
    venv.mkdir()
    shutil.copy(ROOT / "test" / "torch" / "requirements.txt", venv / "installed")
    done = run_script(SCRIPTS / "install-torch", BUILD=str(tmp_path), PATH="/nowhere:/bin:/usr/bin")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(venv.iterdir()) == [venv / "installed"]

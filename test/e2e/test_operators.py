"""What the operator of a machine for many users sets up: settings and records for all, programs that
are left alone, the library preloaded everywhere, services."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BUILD, ROOT
from test_install import make

ALLOCATE = [sys.executable, ROOT / "test" / "e2e" / "allocate.py"]
RECIPES = ROOT / "scripts" / "recipes"
NAMESPACE = ["unshare", "-m", "sh", "-c"]


def settings(machine, text):
    path = machine.folder / "settings"
    path.write_text(text)
    return str(path)


def test_settings_for_all_users_stand_under_the_environment(machine):
    path = settings(machine, "# all users\nVRAMGUARD_LIMIT=5MiB\n")
    limited = machine.run(ALLOCATE, guarded=True, VRAMGUARD_CONFIG=path)
    assert limited.code == 1 and "VRAMGUARD_LIMIT" in limited.stderr
    own = machine.run(ALLOCATE, guarded=True, VRAMGUARD_CONFIG=path, VRAMGUARD_LIMIT="50MiB")
    assert (own.code, own.stderr) == (0, "")


def test_switched_off_for_all_users(machine):
    path = settings(machine, "export VRAMGUARD='off'\n")
    assert machine.run(ALLOCATE, guarded=True, VRAMGUARD_CONFIG=path).stderr == ""
    assert machine.vramguard("run", "--", "true", VRAMGUARD_CONFIG=path).stderr == ""
    assert machine.records() == []
    assert machine.run(ALLOCATE, guarded=True, VRAMGUARD_CONFIG=path, VRAMGUARD="on").code == 0
    assert len(machine.records()) == 1


def test_wrong_lines_are_named(machine):
    path = settings(machine, "VRAMGUARD_LIMITS=5MiB\nnonsense\nVRAMGUARD_NEED=8\n")
    result = machine.run(ALLOCATE, guarded=True, VRAMGUARD_CONFIG=path)
    assert result.code == 0 and len(result.guard_lines) == 3
    assert "the nearest is VRAMGUARD_LIMIT" in result.stderr
    assert '"nonsense" is not NAME=VALUE' in result.stderr
    assert 'VRAMGUARD_NEED="8": a size needs a unit' in result.stderr
    doctor = machine.vramguard("doctor", VRAMGUARD_CONFIG=path)
    assert doctor.code == 1 and doctor.stderr == "" and "3 problems" in doctor.stdout
    for word in ("VRAMGUARD_NEED", "the nearest is VRAMGUARD_LIMIT", '"nonsense" is not NAME=VALUE'):
        assert word in " ".join(doctor.stdout.split())


def test_a_file_that_is_named_has_to_be_there(machine):
    path = str(machine.folder / "none")
    result = machine.run(ALLOCATE, guarded=True, VRAMGUARD_CONFIG=path)
    assert result.code == 0
    assert result.stderr == 'vramguard: VRAMGUARD_CONFIG="%s": there is no such file\n' % path
    doctor = machine.vramguard("doctor", VRAMGUARD_CONFIG=path)
    assert doctor.code == 1 and "1 problem" in doctor.stdout and "there is no " in doctor.stdout
    assert machine.run(ALLOCATE, guarded=True, VRAMGUARD_CONFIG="/dev/null").stderr == ""
    assert machine.run(ALLOCATE, guarded=True, VRAMGUARD_CONFIG=path, VRAMGUARD="off").stderr == ""


def can_mount():
    return os.getuid() == 0 and subprocess.run([*NAMESPACE, "true"], check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs root and a mount namespace")
def test_the_file_in_etc(machine):
    """In a folder /etc of its own, seen by this test alone."""
    path = settings(machine, "VRAMGUARD_LIMIT=5MiB\n")
    script = 'touch /etc/vramguard.conf && mount --bind "$0" /etc/vramguard.conf && exec "$@"'
    there = os.path.exists("/etc/vramguard.conf")
    try:
        result = machine.run([*NAMESPACE, script, path, *ALLOCATE], guarded=True)
    finally:
        if not there:
            Path("/etc/vramguard.conf").unlink(missing_ok=True)
    assert result.code == 1 and "VRAMGUARD_LIMIT" in result.stderr


def test_programs_that_are_left_alone(machine):
    name = os.path.basename(os.path.realpath(sys.executable))
    for patterns in (name, "Xorg, %s*" % name[:3], "nvidia-?mi,%s" % name):
        result = machine.run(ALLOCATE, guarded=True, VRAMGUARD_EXCLUDE=patterns)
        assert (result.code, result.stderr) == (0, "") and machine.records() == []
    machine.run(ALLOCATE, guarded=True, VRAMGUARD_EXCLUDE="Xorg,%s?" % name)
    assert len(machine.records()) == 1
    machine.vramguard("run", "--", *ALLOCATE, VRAMGUARD_EXCLUDE=name)  # asked for
    assert len(machine.records()) == 2


def test_records_of_all_in_one_folder(machine):
    folder = machine.folder / "all"
    folder.mkdir()
    folder.chmod(0o1777)
    machine.run(ALLOCATE, guarded=True, VRAMGUARD_LOG=str(folder))
    machine.run(ALLOCATE, guarded=True, VRAMGUARD_LOG=str(folder))
    assert machine.records() == [] and len(list(folder.glob("*.vgr"))) == 2
    listed = machine.vramguard("list", str(folder))
    assert listed.stdout.count("allocate.py") == 2
    assert len(json.loads(machine.vramguard("list", "--json", str(folder)).stdout)) == 2
    assert "allocate.py" in machine.vramguard("report", str(folder)).stdout
    # Without a folder named, where the settings put them.
    path = settings(machine, "VRAMGUARD_LOG=%s\n" % folder)
    assert machine.vramguard("list", VRAMGUARD_CONFIG=path).stdout == listed.stdout
    assert "allocate.py" in machine.vramguard("report", VRAMGUARD_CONFIG=path).stdout
    missing = machine.vramguard("list", str(folder / "none"))
    assert missing.code == 1 and "none" in missing.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to be two users")
def test_another_users_records_in_one_folder(machine):
    folder = machine.folder / "all"
    folder.mkdir()
    folder.chmod(0o1777)
    machine.folder.chmod(0o755)
    script = machine.folder / "allocate.py"
    shutil.copy(ALLOCATE[1], script)
    shutil.copytree(BUILD / "simgpu", machine.folder / "simgpu", symlinks=True)
    library = machine.folder / "libvramguard.so"
    shutil.copy(BUILD / "libvramguard.so", library)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env",
               "LD_PRELOAD=%s" % library, "/usr/bin/python3", script]  # fmt: skip
    extra = dict(VRAMGUARD_LOG=str(folder), LD_LIBRARY_PATH=str(machine.folder / "simgpu"))
    result = machine.run(command, SIMGPU_ID="operators-%d" % os.getpid(), **extra)
    os.unlink("/dev/shm/simgpu-operators-%d" % os.getpid())
    assert result.code == 0, result.stderr
    (record,) = folder.glob("*.vgr")
    assert record.stat().st_uid == 65534 and record.stat().st_mode & 0o077 == 0
    assert "allocate.py" in machine.vramguard("list", str(folder)).stdout
    other = [
        "setpriv",
        "--reuid=65533",
        "--regid=65533",
        "--clear-groups",
        machine.folder / "vramguard",
    ]
    shutil.copy(BUILD / "vramguard", machine.folder)
    listed = machine.run([*other, "list", str(folder)])
    assert (listed.code, listed.stderr) == (0, "") and "allocate.py" not in listed.stdout


@pytest.mark.skipif(not can_mount(), reason="needs root and a mount namespace")
def test_preloaded_for_everybody_by_the_loader(machine):
    """/etc/ld.so.preload, in a mount namespace of this test."""
    path = machine.folder / "preload"
    path.write_text("%s\n" % (BUILD / "libvramguard.so"))
    there = os.path.exists("/etc/ld.so.preload")
    script = 'touch /etc/ld.so.preload && mount --bind "$0" /etc/ld.so.preload && exec "$@"'
    try:
        result = machine.run([*NAMESPACE, script, path, *ALLOCATE])
    finally:
        if not there:
            Path("/etc/ld.so.preload").unlink(missing_ok=True)
    assert (result.code, result.stderr) == (0, "") and len(machine.records()) == 1


def test_profile_recipe(machine):
    """Login shells preload the library where it is, and leave alone what is preloaded already."""
    shell = '. "$0"; . "$0"; echo "$LD_PRELOAD"'
    library, recipe = BUILD / "libvramguard.so", machine.folder / "vramguard.sh"
    text = (RECIPES / "profile.d" / "vramguard.sh").read_text()
    recipe.write_text(text.replace("/usr/local/lib/libvramguard.so", str(library)))
    assert machine.run(["sh", "-c", shell, recipe]).own == (0, "%s\n" % library, "")
    both = machine.run(["sh", "-c", shell, recipe], LD_PRELOAD=str(machine.simgpu / "libcuda.so.1"))
    assert both.stdout == "%s:%s\n" % (library, machine.simgpu / "libcuda.so.1")
    recipe.write_text(re.sub(r"/usr\S+libvramguard.so", "/no/such", text))
    assert machine.run(["sh", "-c", shell, recipe]).own == (0, "\n", "")


def test_kubernetes_recipe(machine):
    """What is mounted is declared, and the preloaded file lies in what the init container fills."""
    yaml = pytest.importorskip("yaml")
    pod = yaml.safe_load((RECIPES / "kubernetes" / "pod.yaml").read_text())
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    (init,), (program,) = pod["spec"]["initContainers"], pod["spec"]["containers"]
    mounts = {m["mountPath"]: m["name"] for m in program["volumeMounts"]}
    assert set(mounts.values()) <= volumes
    assert init["volumeMounts"][0]["name"] == mounts["/vramguard"]
    variables = {variable["name"]: variable["value"] for variable in program["env"]}
    assert variables["LD_PRELOAD"] == "/vramguard/lib/libvramguard.so"
    assert variables["VRAMGUARD_LOG"] in mounts


def test_kubernetes_recipe_is_valid(machine):
    """By the schemas that Kubernetes publishes."""
    validator = BUILD / "clients-venv/tools/bin/kubernetes-validate"
    if not validator.exists():
        pytest.skip("no kubernetes-validate: scripts/install-clients installs it")
    recipe = RECIPES / "kubernetes" / "pod.yaml"
    result = machine.run([validator, "--strict", recipe])
    assert result.code == 0, result.stdout + result.stderr
    wrong = machine.folder / "wrong.yaml"
    wrong.write_text(recipe.read_text().replace("mountPath", "mountpath", 1))
    assert machine.run([validator, "--strict", wrong]).code != 0


BASE = "docker.io/library/debian:12-slim"
# What a machine with two kinds of control groups, or with few rights, needs.
PODMAN_RUN = ["--rm", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]


def podman(machine, *words):
    command = ["podman", *(["--runtime", "runc"] if shutil.which("runc") else []), *words]
    return machine.run(command, LD_LIBRARY_PATH=None, HOME="/root")


@pytest.fixture
def image(machine):
    """The recipe's image."""
    if not shutil.which("podman") or os.getuid() != 0:
        pytest.skip("no podman, or not root: apt install podman runc")
    if podman(machine, "image", "exists", BASE).code != 0:
        pytest.skip("podman has no image of Debian: podman pull %s; or, without a registry, "
                    "mmdebstrap --variant=minbase bookworm - | podman import - %s" % (BASE, BASE))  # fmt: skip
    make("tarball")
    name = "localhost/vramguard-test-%d" % os.getpid()
    recipe = RECIPES / "Dockerfile"
    built = podman(machine, "build", "--isolation", "chroot", "-f", recipe, "-t", name, BUILD)
    assert built.code == 0, built.stderr
    yield name
    podman(machine, "rmi", "-f", name)


def test_containers_of_the_recipes(machine, image):
    """The image has the tool; and what the pod of Kubernetes does, with folders as its volumes: the first
    container brings the library, the second, which has an image of its own, is watched."""
    yaml = pytest.importorskip("yaml")
    version = podman(machine, "run", *PODMAN_RUN, image, "vramguard", "--version")
    assert version.stdout.startswith("vramguard "), version.stderr
    pod = yaml.safe_load((RECIPES / "kubernetes" / "pod.yaml").read_text())["spec"]
    for volume in pod["volumes"]:
        (machine.folder / volume["name"]).mkdir()

    def volumes(container):
        mounts = container["volumeMounts"]
        return ["--volume=%s:%s" % (machine.folder / m["name"], m["mountPath"]) for m in mounts]

    (init,), (program,) = pod["initContainers"], pod["containers"]
    brought = podman(machine, "run", *PODMAN_RUN, *volumes(init), image, *init["command"])
    assert brought.code == 0, brought.stderr
    settings = ["--env=%s=%s" % (v["name"], v["value"]) for v in program["env"]]
    simulated = ["--env=SIMGPU_DEVICES=256MiB", "--env=SIMGPU_CONTEXT=32MiB",
                 "--env=LD_LIBRARY_PATH=/vramguard/lib/vramguard/simgpu",
                 "--volume=%s:/program" % (BUILD / "test/e2e/marks")]  # fmt: skip
    watched = podman(machine, "run", *PODMAN_RUN, *volumes(program), *settings, *simulated, BASE, "/program")
    assert watched.code == 0, watched.stderr
    listed = machine.vramguard("list", str(machine.folder / "records"))
    assert "program" in listed.stdout, listed.stdout + watched.stderr


def test_settings_recipe_is_right(machine):
    result = machine.run(ALLOCATE, guarded=True, VRAMGUARD_CONFIG=str(RECIPES / "vramguard.conf"),
                         VRAMGUARD_LOG=str(machine.folder))  # fmt: skip
    assert (result.code, result.stderr) == (0, "")
    used = (RECIPES / "vramguard.conf").read_text().replace("#VRAMGUARD", "VRAMGUARD")
    doctor = machine.vramguard("doctor", VRAMGUARD_CONFIG=settings(machine, used))
    assert doctor.code == 0, doctor.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_systemd_recipe(machine):
    unit = machine.folder / "example.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    folder = machine.folder / "example.service.d"
    folder.mkdir()
    shutil.copy(RECIPES / "systemd" / "vramguard.conf", folder)
    result = machine.run(["systemd-analyze", "verify", unit])
    assert "vramguard.conf" not in result.stderr, result.stderr

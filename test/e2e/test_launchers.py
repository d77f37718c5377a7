"""Programs of several processes: ranks are named, a job makes one report, waits are capped. With the
variables that launchers set, and with the launchers themselves where they are installed."""

import contextlib
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import BUILD, ROOT

RECIPES = ROOT / "scripts" / "recipes"

# Allocates more than there is: when it is told to, or when two of its kind have come so far.
RANK = """
import ctypes, glob, os, sys, time
driver, context, memory = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p(), ctypes.c_void_p()
assert driver.cuInit(0) == 0 and driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
driver.cuCtxSetCurrent(context)
print("ready", flush=True)
if "--wait" in sys.argv:
    sys.stdin.readline()
if "--together" in sys.argv:
    open("ready-%d" % os.getpid(), "w").close()
    while len(glob.glob("ready-*")) < 2:
        time.sleep(0.01)
print("error", driver.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(1 << 30)), flush=True)
"""
FULL = r"vramguard: GPU 0 out of memory: \S+ \(rank %d of 2\) asked 1.00 GiB; .* is free\n  why "
SHORT = r"vramguard: GPU 0 out of memory: .* \(rank %d of 2\) .*; the report of rank %d says why\n"


@pytest.fixture
def program(machine):
    path = machine.folder / "rank.py"
    path.write_text(RANK)
    return [sys.executable, path]


def full_and_short(text):
    """How many whole reports there are, and how many of a single line."""
    whole = re.findall(r"^vramguard: .* out of memory.* is free\n  why ", text, re.MULTILINE)
    return len(whole), len(re.findall("the report of rank . says why", text))


def start_rank(machine, program, rank, **extra):
    process = machine.start([*program, "--wait"], guarded=True, stdin=subprocess.PIPE, RANK=str(rank),
                            WORLD_SIZE="2", MASTER_PORT="29500", **extra)  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def test_ranks_of_a_job_make_one_report(machine, program):
    ranks = [start_rank(machine, program, rank) for rank in (0, 1)]
    first = machine.stop(ranks[1])
    assert re.match(FULL % 1, first.stderr), first.stderr
    second = machine.stop(ranks[0])
    assert re.fullmatch(SHORT % (0, 1), second.stderr), second.stderr
    for pid in (ranks[0].pid, ranks[1].pid):
        assert "\n  why " in machine.vramguard("report", str(pid)).stdout
    # The next run of the same command is another one.
    again = machine.stop(start_rank(machine, program, 0))
    assert re.match(FULL % 0, again.stderr), again.stderr


def test_another_job_makes_its_own_report(machine, program):
    ranks = [start_rank(machine, program, rank, MASTER_ADDR=str(rank)) for rank in (0, 1)]
    for rank in (0, 1):
        assert re.match(FULL % rank, machine.stop(ranks[rank]).stderr)


@pytest.mark.parametrize("variable", ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_a_job_waits_a_minute_at_most(machine, variable):
    """Its other ranks stand still meanwhile."""
    holder = machine.neighbour("150MiB")
    machine.policy = "wait=10m"
    command = [sys.executable, "-c", RANK.replace("1 << 30", "60 << 20")]
    waiting = machine.start(command, guarded=True, **{variable: "2"})
    assert "waiting up to 60 s for 60.0 MiB" in waiting.stderr.readline()
    machine.stop(holder)
    assert machine.finish(waiting).stdout == "ready\nerror 0\n"


def check_job(machine, stdout, stderr):
    """What two ranks together have left."""
    assert sorted(stdout.split("\n")) == ["", *["error 2"] * 2, *["ready"] * 2], stderr
    assert full_and_short(stderr) == (1, 1), stderr
    assert {"(rank 0 of 2)", "(rank 1 of 2)"} == set(re.findall(r"\(rank . of .\)", stderr))
    assert len(machine.records()) == 2


@pytest.mark.skipif(not shutil.which("mpirun"), reason="no mpirun: apt install openmpi-bin")
def test_mpirun(machine, program):
    may_be_root = dict(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    launch = ["mpirun", "--oversubscribe", "--mca", "btl", "self", "-n", "2"]
    probe = machine.run([*launch, "true"], **may_be_root)
    if probe.code != 0:
        pytest.skip("mpirun starts nothing on this machine: %s" % probe.stderr.strip()[-200:])
    guarded = [BUILD / "vramguard", "run", "--", *program, "--together"]
    result = machine.run([*launch, *guarded], **may_be_root)
    check_job(machine, result.stdout, result.stderr)


SLURM_CONF = """
ClusterName=test
SlurmctldHost=localhost
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
NodeName=localhost CPUs=4
PartitionName=all Nodes=ALL Default=YES
{more}
"""


def free_ports(count):
    """Below those that the kernel gives to connections."""
    ports = []
    while len(ports) < count:
        with socket.socket() as one, contextlib.suppress(OSError):
            port = random.randrange(10000, 30000)
            one.bind(("127.0.0.1", port))
            ports.append(port)
    return ports


@pytest.fixture
def slurm(machine):
    """Starts a cluster of this machine; returns how to run a command there."""
    if not all(map(shutil.which, ("slurmctld", "slurmd", "srun", "munged"))):
        pytest.skip("no Slurm: apt install slurm-wlm munge")

    def daemon(*command, **extra):
        log = open(machine.folder / (Path(command[0]).name + ".log"), "w")
        shell = ["sh", "-c", 'exec "$@" >"$0" 2>&1', log.name, *command]
        return machine.start(shell, LD_LIBRARY_PATH=None, **extra)

    def start(more=""):
        folder = machine.folder
        for name in ("state", "spool"):
            (folder / name).mkdir()
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o400)
        files = ["--%s=%s" % (option, folder / name) for option, name in (
            ("socket", "munge.socket"), ("key-file", "munge.key"), ("log-file", "munge.log"),
            ("pid-file", "munge.pid"), ("seed-file", "munge.seed"))]  # fmt: skip
        user = pwd.getpwuid(os.getuid()).pw_name
        text = SLURM_CONF.format(folder=folder, ports=free_ports(2), user=user, more=more)
        (folder / "slurm.conf").write_text(text)
        where = dict(SLURM_CONF=str(folder / "slurm.conf"))
        daemon("munged", "--foreground", "--force", *files)
        came_up = waited_for((folder / "munge.socket").exists)
        daemon("slurmctld", "-D", **where)
        daemon("slurmd", "-D", "-N", "localhost", **where)
        sinfo = ["sinfo", "-h", "-o", "%T"]
        if not came_up or not waited_for(lambda: machine.run(sinfo, **where).stdout == "idle\n"):
            logs = [path.read_text().splitlines()[-1:] for path in folder.glob("slurm*.log")]
            pytest.skip("Slurm does not come up on this machine: %s" % logs)
        return where

    yield start
    # What slurmd starts for a job outlives it, when a test fails in the middle of one.
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if link.readlink() == machine.folder and (link.parent / "comm").read_text() == "slurmstepd\n":
                os.kill(int(link.parent.name), signal.SIGKILL)


def waited_for(condition):
    deadline = time.monotonic() + 100
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_a_job_of_slurm(machine, slurm, program):
    """The recipe's job, with our program in the place of the user's."""
    text = (RECIPES / "slurm" / "job.sh").read_text()
    text = text.replace("#SBATCH --gpus-per-task=1\n", "")  # Slurm would look for a real one
    ours = " ".join(map(str, [*program, "--together"]))
    text = text.replace("vramguard run -- python train.py", "%s run -- %s" % (BUILD / "vramguard", ours))
    job = machine.folder / "job.sh"
    job.write_text(text)
    out = machine.folder / "out"
    where = slurm()
    submitted = machine.run(["sbatch", "--wait", "--output", out, "--error", "err", job], **where)
    assert submitted.code == 0, submitted.stderr + out.read_text()
    check_job(machine, out.read_text(), (machine.folder / "err").read_text())


def test_all_jobs_of_slurm(machine, slurm, program):
    """The recipe's prolog guards a job that knows nothing of vramguard."""
    prolog = machine.folder / "prolog.sh"
    text = (RECIPES / "slurm" / "task-prolog.sh").read_text()
    prolog.write_text(text.replace(":-libvramguard.so", ":-%s" % (BUILD / "libvramguard.so")))
    prolog.chmod(0o755)
    where = slurm("TaskProlog=%s" % prolog)
    result = machine.run(["srun", "-n", "2", *program, "--together"], **where)
    check_job(machine, result.stdout, result.stderr)
    off = machine.run(["srun", *program], **where, VRAMGUARD="off")
    assert off.stdout == "ready\nerror 2\n" and off.guard_lines == []
    assert len(machine.records()) == 2

"""Containers that share /dev/shm and a GPU: one line, one list of who holds what, although the pids of
one mean nothing in the other."""

import json
import re
import sys
import time

import pytest
from actors import DEVICE, PATIENCE_S, Actor, flat
from conftest import BUILD
from test_wait import HERE, OUT_OF_MEMORY, POOL_KEEPER, tried

CONTAINER = ["unshare", "-p", "-f", "--kill-child", "--mount-proc"]
SOMEBODY = "a process of another container or host"


@pytest.fixture
def scene(machine):
    """The machine with 1 GiB of memory, `outside()` and `inside()`: of a container."""
    if machine.run([*CONTAINER, "true"]).code != 0:
        pytest.skip("no pid namespace to be had here")
    machine.policy = None
    machine.settings = {}
    machine.gpu = machine.registry_file().name.partition(".")[0]
    machine.outside = lambda **settings: Actor(machine, **settings)
    machine.inside = lambda **settings: Actor(machine, command=CONTAINER, **settings)
    return machine


def line(scene, container=False):
    """Who waits for this test's GPU, in order, as is seen here or in a container."""
    command = [BUILD / "vramguard", "list", "--waiting", "--json"]
    listed = scene.run([*(CONTAINER if container else []), *command])
    assert listed.code == 0, listed.stderr
    return [waiter for waiter in json.loads(listed.stdout) if waiter["gpu"] == scene.gpu]


def begin(scene, actor, mib):
    """Let it wait in line."""
    before = len(line(scene))
    actor.tell("alloc x %d" % mib)
    deadline = time.monotonic() + PATIENCE_S
    while len(line(scene)) == before:
        assert time.monotonic() < deadline, "it does not wait"


@pytest.mark.parametrize("who", ["inside", "outside"])
def test_what_another_container_frees_is_got(scene, who):
    holder = (scene.outside if who == "inside" else scene.inside)().holding(900)
    waiter = getattr(scene, who)()
    begin(scene, waiter, 500)
    time.sleep(1.3)
    holder.free()
    assert waiter.awaited("x")[0] == 0
    starts, ends = waiter.end().guard_lines
    assert "cannot be asked" not in starts
    assert re.search(r"waiting up to 30 s for 500 MiB .*: %s holds 90\d MiB" % SOMEBODY, starts), starts
    assert re.search(r": %s freed 900 MiB" % SOMEBODY, ends), ends


def test_containers_wait_in_one_line(scene):
    """In the order in which they came; who is killed leaves it; who waits elsewhere has no pid here."""
    holder = scene.outside().holding(600)
    killed, first, second = scene.inside(), scene.inside(), scene.outside()
    for waiter in (killed, first, second):
        begin(scene, waiter, 600)
    assert [waiter["pid"] for waiter in line(scene)] == [None, None, second.pid]
    assert line(scene)[0]["command"] == "(%s)" % SOMEBODY
    assert [waiter["pid"] for waiter in line(scene, container=True)] == [None, None, None]
    text = scene.run([BUILD / "vramguard", "list", "--waiting"]).stdout
    assert re.search(r" 1 +- +\(%s" % SOMEBODY[:9], text), text
    killed.kill()
    holder.free()
    assert first.awaited("x")[0] == 0
    assert second.hear(0.3) is None
    first.end()
    assert second.awaited("x")[0] == 0
    assert second.end().code == 0


def test_an_unused_pool_of_another_container_is_given_back(scene):
    command = [*CONTAINER, sys.executable, "-c", POOL_KEEPER, "cuDeviceGetDefaultMemPool", "(0,)"]
    keeper = scene.start(command, guarded=True, stdin=-1, **{**DEVICE, "PYTHONPATH": HERE})
    assert keeper.stdout.readline() == "idle\n"
    actor = scene.outside()
    assert actor.alloc("x", 600)[0] == 0
    assert actor.end().guard_lines == []
    keeper.stdin.close()
    keeper.stdin = None
    (told,) = [x for x in scene.finish(keeper).guard_lines if "gave back" in x]
    assert "gave back 700 MiB of cached memory: %s asked for 600 MiB" % SOMEBODY in told


def test_who_is_elsewhere_has_no_name_in_a_report(scene):
    holder = scene.inside().holding(900)
    actor = scene.outside(VRAMGUARD_POLICY="off")
    assert actor.alloc("x", 500)[0] == OUT_OF_MEMORY
    actor.end()
    report = json.loads(scene.vramguard("report", "--json", str(actor.pid)).stdout)
    (there,) = report["failures"][0]["device"]["processes"]  # as NVML tells
    assert (there["visible"], there["guarded"], there["command"]) == (False, False, None)
    assert "pid -1" not in scene.vramguard("report", str(actor.pid)).stdout
    holder.end()


# With a /dev/shm of its own, but for the simulated GPU.
APART = """
mkdir shm && mount -t tmpfs none shm && touch shm/simgpu-$SIMGPU_ID &&
mount --bind /dev/shm/simgpu-$SIMGPU_ID shm/simgpu-$SIMGPU_ID && mount --rbind shm /dev/shm && exec "$0" "$@"
"""


def test_who_is_out_of_reach_is_said_to_be(scene):
    """Nothing is known of what does not share /dev/shm but what NVML tells."""
    alone = [*CONTAINER, "-m", "sh", "-c", APART]
    patience = {"VRAMGUARD_POLICY": "wait=1500ms"}
    holder = scene.outside().holding(900)
    if scene.run([*alone, "true"]).code != 0:
        pytest.skip("nothing can be mounted here")
    (scene.folder / "shm").rmdir()
    waiter = Actor(scene, command=alone, **patience)
    assert waiter.alloc("x", 500)[0] == OUT_OF_MEMORY
    result = waiter.end()
    starts = result.guard_lines[0]
    assert "%s holds 90" % SOMEBODY in starts and "and cannot be asked to give back" in starts
    assert "cannot be asked to give back (it is unguarded, or its container does not" in tried(result)
    holder.end()


def test_who_waits_elsewhere_is_no_part_of_a_deadlock(scene):
    """What a container holds may come free: its processes are not seen from here."""
    patience = {"VRAMGUARD_POLICY": "wait=3s"}
    here, there = scene.outside(**patience).holding(450), scene.inside(**patience).holding(450)
    begin(scene, here, 400)
    there.tell("alloc x 400")
    codes = sorted([here.awaited("x")[0], there.awaited("x")[0]])
    assert codes[0] == OUT_OF_MEMORY or codes[1] == OUT_OF_MEMORY
    for actor in (here, there):
        result = actor.end()
        assert "deadlock" not in result.stderr
        if "out of memory" in result.stderr:
            assert "nothing came free, %s still holds" % SOMEBODY in tried(result)
            assert not re.search(r"stop pid|kill", flat(result.guard_text))


def test_who_gives_way_is_here(scene):
    """A wait in a container has no part in a deadlock of two that are here, and goes on."""
    first, second = scene.outside().holding(450), scene.outside().holding(450)
    there = scene.inside(VRAMGUARD_POLICY="wait=4s")
    assert there.ask("context 0") == "context 0"
    begin(scene, first, 300)
    begin(scene, there, 300)
    second.tell("alloc x 300")
    assert second.awaited("x")[0] == OUT_OF_MEMORY
    assert "gave up to break a deadlock" in tried(second.end())
    assert first.awaited("x")[0] == 0
    first.end()
    assert there.awaited("x")[0] == 0
    assert "deadlock" not in there.end().stderr

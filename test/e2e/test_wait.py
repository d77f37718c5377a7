"""Waiting for memory of other processes: who gets it, when, in which order, and what ends it."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from actors import DEVICE, PATIENCE_S, Actor, flat, waiters
from conftest import BUILD, FIRST_LINE, ROOT, at_most

OUT_OF_MEMORY = 2
HERE = str(Path(__file__).parent)


@pytest.fixture
def scene(machine):
    """The machine with `actor(...)`, 1 GiB of memory and the default policy."""
    machine.policy = None
    machine.settings = {}
    machine.actor = lambda *arguments, **settings: Actor(machine, *arguments, **settings)
    return machine


def tried(result):
    """The timeline of the only report."""
    text = re.search(r"\n  [Tt]ried +(.*?)\n  (?:Recorded|more) ", result.guard_text, re.DOTALL)
    assert text, result.stderr
    return flat(text.group(1))


# ---- somebody frees


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "unguarded"])
def test_what_is_freed_after_three_seconds_is_got(scene, guarded):
    holder = scene.actor(guarded=guarded).holding(900)
    waiter = scene.actor()
    waiter.tell("alloc x 500")
    time.sleep(3)
    holder.free()
    code, ms = waiter.awaited("x")
    assert code == 0
    # A guarded one tells that it frees; for others the waiter looks every second.
    assert 2900 <= ms and at_most(ms, 3500 if guarded else 4700)
    result = waiter.end()
    assert result.code == 0 and result.own_stderr == ""
    starts, ends = result.guard_lines
    assert re.fullmatch(
        r"vramguard: GPU 0: waiting up to 30 s for 500 MiB \(12[0-9] MiB free\): pid %d \(actor\) "
        r"holds 90[0-9] MiB" % holder.pid, starts), starts
    assert re.fullmatch(
        r"vramguard: GPU 0: got 500 MiB after [234](\.\d)? s: pid %d \(actor\) freed 900 MiB"
        % holder.pid, ends), ends
    assert "No allocation failed" in scene.vramguard("report", str(waiter.pid)).stdout


def test_holder_that_ends_is_named(scene):
    holder, waiter = scene.actor().holding(900), scene.actor()
    waiter.tell("alloc x 500")
    time.sleep(1.5)
    holder.end()
    assert waiter.awaited("x")[0] == 0
    assert re.search(r": pid %d \(actor\) ended" % holder.pid, waiter.end().guard_lines[1])


def test_what_is_freed_at_once_is_got_without_a_word(scene):
    holder, waiter = scene.actor().holding(900), scene.actor()
    waiter.begin("x", 500)
    time.sleep(0.3)
    holder.free()
    assert waiter.awaited("x")[0] == 0
    assert waiter.end().guard_lines == []


def test_memory_of_a_killed_holder_is_got(scene):
    holder, waiter = scene.actor().holding(900), scene.actor()
    waiter.begin("x", 500)
    holder.kill()
    code, ms = waiter.awaited("x")
    assert code == 0 and at_most(ms, 3000)
    assert waiter.end().code == 0


def test_nobody_frees(scene):
    """The driver's error after the time, everything else as bare, and the timeline told."""
    scene.settings = {"VRAMGUARD_POLICY": "trim,wait=1500ms"}
    holder = scene.actor().holding(900)
    program = [sys.executable, "-c", "import driver_calls as d; d.call('cuInit', 0); "
               "d.current_primary_context(); print(d.allocate(500 << 20)[0]); "
               "d.call('cuMemAlloc_v2', None, 5)"]
    settings = {**DEVICE, "PYTHONPATH": HERE, **scene.settings}
    bare = scene.run(program, **settings)
    start = time.monotonic()
    guarded = scene.run(program, guarded=True, **settings)
    took = time.monotonic() - start
    assert took >= 1.5 and at_most(took, 4)
    assert bare.code == 1 and bare.stdout == "2\n"
    assert guarded.own == bare.own
    told = [line for line in guarded.guard_lines if line.startswith("vramguard: ")]
    assert re.match(r"vramguard: GPU 0: waiting up to 1.5 s for 500 MiB", told[0])
    gave_up = r"vramguard: GPU 0: gave up waiting for 500 MiB after 1.\d s: nothing came free, pid %d \(actor\) still"
    assert re.match(gave_up % holder.pid, told[1]), told[1]
    assert FIRST_LINE.fullmatch(told[2]) and len(told) == 3
    timeline = r"trim: .* wait: nothing came free, pid %d \(actor\) still holds 90\d MiB.* in 1\.\d s" % holder.pid
    assert re.search(timeline, tried(guarded)), tried(guarded)
    recorded = flat(scene.vramguard("report").stdout)
    assert re.search("Tried " + timeline, recorded), recorded


def test_a_wait_of_less_than_a_second_is_silent_when_it_ends(scene):
    scene.settings = {"VRAMGUARD_POLICY": "wait=300ms"}
    scene.actor().holding(900)
    waiter = scene.actor()
    code, ms = waiter.alloc("x", 500)
    assert code == OUT_OF_MEMORY and ms >= 300 and at_most(ms, 900)
    assert not [line for line in waiter.end().guard_lines if "waiting" in line or "gave up" in line]


# ---- order


def serve(holder, line):
    """The holder frees; each in turn frees what it got. Return the order in which they got it."""
    holder.free()
    order = []
    deadline = time.monotonic() + PATIENCE_S
    while len(order) < len(line):
        assert time.monotonic() < deadline, "nobody gets it; so far: %s" % order
        for i in set(range(len(line))) - set(order):
            answer = line[i].hear(0.01)
            if answer:
                assert line[i].allocated("x", answer)[0] == 0, (i, answer, order)
                order.append(i)
                line[i].free("x")
                break
    return order


def test_eight_waiters_are_served_in_order(scene):
    holder = scene.actor().holding(600)
    line = [scene.actor() for _ in range(8)]
    for waiter in line:
        waiter.begin("x", 600)
    assert [waiter["pid"] for waiter in waiters(scene)] == [waiter.pid for waiter in line]
    assert serve(holder, line) == list(range(8))
    assert waiters(scene) == []
    for waiter in line:
        assert waiter.end().code == 0


def test_who_waits_is_listed(scene):
    holder = scene.actor().holding(600)
    first, second = scene.actor().holding(100), scene.actor()
    first.begin("x", 600)
    time.sleep(1.2)
    second.begin("x", 500)
    head, next_one = waiters(scene)
    assert (head["place"], head["pid"], head["held_bytes"]) == (1, first.pid, 100 << 20)
    assert (next_one["place"], next_one["pid"], next_one["held_bytes"]) == (2, second.pid, 0)
    assert [waiter["wanted_bytes"] >> 20 for waiter in (head, next_one)] == [600, 500]
    assert head["for"] == "an allocation" and head["command"].endswith("/actor")
    assert 1200 <= head["waited_ms"] < head["waited_ms"] + head["left_ms"] <= 30000
    assert next_one["waited_ms"] < head["waited_ms"] and next_one["left_ms"] > head["left_ms"]
    text = scene.vramguard("list", "--waiting", guarded=False).stdout
    (line,) = [line for line in text.splitlines() if " %d " % first.pid in line]
    told = r" 1 +%d  actor +600 MiB +an allocation +\d+\.\d s +2\d\.\d s +100 MiB" % first.pid
    assert re.search(told, line), line
    holder.free()
    assert first.awaited("x")[0] == 0
    first.end()
    assert second.awaited("x")[0] == 0


def test_nobody_waits(machine):
    alone = [ROOT / "test" / "alone", BUILD / "vramguard", "list", "--waiting"]
    if not machine.run(["unshare", "-m", "true"]).code == 0:
        pytest.skip("other tests are seen here")
    said = machine.run(alone, VG_TEST_ALONE=None)
    assert said.own == (0, "No guarded program of yours waits for GPU memory.\n", "")
    assert machine.run([*alone, "--json"], VG_TEST_ALONE=None).stdout == "[]\n"


def test_higher_priority_is_served_first(scene):
    holder = scene.actor().holding(600)
    line = [scene.actor(VRAMGUARD_PRIORITY=str(priority)) for priority in (10, 90, 50)]
    for waiter in line:
        waiter.begin("x", 600)
    assert serve(holder, line) == [1, 2, 0]


def test_holders_are_served_before_those_who_hold_nothing(scene):
    holder = scene.actor().holding(600)
    line = [scene.actor(), scene.actor().holding(70)]
    for waiter in line:
        waiter.begin("x", 600)
    holder.free()
    assert line[1].awaited("x")[0] == 0
    assert line[0].hear(0.3) is None


def test_threads_of_one_process_wait_in_order(scene):
    holder, waiter = scene.actor(), scene.actor()
    for name in ("1", "2", "3"):
        holder.holding(300, name)
    for place, name in enumerate(("a", "b", "c")):
        waiter.tell("thread %s 300" % name)
        deadline = time.monotonic() + PATIENCE_S
        while waiter.place() <= place:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    for freed, name in zip(("2", "3", "1"), ("a", "b", "c")):
        holder.free(freed)
        assert waiter.awaited(name)[0] == 0
    assert waiter.ask("join") == "joined"
    assert waiter.end().code == 0


# ---- newcomers


def test_newcomers_are_held_back_and_holders_never(scene):
    """124 MiB are free and not enough for the head. Four smaller newcomers pass it, the fifth is
    held back until the head's five seconds of patience, in which it may be passed, are long over
    and it is served; who holds memory already gets it in any case."""
    scene.actor().holding(700)
    small_holder = scene.actor().holding(100)
    head = scene.actor(VRAMGUARD_POLICY="wait=8s")
    head.begin("x", 500)
    for _ in range(4):
        code, ms = scene.actor().alloc("x", 10)
        assert code == 0 and at_most(ms, 900)
    late = scene.actor()
    late.tell("alloc x 10")
    assert late.hear(1.5) is None
    assert {"pid": late.pid, "for": "its turn"}.items() <= waiters(scene)[1].items()
    assert small_holder.alloc("y", 20)[0] == 0
    assert late.hear(0.1) is None
    code, ms = head.awaited("x")
    assert code == OUT_OF_MEMORY and ms >= 8000
    assert late.awaited("x")[0] == 0
    lines = late.end().guard_lines
    assert len(lines) == 1 and "the first 10.0 MiB of this program wait" in lines[0]


def test_newcomer_too_large_to_pass_waits_behind_the_head(scene):
    holder = scene.actor().holding(900)
    head, newcomer = scene.actor(), scene.actor()
    head.begin("x", 600)
    newcomer.begin("x", 300)
    assert [waiter["for"] for waiter in waiters(scene)] == ["an allocation", "its turn"]
    holder.free()
    assert head.awaited("x")[0] == 0
    assert newcomer.awaited("x")[0] == 0


# ---- deadlock


def test_one_of_two_who_wait_for_each_other_gives_way(scene):
    first, second = scene.actor().holding(450), scene.actor().holding(450)
    first.begin("x", 400)
    start = time.monotonic()
    second.tell("alloc x 400")
    code, ms = second.awaited("x")  # the younger one
    assert code == OUT_OF_MEMORY
    assert at_most(time.monotonic() - start, 1.3) and at_most(ms, 1200)
    assert first.hear(0.3) is None
    result = second.end()
    assert "gave up to break a deadlock: all processes that could free memory wait" in tried(result)
    assert first.awaited("x")[0] == 0
    assert "out of memory" not in first.end().stderr


def test_the_one_of_lower_priority_gives_way(scene):
    first = scene.actor(VRAMGUARD_PRIORITY="40").holding(450)
    second = scene.actor().holding(450)
    first.begin("x", 400)
    second.begin("x", 400)
    assert first.awaited("x")[0] == OUT_OF_MEMORY
    first.end()
    assert second.awaited("x")[0] == 0


def test_ring_over_three_gpus(scene):
    """Each holds a GPU and waits for the next one's: one gives way, then the others come through
    one after the other."""
    scene.settings = {"SIMGPU_DEVICES": "1GiB,1GiB,1GiB"}
    ring = [scene.actor(gpu).holding(600) for gpu in range(3)]
    for gpu, actor in enumerate(ring):
        assert actor.ask("context %d" % ((gpu + 1) % 3)) == "context 0"
    for actor in ring:
        actor.tell("alloc x 600")
    start = time.monotonic()
    answers, waiting = {}, set(range(3))
    while waiting:
        assert time.monotonic() - start < PATIENCE_S, answers
        for i in list(waiting):
            answer = ring[i].hear(0.02)
            if answer:
                answers[i] = ring[i].allocated("x", answer)[0]
                waiting.remove(i)
                if len(answers) == 1:
                    assert at_most(time.monotonic() - start, 1.5)
                ring[i].end()
    assert sorted(answers.values()) == [0, 0, OUT_OF_MEMORY]


def test_unguarded_holder_makes_it_no_deadlock(scene):
    """It may free what they wait for: nobody gives way before the time."""
    scene.settings = {"VRAMGUARD_POLICY": "wait=2500ms"}
    scene.actor(guarded=False).holding(300)
    pair = [scene.actor().holding(300), scene.actor().holding(300)]
    for actor in pair:
        actor.tell("alloc x 300")
    answers = [actor.awaited("x") for actor in pair]  # before one ends, and frees what it holds
    assert all(code == OUT_OF_MEMORY and ms >= 2500 for code, ms in answers), answers
    assert not [actor for actor in pair if "deadlock" in actor.end().guard_text]


# ---- signals, stops, kills, forks


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_signal_without_a_handler_ends_the_program(scene, number):
    scene.actor().holding(900)
    waiter = scene.actor()
    waiter.begin("x", 500)
    start = time.monotonic()
    waiter.signal(number)
    assert waiter.end().code == -number
    assert at_most(time.monotonic() - start, 1)
    assert waiters(scene) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("ticking", [False, True], ids=["", "ticking"])
def test_signal_with_a_handler_ends_the_wait(scene, number, ticking):
    """Also where a handler of another signal interrupts the program all the time."""
    scene.actor().holding(900)
    waiter = scene.actor()
    assert waiter.ask("handle %d" % number) == "handled"
    if ticking:
        assert waiter.ask("tick") == "ticking"
    waiter.begin("x", 500)
    time.sleep(0.3)
    start = time.monotonic()
    waiter.signal(number)
    heard = [waiter.hear(), waiter.hear()]
    assert at_most(time.monotonic() - start, 1)
    assert sorted(line.split()[0] for line in heard) == ["alloc", "signal"], heard
    assert waiter.allocated("x", max(heard, key=len))[0] == OUT_OF_MEMORY
    assert waiters(scene) == []
    assert "a signal asks the program to end" in tried(waiter.end())


def test_signal_during_a_try_ends_the_wait(scene):
    """The first try begins at once, and takes as long as this driver does."""
    scene.actor().holding(900)
    waiter = scene.actor(SIMGPU_LATENCY="cuMemAlloc=500ms")
    assert waiter.ask("handle %d" % signal.SIGTERM) == "handled"
    waiter.begin("x", 500)
    waiter.signal(signal.SIGTERM)
    heard = [waiter.hear(), waiter.hear()]
    assert None not in heard, heard
    assert waiter.allocated("x", max(heard, key=len))[0] == OUT_OF_MEMORY
    assert "a signal asks the program to end" in tried(waiter.end())


def test_signal_without_a_handler_ends_the_program_in_a_try(scene):
    scene.actor().holding(900)
    waiter = scene.actor(SIMGPU_LATENCY="cuMemAlloc=3s")
    waiter.begin("x", 500)
    start = time.monotonic()
    waiter.signal(signal.SIGTERM)
    assert waiter.end().code == -signal.SIGTERM
    assert at_most(time.monotonic() - start, 1)


def test_signal_ends_the_wait_of_the_main_thread_among_others(scene):
    """As in PyTorch with data loaders: there are other threads, and a handler of SIGCHLD. A signal
    sent to the process reaches the main thread, unless that blocks it, which it does while it does
    not sleep: then another thread handles it, and the next one counts."""
    scene.actor().holding(900)
    waiter = scene.actor()
    assert waiter.ask("handle %d" % signal.SIGTERM) == "handled"
    assert waiter.ask("handle %d" % signal.SIGCHLD) == "handled"
    assert waiter.ask("idle") == "idling"
    waiter.begin("x", 500)
    time.sleep(0.3)
    heard = ["signal"]
    for _ in range(8):
        if heard[-1].startswith("alloc"):
            break
        waiter.signal(signal.SIGTERM)
        while heard[-1].startswith("signal") and (answer := waiter.hear(0.3)):
            heard.append(answer)
    code, ms = waiter.allocated("x", heard[-1])
    assert code == OUT_OF_MEMORY and at_most(ms, 5000)
    waiter.kill()


def test_other_handlers_do_not_end_the_wait(scene):
    holder, waiter = scene.actor().holding(900), scene.actor()
    assert waiter.ask("tick") == "ticking"
    waiter.begin("x", 500)
    time.sleep(1.2)
    holder.free()
    assert waiter.awaited("x")[0] == 0
    assert "got 500 MiB" in waiter.end().guard_text


PYTHON_WAITS = """
import signal, sys, driver_calls as d
d.call("cuInit", 0)
d.current_primary_context()
if sys.argv[1] == "SIGTERM":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
print("waiting", flush=True)
code, _ = d.allocate(500 << 20)
print(code)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_python_handlers_run(scene, name):
    """They run when the call has returned: SIGTERM's of the program, SIGINT's KeyboardInterrupt."""
    scene.actor().holding(900)
    program = scene.start([sys.executable, "-c", PYTHON_WAITS, name], guarded=True,
                          PYTHONPATH=HERE, **DEVICE)
    assert program.stdout.readline() == "waiting\n"
    while not waiters(scene):
        time.sleep(0.02)
    start = time.monotonic()
    os.kill(program.pid, getattr(signal, name))
    result = scene.finish(program)
    assert at_most(time.monotonic() - start, 2)
    expected = "told to end" if name == "SIGTERM" else "KeyboardInterrupt"
    assert expected in result.own_stderr.splitlines(), result.stderr
    assert result.code == (1 if name == "SIGTERM" else -signal.SIGINT)


def test_stopped_head_is_passed_over(scene):
    """Until it runs again: then it is the first in line as before."""
    holder = scene.actor().holding(600)
    head, second, third = (scene.actor() for _ in range(3))
    for waiter in (head, second, third):
        waiter.begin("x", 600)
    head.signal(signal.SIGSTOP)
    freed = time.monotonic()
    holder.free()
    assert second.awaited("x")[0] == 0
    assert at_most(time.monotonic() - freed, 1)
    assert [waiter["stopped"] for waiter in waiters(scene)] == [True, False]
    assert " 1, stopped " in scene.vramguard("list", "--waiting", guarded=False).stdout
    head.signal(signal.SIGCONT)
    second.free("x")
    assert head.awaited("x")[0] == 0
    assert third.hear(0.3) is None
    head.free("x")
    assert third.awaited("x")[0] == 0
    assert waiters(scene) == []


def test_stopped_one_behind_the_head_blocks_nobody(scene):
    holder = scene.actor().holding(600)
    line = [scene.actor() for _ in range(3)]
    for waiter in line:
        waiter.begin("x", 600)
    line[1].kill()
    holder.free()
    assert line[0].awaited("x")[0] == 0
    line[0].free("x")
    code, ms = line[2].awaited("x")
    assert code == 0


def test_signal_ends_the_wait_of_a_newcomer(scene):
    """Of one that is held back; it does not begin to wait anew for what it then does not get."""
    scene.actor().holding(900)
    head, newcomer = scene.actor(), scene.actor()
    head.begin("x", 500)
    assert newcomer.ask("handle %d" % signal.SIGTERM) == "handled"
    newcomer.begin("x", 600)
    assert waiters(scene)[1]["for"] == "its turn"
    start = time.monotonic()
    newcomer.signal(signal.SIGTERM)
    heard = [newcomer.hear(), newcomer.hear()]
    assert at_most(time.monotonic() - start, 1)
    assert newcomer.allocated("x", max(heard, key=len))[0] == OUT_OF_MEMORY
    assert "skipped: a signal asks the program to end" in tried(newcomer.end())


def test_newcomer_waits_no_longer_than_the_policy_says(scene):
    """Being held back counts."""
    scene.settings = {"VRAMGUARD_POLICY": "wait=2s"}
    scene.actor().holding(900)
    head, newcomer = scene.actor(VRAMGUARD_POLICY="wait=5s"), scene.actor()
    head.begin("x", 500)
    code, ms = newcomer.alloc("x", 600)
    assert code == OUT_OF_MEMORY and ms >= 2000 and at_most(ms, 3500)


def test_fork_while_waiting(scene):
    """A child made meanwhile ends: the parent's thread goes on waiting, with its place."""
    holder, waiter = scene.actor().holding(900), scene.actor()
    waiter.tell("thread x 500")
    while not waiter.place():
        time.sleep(0.01)
    answer = waiter.ask("fork")
    assert re.fullmatch(r"child \d+ 7", answer), answer
    assert waiter.place() == 1
    holder.free()
    assert waiter.awaited("x")[0] == 0
    assert waiter.ask("join") == "joined"
    assert waiter.end().code == 0
    assert waiters(scene) == []


STORM_S = int(os.environ.get("VG_TEST_STORM_S", "6"))


def test_kills_at_random_leave_nothing_behind(scene):
    """Twelve in random load; some are killed, waiting or holding, and others take their place. Who
    is left comes to its end, and then all the memory is there and nobody is in line."""
    scene.settings = {"VRAMGUARD_POLICY": "trim,wait=2s", "VRAMGUARD_STACKS": "off"}
    actors, killed = [], 0
    end = time.monotonic() + STORM_S
    while time.monotonic() < end:
        while len(actors) < 12:
            actor = scene.actor(None)
            if actor.ask("context 0") == "context 0":
                assert actor.ask("load %d" % (killed + len(actors))) == "loading"
                actors.append(actor)
            else:
                actor.end()  # the GPU was so full that not even a context could be had in time
        time.sleep(0.1)
        actors.pop(killed * 7 % len(actors)).kill()
        killed += 1
    assert killed >= STORM_S * 2
    for actor in actors:
        actor.process.stdin.close()
        actor.process.stdin = None
    succeeded = 0
    for actor in actors:
        word, good, _, other = actor.hear().split()
        assert word == "loaded" and other == "0"
        succeeded += int(good)
        assert actor.end().code == 0
    assert succeeded > 0
    assert waiters(scene) == []
    code, ms = scene.actor().alloc("all", 1000)
    assert code == 0 and at_most(ms, 1000)


# ---- VRAMGUARD_NEED


def test_two_loads_run_one_after_the_other(scene):
    scene.settings = {"VRAMGUARD_NEED": "600MiB"}
    first = scene.actor().holding(300)
    second = scene.actor(None)
    second.tell("context 0")
    assert second.hear(1.5) is None
    assert waiters(scene)[0]["for"] == "VRAMGUARD_NEED"
    assert first.alloc("more", 290)[0] == 0  # as promised
    first.end()
    assert second.hear() == "context 0"
    assert second.alloc("x", 590)[0] == 0
    starts, ends = second.end().guard_lines
    assert "waiting up to 1 h until 600 MiB are free (VRAMGUARD_NEED; now " in starts, starts
    assert re.search(r"600 MiB are free after \d\.\d s and reserved for this program", ends), ends


def test_need_that_is_there_is_not_talked_about(scene):
    actor = scene.actor(VRAMGUARD_NEED="600MiB")
    assert actor.alloc("x", 600)[0] == 0
    assert actor.end().guard_lines == []


def test_need_of_more_than_the_gpu_has(scene):
    actor = scene.actor(VRAMGUARD_NEED="2GiB")
    assert actor.alloc("x", 600)[0] == 0
    (line,) = actor.end().guard_lines
    assert "VRAMGUARD_NEED=2.00 GiB is more than the GPU has (1.00 GiB)" in line


def test_need_goes_on_without_after_its_time(scene):
    scene.actor().holding(600)
    start = time.monotonic()
    actor = scene.actor(VRAMGUARD_NEED="600MiB", VRAMGUARD_NEED_WAIT="1500ms")
    took = time.monotonic() - start
    assert took >= 1.5 and at_most(took, 3)
    assert actor.alloc("x", 300)[0] == 0
    lines = actor.end().guard_lines
    assert len(lines) == 2 and "600 MiB did not come free in 1.5 s" in lines[1], lines


def test_reserved_memory_is_left_alone_by_newcomers(scene):
    reserver = scene.actor(VRAMGUARD_NEED="800MiB")
    newcomer = scene.actor()
    newcomer.begin("x", 500)
    time.sleep(0.5)
    assert newcomer.hear(0) is None
    assert reserver.alloc("x", 790)[0] == 0
    reserver.end()
    assert newcomer.awaited("x")[0] == 0


def test_promise_to_a_killed_process_is_void(scene):
    reserver = scene.actor(VRAMGUARD_NEED="800MiB")
    newcomer = scene.actor()
    newcomer.begin("x", 500)
    reserver.kill()
    code, ms = newcomer.awaited("x")
    assert code == 0 and at_most(ms, 3000)


def test_signal_ends_the_wait_for_what_is_needed(scene):
    scene.actor().holding(600)
    actor = scene.actor(None, VRAMGUARD_NEED="600MiB")
    actor.ask("handle %d" % signal.SIGTERM)
    actor.tell("context 0")
    while not waiters(scene):
        time.sleep(0.02)
    actor.signal(signal.SIGTERM)
    assert sorted([actor.hear(), actor.hear()]) == ["context 0", "signal 15"]
    assert "no longer waiting for 600 MiB (VRAMGUARD_NEED)" in actor.end().guard_text


# ---- not to wait


def fails_at_once(actor, mib):
    code, ms = actor.alloc("x", mib)
    assert code == OUT_OF_MEMORY and at_most(ms, 500)
    return tried(actor.end())


def test_no_wait_for_more_than_the_gpu_has(scene):
    scene.actor().holding(600)
    assert "skipped: 2.00 GiB is more than the GPU has" in fails_at_once(scene.actor(), 2048)


def test_no_wait_for_what_this_process_holds_itself(scene):
    scene.actor().holding(100)
    reason = "skipped: this process itself holds 800 MiB, which leaves no room for 500 MiB"
    assert reason in fails_at_once(scene.actor().holding(800), 500)


def test_no_wait_when_nobody_else_is_there(scene):
    actor = scene.actor()
    assert actor.alloc("held", 500)[0] == 0
    assert "skipped: no other process uses this GPU" in fails_at_once(actor, 523)


def test_no_wait_when_the_others_hold_too_little(scene):
    scene.actor().holding(100)
    actor = scene.actor().holding(200)
    reason = "skipped: all other processes hold 102 MiB together, but 104 MiB is missing"
    assert reason in fails_at_once(actor, 824)


def last_tried(scene, actor):
    """What was tried at the last failure of a running actor."""
    recorded = flat(scene.vramguard("report", str(actor.pid)).stdout)
    return re.search(r"Tried (.*?) Recorded|Tried (.*)", recorded).group(0)


def test_a_program_that_tries_out_is_not_waited_for(scene):
    scene.settings = {"VRAMGUARD_POLICY": "wait=200ms"}
    holder = scene.actor().holding(850)
    actor = scene.actor()
    for mib in (500, 300, 470, 200, 510):
        assert actor.alloc("x", mib)[0] == OUT_OF_MEMORY
        assert holder.alloc("more", 1)[0] == 0  # so that it is not the same standstill
    assert "skipped: the program is trying how much it gets" in last_tried(scene, actor)


def test_a_standstill_is_waited_for_once(scene):
    """Whatever is asked for next; when what others hold has changed, it is waited for again."""
    scene.settings = {"VRAMGUARD_POLICY": "wait=400ms"}
    holder = scene.actor().holding(880)
    actor = scene.actor()
    assert actor.alloc("x", 500)[0] == OUT_OF_MEMORY
    assert "wait: nothing came free" in last_tried(scene, actor)
    assert actor.alloc("x", 300)[0] == OUT_OF_MEMORY
    unchanged = "wait: skipped: nothing has changed on this GPU since a wait brought nothing"
    assert unchanged in last_tried(scene, actor)
    assert holder.alloc("more", 10)[0] == 0
    assert actor.alloc("x", 500)[0] == OUT_OF_MEMORY
    assert "wait: nothing came free" in last_tried(scene, actor)


SURVIVES = "waited only 1 s: the program has handled out of memory before"


def test_a_program_that_goes_on_after_a_failure_waits_a_second(scene):
    scene.settings = {"VRAMGUARD_POLICY": "wait"}
    scene.actor().holding(880)
    actor = scene.actor()
    assert actor.alloc("x", 2048)[0] == OUT_OF_MEMORY  # more than there is: at once
    assert actor.alloc("x", 500)[0] == OUT_OF_MEMORY
    assert SURVIVES in last_tried(scene, actor)


def test_who_asks_for_a_longer_wait_gets_it_again(scene):
    scene.settings = {"VRAMGUARD_POLICY": "wait=1500ms"}
    scene.actor().holding(880)
    actor = scene.actor()
    assert actor.alloc("x", 2048)[0] == OUT_OF_MEMORY
    assert actor.alloc("x", 500)[1] >= 1500
    assert SURVIVES not in last_tried(scene, actor)


def test_no_wait_for_the_own_parent(scene):
    program = "import subprocess, sys; from driver_calls import *; " \
        "call(\"cuInit\", 0); current_primary_context(); code, address = allocate(880 << 20); " \
        "sys.exit(code or subprocess.call(sys.argv[1:]))"
    actor = scene.actor(command=(sys.executable, "-c", program), PYTHONPATH=HERE)
    text = fails_at_once(actor, 500)
    assert re.search(r"skipped: pid \d+ \(python.*\), which started this process, holds 88\d MiB", text)


def test_no_wait_for_ranks_of_the_own_job(scene):
    scene.actor(WORLD_SIZE="2", RANK="1").holding(880)
    text = fails_at_once(scene.actor(WORLD_SIZE="2", RANK="0"), 500)
    assert re.search(r"skipped: the memory belongs to processes of the same job \(pid \d+", text)


def test_ranks_of_another_job_are_waited_for(scene):
    scene.settings = {"VRAMGUARD_POLICY": "wait=200ms"}
    scene.actor(WORLD_SIZE="2", RANK="1", MASTER_PORT="29501").holding(880)
    actor = scene.actor(WORLD_SIZE="2", RANK="0", MASTER_PORT="29500")
    assert actor.alloc("x", 500)[0] == OUT_OF_MEMORY
    assert "wait: nothing came free" in last_tried(scene, actor)


def test_policy_off(scene):
    scene.actor().holding(900)
    actor = scene.actor(VRAMGUARD_POLICY="off")
    code, ms = actor.alloc("x", 500)
    assert code == OUT_OF_MEMORY and at_most(ms, 500)
    assert "tried" not in actor.end().guard_text


@pytest.mark.parametrize(
    "text, reason",
    [
        ("wait=30min,spil", 'unknown action "spil" at 12'),
        ("wait=0s", '"wait=0s" is no time from 1ms to 24h at 1'),
        ("trim,wait=1x", '"wait=1x" is no time from 1ms to 24h at 6'),
        ("wait=25h", '"wait=25h" is no time from 1ms to 24h at 1'),
        ("trim=3", '"trim" takes no value at 1'),
        ("wait=", '"wait=" lacks a value at 1'),
        ("wait,off", 'unknown action "off" at 6'),
    ],
)
def test_wrong_policy_is_told_in_one_line(scene, text, reason):
    actor = scene.actor(VRAMGUARD_POLICY=text)
    assert actor.alloc("x", 10)[0] == 0
    (line,) = actor.end().guard_lines
    assert line.startswith('vramguard: VRAMGUARD_POLICY="%s": %s' % (text, reason)), line
    assert "trim, wait[=TIME], spill, off" in line
    assert line.endswith('using the default "trim,wait"')


# ---- without the registry


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_without_a_registry_it_still_waits(scene):
    """Its directory belongs to somebody else: one line, and the memory is looked for every second
    at the most."""
    uid = 54321
    directory = Path("/dev/shm/vramguard-%d" % uid)
    os.chmod(scene.folder, 0o777)
    directory.mkdir(mode=0o755)
    try:
        user = ["setpriv", "--reuid=%d" % uid, "--clear-groups"]
        holder = scene.actor().holding(900)
        waiter = scene.actor(command=user, XDG_STATE_HOME=str(scene.folder / "theirs"))
        waiter.tell("alloc x 500")
        time.sleep(1.2)
        holder.free()
        code, ms = waiter.awaited("x")
        assert code == 0 and ms >= 1200 and at_most(ms, 3000)
        lines = waiter.end().guard_lines
        assert len(lines) == 3
        assert lines[0].startswith("vramguard: cannot use /dev/shm/vramguard-%d (" % uid), lines[0]
    finally:
        directory.rmdir()


# ---- Python

HOLDS_GIL = """
import ctypes
from driver_calls import *
call("cuInit", 0)
current_primary_context()
address = ctypes.c_uint64()
print(ctypes.PyDLL("libcuda.so.1").cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(600 << 20)))
"""


def test_a_thread_with_the_gil_waits_for_half_a_second(scene):
    """All Python threads stand still meanwhile. The test ends before the ten minutes."""
    scene.actor().holding(880)
    result = scene.run([sys.executable, "-c", HOLDS_GIL], guarded=True,
                       VRAMGUARD_POLICY="wait=10m", **{**DEVICE, "PYTHONPATH": HERE})
    assert result.stdout == "%d\n" % OUT_OF_MEMORY
    short = "waited only 500 ms: the failing thread holds Python's GIL, so all Python threads stand still"
    assert short in tried(result)


# ---- what a neighbour keeps in pools of the driver

POOL_KEEPER = """
import ctypes, sys
from driver_calls import *
from driver_types import *
call("cuInit", 0)
current_primary_context()
pool = ctypes.c_void_p()
call(sys.argv[1], ctypes.byref(pool), *eval(sys.argv[2]))
everything = ctypes.c_uint64(2**64 - 1)
call("cuMemPoolSetAttribute", pool, 4, ctypes.byref(everything))
address = ctypes.c_uint64()
call("cuMemAllocFromPoolAsync", ctypes.byref(address), ctypes.c_size_t(700 << 20), pool, None)
call("cuMemFreeAsync", address, None)
call("cuCtxSynchronize")
if len(sys.argv) > 3:
    call("cuMemAllocFromPoolAsync", ctypes.byref(address), ctypes.c_size_t(int(sys.argv[3]) << 20), pool, None)
print("idle", flush=True)
while sys.stdin.readline():
    assert allocate(1 << 40)[0] == 2
    print("failed", flush=True)
"""


def keep_pool(scene, *arguments):
    process = scene.start([sys.executable, "-c", POOL_KEEPER, *arguments], guarded=True, stdin=-1,
                          **{**DEVICE, "PYTHONPATH": HERE})
    assert process.stdout.readline() == "idle\n"
    return process


@pytest.fixture
def pool_keeper(scene):
    """A guarded neighbour that keeps 700 MiB in the device's default pool, and uses none of it."""
    return keep_pool(scene, "cuDeviceGetDefaultMemPool", "(0,)")


def test_a_neighbours_unused_pool_is_given_back(scene, pool_keeper):
    actor = scene.actor()
    assert actor.alloc("x", 600)[0] == 0
    assert actor.end().guard_lines == []
    pool_keeper.stdin.close()
    pool_keeper.stdin = None
    lines = scene.finish(pool_keeper).guard_lines
    assert any(re.match(r"vramguard: GPU 0: gave back 700 MiB of cached memory", x) for x in lines)


def test_it_is_given_back_where_the_registry_has_been_deleted(scene, pool_keeper):
    """Whoever fails is found in the new one, and asked there."""
    scene.registry_file(**DEVICE).unlink()
    pool_keeper.stdin.write("fail\n")
    pool_keeper.stdin.flush()
    assert pool_keeper.stdout.readline() == "failed\n"
    actor = scene.actor()
    assert actor.alloc("x", 600)[0] == 0
    assert actor.end().guard_lines == []


def test_a_neighbours_unused_pool_is_named(scene, pool_keeper):
    """By one that does not wait for it."""
    actor = scene.actor(VRAMGUARD_POLICY="off")
    assert actor.alloc("x", 600)[0] == OUT_OF_MEMORY
    assert re.search(r"pid %d .*\(guarded, 700 MiB unused\)" % pool_keeper.pid, flat(actor.end().guard_text))


def test_what_a_pool_of_a_neighbours_own_does_not_use_is_named(scene):
    """Of 700 MiB that it keeps."""
    properties = "(ctypes.byref(PoolProps(type=1, location=Location(1, 0))),)"
    keeper = keep_pool(scene, "cuMemPoolCreate", properties, "200")
    actor = scene.actor(VRAMGUARD_POLICY="off")
    assert actor.alloc("x", 600)[0] == OUT_OF_MEMORY
    assert re.search(r"pid %d .*\(guarded, 500 MiB unused\)" % keeper.pid, flat(actor.end().guard_text))

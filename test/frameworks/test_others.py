"""Arenas that ask for less and less, programs that try out and programs that abort, emulated."""

import re
import signal
import time

import pytest
from conftest import PROGRAM, e2e

ARENAS = {
    "xla": ["xla=200:2", "xla=8000:4000"],
    "onnxruntime": ["onnxruntime=60", "onnxruntime=130"],
    "rmm": ["rmm=200:2", "rmm=200:160"],
}


@pytest.mark.parametrize("arena", sorted(ARENAS))
def test_arena_gets_the_same_as_bare_and_never_waits(crowded, arena):
    for steps in [[step] for step in ARENAS[arena]]:
        start = time.monotonic()
        bare, guarded = crowded.both(crowded.command(*steps))
        assert guarded.own == bare.own
        assert "= 2\n" in bare.stdout
        assert e2e.at_most(time.monotonic() - start, 5)
        text = " ".join(guarded.guard_text.split())
        assert "wait: skipped: this library asks for less by itself" in text


def test_storm_of_an_arena_is_a_report_and_some_lines(crowded):
    guarded = crowded.run(crowded.command("xla=100000:2"), guarded=True)
    failures = guarded.stdout.count("= 2\n")
    assert failures > 60, guarded.stdout
    told = [line for line in guarded.guard_lines if e2e.FIRST_LINE.fullmatch(line)]
    assert len(told) == 8, guarded.stderr


def test_halving_by_a_stranger_is_recognised(crowded):
    """Not known by name: the first failure is waited for, the halved one behind it no more."""
    start = time.monotonic()
    steps = ["cudnn=200,100,50"]
    guarded = crowded.run(crowded.command(*steps), guarded=True, VRAMGUARD_POLICY="wait=1s")
    took = time.monotonic() - start
    assert took >= 1 and e2e.at_most(took, 2)
    assert guarded.own == crowded.run(crowded.command(*steps)).own


def test_search_is_waited_for_once_while_nothing_changes(crowded):
    sizes = "200,150,120,190,180,160,170,110"
    bare_ms = crowded.times_of(["cudnn=" + sizes], guarded=False)
    guarded_ms = crowded.times_of(["cudnn=" + sizes], guarded=True, VRAMGUARD_POLICY="wait=1s")
    assert len(bare_ms) == len(guarded_ms) == 8
    assert guarded_ms[0] >= 1000, guarded_ms
    assert all(e2e.at_most(ms, 50) for ms in guarded_ms[1:]), guarded_ms
    said = (crowded.folder / "stderr").read_text()
    assert said.count(" waiting up to ") == 1, said
    recorded = " ".join(crowded.vramguard("report").stdout.split())
    assert "skipped: the program is trying how much it gets" in recorded, recorded


def test_llama_cpp_aborts_as_bare_after_a_wait(crowded):
    bare = crowded.run([PROGRAM, "ggml=160"])
    assert bare.code == -signal.SIGABRT
    guarded = crowded.run([PROGRAM, "ggml=160"], guarded=True, VRAMGUARD_POLICY="wait=1500ms")
    assert guarded.own == bare.own
    report = " ".join(e2e.report_of(guarded).split())
    assert re.search(r"wait: .*pid %d .*still holds" % crowded.holder.pid, report), report


def test_llama_cpp_lives_when_memory_comes_back(crowded):
    process = crowded.start([PROGRAM, "ggml=160", "line=lives"], guarded=True)
    time.sleep(0.5)
    crowded.stop(crowded.holder)
    result = crowded.finish(process)
    assert result.code == 0 and result.stdout.endswith("lives\n")
    assert result.guard_lines == []


@pytest.mark.parametrize("steps", ["xla=200:2", "rmm=200:2", "onnxruntime=130", "cudnn=200"])
def test_only_the_drivers_pools_are_asked_for_an_arena(crowded, steps):
    """A library that is not there is a line, and a command leaves a file."""
    mark = crowded.folder / "asked"
    extra = {"VRAMGUARD_TRIM_LIB": "/nowhere.so", "VRAMGUARD_TRIM_CMD": "touch %s" % mark}
    result = crowded.run(crowded.command(steps), guarded=True, VRAMGUARD_POLICY="trim", **extra)
    assert "= 2\n" in result.stdout and "trim: pools" in result.stderr, result.stderr
    is_arena = not steps.startswith("cudnn")
    assert ("VRAMGUARD_TRIM_LIB" in result.stderr) != is_arena, result.stderr
    assert mark.exists() != is_arena


def test_what_is_set_is_not_advised(frameworks):
    """Neither by the process nor by what reads its run file later."""
    def advice(**extra):
        steps = ["keep=180", "xla=120:120"]
        result = frameworks.run(frameworks.command(*steps), True, VRAMGUARD_POLICY="off", **extra)
        texts = [e2e.report_of(result), frameworks.vramguard("report").stdout]
        live, later = [" ".join(text.split(" do ")[1].split(" where ")[0].split()) for text in texts]
        assert live == later
        return live

    assert advice().startswith("XLA_PYTHON_CLIENT_PREALLOCATE=false, which ")
    assert advice(XLA_PYTHON_CLIENT_PREALLOCATE="false").startswith("XLA_PYTHON_CLIENT_MEM_FRACTION=.50, ")
    assert advice(XLA_PYTHON_CLIENT_ALLOCATOR="platform").startswith("hold less at a time")


def test_a_pool_that_refuses_by_itself_is_told_after_the_run(frameworks):
    """JAX's allocator hands out of its pool, and no call of the driver fails. Without a pool there is nothing to say."""
    def report(*steps):
        assert frameworks.run(frameworks.command(*steps), True).guard_lines == []
        return " ".join(frameworks.vramguard("report").stdout.split())

    told = report("xla=160:160")
    assert "No allocation failed. JAX held 160 MiB of GPU 0 at the peak in 1 piece: a pool of its own." in told, told
    assert "JAX says RESOURCE_EXHAUSTED then" in told
    assert "pool of its own" not in report(*["xla=16:16"] * 10)
    assert "pool of its own" not in report("keep=160")

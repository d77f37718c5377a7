"""PyTorch's allocator, emulated: its first failure is its own affair, its second one is not."""

import re
import time

import pytest
from conftest import PROGRAM, e2e

# The device has 256 MiB, a context takes 32, the neighbour of `crowded` has 150 and a context.
TWO_CACHED = ["native=a:20", "free=a", "native=b:16", "free=b"]
TWO_MAPPED = ["expandable=a:20", "free=a", "expandable=b:2", "free=b"]


def waits(result):
    return [line for line in result.guard_lines if "waiting up to" in line or ": got " in line]


def finish_after(machine, steps, seconds, **extra):
    """Run the steps; after so many seconds the neighbour ends. Return the result and how long the
    steps took."""
    process = machine.start([PROGRAM, *steps], guarded=True, **extra)
    start = time.monotonic()
    time.sleep(seconds)
    machine.stop(machine.holder)
    result = machine.finish(process)
    return result, time.monotonic() - start


@pytest.mark.parametrize(
    "steps",
    [TWO_CACHED + ["native=c:40"], TWO_MAPPED + ["expandable=c:40"]],
    ids=["native", "expandable"],
)
def test_own_cache_that_suffices_is_used_without_a_wait_or_a_word(crowded, steps):
    start = time.monotonic()
    bare, guarded = crowded.both(crowded.command(*steps))
    assert "c allocated" in bare.stdout and "= 2" in bare.stdout, bare.stdout
    assert guarded.own == bare.own
    assert guarded.guard_lines == []
    assert e2e.at_most(time.monotonic() - start, 5)
    assert "No allocation failed" in crowded.vramguard("report").stdout


@pytest.mark.parametrize("backend", ["native", "expandable", "async"])
def test_retry_waits_for_others(crowded, backend):
    steps = [backend + "=a:20", "free=a", backend + "=b:120", "line=done"]
    result, seconds = finish_after(crowded, steps, 2)
    assert result.code == 0 and "b allocated" in result.stdout, result.stdout + result.stderr
    assert seconds >= 2 and e2e.at_most(seconds, 4)
    assert len(waits(result)) == 2 and len(result.guard_lines) == 2, result.stderr
    failures = result.stdout.count("= 2\n")
    assert failures == (0 if backend == "async" else 1), result.stdout


def test_expandable_pieces_are_waited_for_one_by_one(crowded):
    """The neighbour's memory comes back in two parts: after the first some pieces more are got in
    the same loop, and the next failure in that loop is no first one."""
    crowded.stop(crowded.holder)
    first, second = crowded.neighbour("75MiB"), crowded.neighbour("40MiB")
    process = crowded.start([PROGRAM, "expandable=a:180"], guarded=True)
    time.sleep(1.5)
    crowded.stop(first)
    time.sleep(1.5)
    crowded.stop(second)
    result = crowded.finish(process)
    assert "a allocated" in result.stdout, result.stdout + result.stderr
    creates = re.findall(r"cuMemCreate \d+ = (\d)", result.stdout)
    assert creates.count("2") == 1, result.stdout  # the first loop's; the second never fails
    assert creates[-9:] == ["0"] * 9


def test_failure_after_a_mapped_loop_is_a_first_one_again(crowded):
    """`b` is got by the second loop, which ends with its mapping. The pieces of `c` are as large:
    its first failure must not be taken for one more of that loop."""
    steps = ["expandable=a:20", "free=a", "expandable=b:40", "free=b", "expandable=c:20"]
    bare, guarded = crowded.both(crowded.command(*steps))
    assert bare.stdout.count("cuMemCreate 20971520 = 2") == 2
    assert "c allocated" in bare.stdout
    assert guarded.own == bare.own
    assert guarded.guard_lines == []


@pytest.mark.parametrize("backend", ["native", "expandable", "async", "async-twice"])
def test_in_vain_is_as_bare(crowded, backend):
    steps = [backend + "=a:20", "free=a", backend + "=b:160", backend + "=c:2"]
    bare = crowded.run(crowded.command(*steps))
    guarded = crowded.run(crowded.command(*steps), guarded=True, VRAMGUARD_POLICY="trim,wait=1500ms")
    assert "b OutOfMemoryError" in bare.stdout and "c allocated" in bare.stdout
    assert guarded.own == bare.own
    report = " ".join(e2e.report_of(guarded).split())
    assert re.search(r"wait: .*pid %d .*still holds" % crowded.holder.pid, report), report
    assert bare.stdout.count("OutOfMemoryError") == 1
    assert len(list(filter(e2e.FIRST_LINE.fullmatch, guarded.guard_lines))) == 1, guarded.stderr
    if backend != "async":
        assert "flush: PyTorch emptied its cache and asked again" in report


def test_flush_is_in_the_timeline_with_what_it_brought(crowded):
    steps = ["native=a:20", "free=a", "native=b:160"]
    report = e2e.report_of(crowded.run(crowded.command(*steps), guarded=True, VRAMGUARD_POLICY="off"))
    assert re.search(r"flush: PyTorch emptied its cache and asked again, \+20.0 MiB", report), report


def test_first_failure_that_ends_the_program_is_reported(crowded):
    """PYTORCH_NO_CUDA_MEMORY_CACHING: there is no second try."""
    steps = ["native=a:1", "uncached=b:160"]
    bare, guarded = crowded.both(crowded.command(*steps))
    assert guarded.own == bare.own
    report = e2e.report_of(guarded)
    assert "pid %d" % crowded.holder.pid in report
    came = "the caller did not ask again after its first failure"
    assert came in " ".join(report.split()), report
    recorded = " ".join(crowded.vramguard("report").stdout.split())
    assert "asked 160 MiB" in recorded and came in recorded, recorded


def test_first_failure_that_the_program_survives_is_one_line(crowded):
    steps = ["native=a:1", "uncached=b:160", "native=c:1", "uncached=d:170", "native=e:1"]
    bare, guarded = crowded.both(crowded.command(*steps))
    assert guarded.own == bare.own
    assert len(guarded.guard_lines) == 2, guarded.stderr
    for line, size in zip(guarded.guard_lines, ("160 MiB", "170 MiB")):
        assert e2e.FIRST_LINE.fullmatch(line).group(1) == size
    assert "asked 170 MiB" in crowded.vramguard("report").stdout
    assert ", survived 2 failures\n" in crowded.vramguard("list").stdout


def test_two_first_failures_in_a_row_are_both_told(crowded):
    steps = ["native=a:1", "uncached=b:160", "uncached=d:170"]
    bare, guarded = crowded.both(crowded.command(*steps))
    assert guarded.own == bare.own
    told = [match for match in map(e2e.FIRST_LINE.fullmatch, guarded.guard_lines) if match]
    assert [match.group(1) for match in told] == ["160 MiB", "170 MiB"]


@pytest.mark.parametrize("mode", ["global", "relaxed"])
@pytest.mark.parametrize("step", ["native=b:160", "expandable=b:160", "own=160"])
def test_capture_is_neither_waited_for_nor_spoilt(crowded, mode, step):
    """An allocation fails while a graph is captured. (PyTorch allocates in relaxed mode; a program
    that does not is refused by the driver in a global capture, which that spoils.)"""
    steps = ["native=a:1", "capture=" + mode, step, "end", "line=after"]
    start = time.monotonic()
    bare, guarded = crowded.both(crowded.command(*steps))
    assert guarded.own == bare.own
    assert "after" in bare.stdout
    refused = mode == "global" and step.startswith("own")
    assert ("end = 901" if refused else "end = 0\ninstantiate = 0") in bare.stdout, bare.stdout
    assert e2e.at_most(time.monotonic() - start, 5)
    if not refused:
        e2e.report_of(guarded)


def pytorch_of(machine, result):
    """The line about PyTorch in the report of the only failure, "" when there is none."""
    e2e.report_of(result)
    recorded = machine.vramguard("report")
    assert recorded.code == 0 and " out of memory" in recorded.stdout, recorded
    found = re.search(r"^  PyTorch   (.*(?:\n {12}.*)*)", recorded.stdout, re.M)
    return " ".join(found.group(1).split()) if found else ""


# The stand-in tells of no block.
SILENT = (
    "it has told of none of its tensors: its cache is switched off, or this version names its functions in a "
    "way that vramguard does not know; "
)
HELD = {
    "native": "reserved 40.0 MiB in 2 segments (native allocator; expandable_segments off; "
    "PYTORCH_CUDA_ALLOC_CONF not set); " + SILENT + "its flush gave back 20.0 MiB",
    "expandable": "reserved 220 MiB in 11 pieces (expandable segments; "
    "PYTORCH_CUDA_ALLOC_CONF not set); " + SILENT + "what its flush gave back is unknown",
    "async": "allocated 40.0 MiB in 2 pieces (cudaMallocAsync; PYTORCH_CUDA_ALLOC_CONF not set)",
}


@pytest.mark.parametrize("backend", sorted(HELD))
def test_report_says_what_pytorch_holds(frameworks, backend):
    """The program's own 4 MiB are not PyTorch's. (At the failure of expandable segments there are 9 pieces
    of what is asked for.)"""
    steps = ["keep=4"] + [backend + "=%s:20" % name for name in "abc"] + ["free=c", backend + "=d:200"]
    result = frameworks.run(frameworks.command(*steps), guarded=True, VRAMGUARD_POLICY="off")
    assert pytorch_of(frameworks, result) == HELD[backend], result.stderr


def test_report_names_pytorchs_settings(frameworks):
    steps = ["native=a:20", "native=d:220"]
    result = frameworks.run(frameworks.command(*steps), guarded=True, VRAMGUARD_POLICY="off",
                            PYTORCH_CUDA_ALLOC_CONF="expandable_segments:True")
    assert pytorch_of(frameworks, result).startswith(
        "reserved 20.0 MiB in 1 segment (native allocator; expandable_segments on; "
        "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True)"
    )


def test_nothing_is_said_where_pytorch_holds_nothing(frameworks):
    result = frameworks.run(frameworks.command("keep=4", "keep=230"), guarded=True)
    assert pytorch_of(frameworks, result) == ""


def test_without_native_stacks_it_is_unknown_what_pytorch_holds(frameworks):
    steps = ["native=a:20", "native=d:220"]
    for stacks in ("off", "python"):
        result = frameworks.run(frameworks.command(*steps), guarded=True, VRAMGUARD_POLICY="off",
                                VRAMGUARD_STACKS=stacks)
        held = pytorch_of(frameworks, result)
        assert held == "what it holds is unknown: no native stacks are recorded"


def test_cache_that_was_of_no_use_is_fragmentation(frameworks):
    """Two thirds of what PyTorch had reserved were cached, in pieces that all were too small."""
    steps = ["native=a:30", "native=b:30", "native=c:30", "free=a", "free=b", "native=d:210"]

    def advice(**extra):
        result = frameworks.run(frameworks.command(*steps), guarded=True, VRAMGUARD_POLICY="off", **extra)
        return " ".join(e2e.report_of(result).split())

    report = advice()
    assert "why PyTorch had 60.0 MiB cached that no tensor used" in report, report
    assert "do PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True" in report
    report = advice(PYTORCH_ALLOC_CONF="max_split_size_mb:64")
    assert "do add expandable_segments:True to PYTORCH_ALLOC_CONF" in report, report
    report = advice(PYTORCH_CUDA_ALLOC_CONF="expandable_segments:True")
    assert "fragmentation" not in report


def test_allocator_that_is_plugged_in_waits_at_its_first_failure(crowded):
    """Nobody empties a cache and asks again: the first failure is the last. What that library holds is not
    PyTorch's."""
    steps = ["native=a:20", "free=a", "plugged=b:4", "plugged=c:120", "line=done"]
    result, seconds = finish_after(crowded, steps, 2)
    assert result.code == 0 and "c allocated" in result.stdout, result.stdout + result.stderr
    assert seconds >= 2 and e2e.at_most(seconds, 4)
    assert "= 2\n" not in result.stdout
    assert len(waits(result)) == 2 and len(result.guard_lines) == 2, result.stderr


def test_allocator_that_is_plugged_in_is_as_bare_in_vain(crowded):
    steps = ["native=a:20", "free=a", "plugged=b:4", "plugged=c:160", "plugged=d:2"]
    bare = crowded.run(crowded.command(*steps))
    guarded = crowded.run(crowded.command(*steps), guarded=True, VRAMGUARD_POLICY="trim,wait=1500ms")
    assert "c OutOfMemoryError" in bare.stdout and "d allocated" in bare.stdout
    assert guarded.own == bare.own
    report = e2e.report_of(guarded)
    assert "flush" not in report
    held = pytorch_of(crowded, guarded)
    assert held.startswith("reserved 20.0 MiB in 1 segment (native allocator;"), held
    assert re.search(r"wait: .*pid %d .*still holds" % crowded.holder.pid, " ".join(report.split()))


@pytest.mark.parametrize("rule, ends", [("1", "a allocated"), ("1-2", "a OutOfMemoryError")])
def test_an_injected_failure_is_answered_with_a_second_try(frameworks, rule, ends):
    result = frameworks.run(
        frameworks.command("native=a:20"), guarded=True, VRAMGUARD_INJECT=rule
    )
    assert ends in result.stdout, result.stdout + result.stderr


def test_a_pytorch_that_tells_of_no_block(machine):
    """As one does whose names vramguard does not know: segments, and one line that says why."""
    result = machine.run([PROGRAM, "native=a:20", "native=b:300"], True, VRAMGUARD_POLICY="off")
    assert "b out of memory" in result.stdout or "= 2" in result.stdout, result.stdout
    text = " ".join(machine.vramguard("report").stdout.split())
    assert "it has told of none of its tensors" in text

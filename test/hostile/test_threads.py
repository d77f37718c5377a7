"""Many threads, small stacks, many live allocations."""

import pytest


def test_eight_threads_make_the_first_call_together(hostile):
    for _ in range(10):
        result = hostile.run(hostile.program("threads", 8, 300, 0, 0), guarded=True)
        assert (result.code, result.stdout) == (0, "done\n"), result.stderr
    for record in hostile.all_records():
        assert record["live"] == 800 and record["twice"] == 0


@pytest.mark.parametrize("stacks", ["full", "native", "off"])
@pytest.mark.parametrize("stack_kib, used_kib", [(1, 0), (1, 3), (32, 16), (64, 48)])
def test_small_stacks(hostile, stack_kib, used_kib, stacks):
    command = hostile.program("threads", 4, 150, stack_kib, 0, used_kib)
    bare, guarded = hostile.both(command, VRAMGUARD_STACKS=stacks)
    assert bare.code == 0, bare.stdout
    assert guarded.own == bare.own
    assert guarded.guard_lines == []
    assert hostile.only_record()["live"] == 400


def test_first_call_on_a_small_stack_with_files_to_prune(hostile):
    for _ in range(3):
        hostile.run(hostile.program("fill", 1, 0), guarded=True)
    command = hostile.program("threads", 1, 10, 1, 0)
    bare, guarded = hostile.both(command, VRAMGUARD_KEEP="1")
    assert guarded.own == bare.own
    assert len(hostile.records()) == 1


@pytest.mark.parametrize("stack_kib, used_kib", [(1, 0), (1, 3), (64, 0), (64, 50), (0, 0)])
def test_failure_on_a_small_stack(hostile, stack_kib, used_kib):
    command = hostile.program("threads", 2, 10, stack_kib, 2, used_kib)
    bare, guarded = hostile.both(command)
    assert guarded.own == bare.own
    assert hostile.only_record()["failure_count"] == 4


@pytest.mark.parametrize("count", [1000, 1000000])
def test_killed_with_many_live(hostile, count):
    command = hostile.program("fill", count, 0, "hold")
    process = hostile.start(command, guarded=True, SIMGPU_DEVICES="24GiB")
    assert process.stdout.readline() == "holding\n"
    hostile.kill(process)
    record = hostile.only_record()
    assert record["live"] == count
    assert record["live_bytes"] == count * 4096
    assert record["twice"] == 0
    assert record["ended"] == 0 and record["memory_only"] == 0

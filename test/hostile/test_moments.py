"""Allocations at the odd moments of a process's life are recorded like any other."""

from conftest import PROGRAMS


def test_constructor_and_destructor_of_a_library(hostile):
    preload = "%s %s" % (hostile.preload, PROGRAMS / "libmoments.so")
    result = hostile.run(hostile.program("moments", "nothing"), LD_PRELOAD=preload)
    assert (result.code, result.stdout) == (3, "done\n"), result.stderr
    record = hostile.only_record()
    assert record["live"] == 2 and record["live_bytes"] == 8192 + 16384
    assert record["failures"] == 1
    assert record["ended"] == 1 and record["exit_status"] == 3


def test_library_before_the_guard(hostile):
    preload = "%s %s" % (PROGRAMS / "libmoments.so", hostile.preload)
    result = hostile.run(hostile.program("moments", "nothing"), LD_PRELOAD=preload)
    assert (result.code, result.stdout) == (3, "done\n"), result.stderr
    assert hostile.only_record()["live_bytes"] == 8192 + 16384


def test_first_use_in_an_exit_handler(hostile):
    result = hostile.run(hostile.program("moments", "atexit"), guarded=True)
    assert (result.code, result.stdout) == (3, "done\n")
    record = hostile.only_record()
    assert record["live"] == 1 and record["failures"] == 1
    assert record["ended"] == 1 and record["exit_status"] == 3


def test_fork_after_use(hostile):
    command = hostile.program("moments", "fork")
    bare, guarded = hostile.both(command)
    assert guarded.own == bare.own
    records = [record for record in hostile.all_records() if record["live"] > 0]
    (parent,) = [record for record in records if record["live_bytes"] == 4096 + 8192]
    assert parent["exit_status"] == 3


def test_fork_before_use(hostile):
    result = hostile.run(hostile.program("moments", "fork-before"), guarded=True)
    assert (result.code, result.stdout) == (3, "done\n")
    records = hostile.all_records()
    assert sorted((one["live_bytes"], one["exit_status"]) for one in records) == [
        (4096, 0),
        (8192, 1),
        (12288, 2),
        (1 << 20, 3),
    ]
    assert len({one["pid"] for one in records}) == 4


def test_exec_starts_anew(hostile):
    result = hostile.run(hostile.program("moments", "exec"), guarded=True)
    assert result.code == 3
    first, second = sorted(hostile.all_records(), key=lambda record: record["ended"])
    assert first["pid"] == second["pid"]
    assert first["live"] == 1 and first["ended"] == 0
    assert second["live"] == 1 and second["exit_status"] == 3


def test_program_linked_with_the_static_runtime(hostile):
    command = hostile.program("static_runtime")
    bare, guarded = hostile.both(command)
    assert bare.code == 0
    assert guarded.own == bare.own
    record = hostile.only_record()
    freed = sum((i * 5 + 1) * 1000 for i in range(10))
    assert record["live"] == 40 and record["twice"] == 0
    assert record["live_bytes"] == sum(range(1, 51)) * 1000 - freed
    assert record["failures"] == 1

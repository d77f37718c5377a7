"""Children of fork that are made beside threads in the guard come to their end, as they do bare."""

import os

import pytest

ROUNDS = int(os.environ.get("VG_TEST_FORKS", "200"))
SETTINGS = {"SIMGPU_DEVICES": "2GiB", "VRAMGUARD_KEEP": "3"}


def test_child_made_while_a_handler_is_registered(hostile):
    bare, guarded = hostile.both(hostile.program("forks", "registering", 1), **SETTINGS)
    assert guarded.own == bare.own == (0, "done\n", "")


def test_a_child_says_how_it_ended(hostile):
    """By the handler of exit that it has inherited."""
    result = hostile.run(hostile.program("forks", "beside", 5), guarded=True, SIMGPU_DEVICES="2GiB")
    assert (result.code, result.stdout) == (0, "done\n"), result.stderr
    ends = [(record["ended"], record["exit_status"]) for record in hostile.all_records()]
    assert sorted(ends) == [(1, 0)] + 5 * [(1, 7)]


@pytest.mark.parametrize("how", ["first", "beside"])
def test_children_made_at_random_moments(hostile, how):
    command = hostile.program("forks", how, ROUNDS)
    result = hostile.run(command, guarded=True, timeout_s=120 + ROUNDS, **SETTINGS)
    assert (result.code, result.stdout) == (0, "done\n"), result.stderr

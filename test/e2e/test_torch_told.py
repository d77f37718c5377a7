"""When PyTorch runs out of memory it tells of it in three places: the calls that fail, its profiler, and
observers in Python. All of them together are one failure. Without PyTorch: torch_program.py tells."""

import json
import sys
from pathlib import Path

import pytest
from conftest import BUILD

PROGRAM = [sys.executable, str(Path(__file__).with_name("torch_program.py"))]
C10_CUDA = BUILD / "test" / "e2e" / "own_cache" / "libc10_cuda.so"
MIB = 1 << 20


def failures(machine, part, **extra):
    extra = {"VRAMGUARD_POLICY": "off", "C10_CUDA": str(C10_CUDA), **extra}
    result = machine.run([*PROGRAM, part], guarded=True, **extra)
    assert result.own == (0, "", "")
    return json.loads(machine.vramguard("report", "--json").stdout)["failures"]


def facts(failure):
    """(what was called, MiB asked for, who refused, survived, what was tried)"""
    actions = [action["action"] for action in failure["actions"]]
    return (failure["api"], failure["asked_bytes"] / MIB, failure["refused_by"],
            failure["survived"], actions)


FAILED = ("cuMemAlloc_v2", 300, "driver", False, ["flush"])


def test_a_refusal_of_pytorchs_own(machine):
    (failure,) = failures(machine, "refused_by_itself")
    assert facts(failure) == ("PyTorch's allocator", 100, "pytorch", False, [])
    assert failure["torch"]["block_count"] == 1 and failure["device"]["failed_count"] == 1


@pytest.mark.parametrize("part", ["after_a_failure", "of_a_piece_of_a_segment", "told_already"])
def test_calls_that_failed_and_giving_up_are_one(machine, part):
    (failure,) = failures(machine, part)
    assert facts(failure) == FAILED


def test_what_another_call_failed_for_is_another_failure(machine):
    first, second = failures(machine, "after_anothers_failure")
    assert facts(first) == (*FAILED[:3], True, ["flush"])
    assert facts(second) == ("PyTorch's allocator", 100, "driver", False, [])


def test_what_pytorch_survives_is_no_failure(machine):
    assert failures(machine, "survived") == []


@pytest.mark.parametrize("tensors", ["full", "lines"])
def test_blocks_are_looked_at_as_the_user_wants(machine, tensors):
    (failure,) = failures(machine, "after_a_failure", VRAMGUARD_TENSORS=tensors)
    assert failure["torch"]["allocated_bytes"] == MIB


def test_without_blocks_the_call_alone_tells(machine):
    (failure,) = failures(machine, "after_a_failure", VRAMGUARD_TENSORS="off")
    assert facts(failure) == FAILED and failure["torch"] is None


def test_an_observer_knows_more(machine):
    (failure,) = failures(machine, "observed")
    assert facts(failure) == ("cuMemAlloc_v2", 290, "driver", False, ["flush"])
    assert failure["torch"]["fraction_bytes"] == 128 * MIB
    assert failure["arrays"]["numba"] == {"bytes": 20 * MIB, "blocks": 1}


def test_an_observer_without_a_limit(machine):
    (failure,) = failures(machine, "observed_without_a_limit")
    assert failure["torch"]["fraction_bytes"] == 0 and failure["asked_bytes"] == 290 * MIB


def test_an_observer_of_another_device_knows_nothing_of_this_one(machine):
    (failure,) = failures(machine, "observed_of_another_device")
    assert facts(failure) == FAILED and failure["torch"]["fraction_bytes"] == 0


def test_while_a_graph_is_captured_nothing_is_looked_for(machine):
    (failure,) = failures(machine, "observed_while_capturing")
    assert failure["asked_bytes"] == 290 * MIB and failure["arrays"] is None


def test_what_no_observer_is_told_of_is_told_at_the_end(machine):
    (failure,) = failures(machine, "never_observed")
    assert facts(failure) == FAILED


def test_an_observer_alone_says_nothing(machine):
    assert failures(machine, "observed_without_a_failure") == []

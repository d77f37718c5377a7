"""The census beside hostile programs: it runs none of their code, and they end as without it."""

import json

import pytest
from conftest import needs_cuda, skip_what_is_lacking

HOSTILE = (
    "hostile_object hostile_keys hostile_module module_ring containers weak deep subclasses modes hooks fake functorch "
    "released_graph in_del in_collection in_signal collector_state coroutine traced executed audited no_time"
).split()

COMPLETE, ENDING = 1, 5  # enum vg_census_state

# Where PyTorch runs out of memory, and what the census says of each failure.
MOMENTS = {
    "in_del": [COMPLETE],
    "in_collection": [COMPLETE] * 3,
    "in_signal": [COMPLETE],
    "in_worker": [COMPLETE] * 2,
    "in_forked_child": [COMPLETE] * 2,
    "at_exit": [COMPLETE, ENDING],
    "raising_observer": [COMPLETE],
    "in_backward_hook": [COMPLETE],
    "own_limit": [COMPLETE],
    "while_capturing": [COMPLETE],
}


@pytest.fixture(scope="module")
def hostile_lines(census_machine):
    result = census_machine.run(census_machine.program("census_hostile"))
    assert result.code == 0, result.stderr
    return dict(line.split(" ", 1) for line in result.stdout.splitlines())


@pytest.mark.parametrize("case", HOSTILE)
def test_runs_nothing(hostile_lines, case):
    """"ok": the census found what it should; any word after it is code of the program's that ran."""
    if hostile_lines[case] == "absent":
        pytest.skip("this PyTorch does not have it")
    assert hostile_lines[case] == "ok"


def test_ends_as_bare(census_machine, hostile_lines):
    bare = census_machine.run(census_machine.program("census_hostile"), CENSUS_PROBE=None)
    assert bare.code == 0, bare.stderr
    assert dict(line.split(" ", 1) for line in bare.stdout.splitlines()) == hostile_lines
    assert set(hostile_lines) == set(HOSTILE)


@needs_cuda()
@pytest.mark.parametrize("moment", MOMENTS)
def test_moment(census_machine, tmp_path, moment):
    told = tmp_path / "told"
    command = census_machine.program("census_moments", moment)
    bare = census_machine.run(command, SIMGPU_DEVICES="1100MiB")
    result = census_machine.run([*command, told], SIMGPU_DEVICES="1100MiB")
    skip_what_is_lacking(result)
    assert (result.code, result.stdout) == (bare.code, bare.stdout), result.stderr
    assert "done" in bare.stdout
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    states = MOMENTS[moment]
    if moment == "at_exit" and "at the end of a global" not in bare.stdout:
        states = states[:1]  # with PyTorch 2.3 the global outlives the program
    assert [line["census"]["state"] for line in lines] == states


@needs_cuda()
@pytest.mark.parametrize("moment", MOMENTS)
def test_moment_guarded(census_machine, moment):
    """The same with the whole library, whose census is part of its report."""
    command = census_machine.program("census_moments", moment)
    bare = census_machine.run(command, SIMGPU_DEVICES="1100MiB")
    guarded = census_machine.run(command, True, SIMGPU_DEVICES="1100MiB")
    assert (guarded.code, guarded.stdout) == (bare.code, bare.stdout), guarded.stderr


def test_thread_that_keeps_the_gil(census_machine):
    result = census_machine.run(census_machine.program("census_gil"))
    assert result.stdout == "-110 0\n", result.stderr  # ETIMEDOUT, then a census

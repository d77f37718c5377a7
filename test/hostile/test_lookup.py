"""Looking the driver's functions up gives what it gives without the guard, and is counted once."""

import pytest
from conftest import PROGRAMS

LIBRARY = PROGRAMS / "liblookup.so"


@pytest.mark.parametrize("preloaded", [False, True])
@pytest.mark.parametrize("scope", ["local", "global"])
def test_every_way_finds_the_same(hostile, scope, preloaded):
    command = hostile.program("lookup", scope, LIBRARY, PROGRAMS / "libtwin.so")
    more = [str(LIBRARY)] if preloaded else []
    bare = hostile.run(command, LD_PRELOAD=" ".join(more) or None)
    assert bare.code == 0, bare.stderr
    assert " driver" in bare.stdout and "twin handle twin" in bare.stdout
    lines = [line for line in bare.stdout.splitlines() if line.endswith(" driver")]
    # RTLD_NEXT means: behind the caller. What is asked so from behind the guard finds the driver.
    behind = [line for line in lines if preloaded and line.split()[0] != "main" and " next " in line]
    orders = {len(lines) - len(behind): [str(hostile.preload), *more]}
    orders[len(lines)] = [*more, str(hostile.preload)]
    for allocations, order in orders.items():
        before = len(hostile.records())
        guarded = hostile.run(command, LD_PRELOAD=" ".join(order))
        assert guarded.own == bare.own
        assert guarded.guard_lines == []
        records = hostile.all_records()
        assert len(records) == before + 1
        assert records[-1]["live"] == allocations
        assert records[-1]["twice"] == 0


def test_switched_off_finds_the_same(hostile):
    command = hostile.program("lookup", "local", LIBRARY, PROGRAMS / "libtwin.so")
    bare, off = hostile.both(command, VRAMGUARD="off")
    assert off.own == bare.own
    assert hostile.records() == [] if hostile.state.exists() else True

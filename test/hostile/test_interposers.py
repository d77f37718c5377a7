"""Another interposer of the driver keeps working, before vramguard or behind it, and vramguard sees
what it sees without the other."""

import shutil

import pytest
from conftest import PROGRAMS

WAYS = ["linked", "dlsym", "address"]


def command(hostile, way):
    return hostile.program("interposed_linked" if way == "linked" else "interposed", way)


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["linked", "looked_up", "hidden", "searching"])
def test_both_work(hostile, kind, way, place):
    other = PROGRAMS / f"libinterposer_{kind}.so"
    bare = hostile.run(command(hostile, way), LD_PRELOAD=str(other))
    assert bare.code == 0, bare.stdout
    if (kind, way, place) == ("hidden", "linked", "behind"):
        # There is one next function for all ways: what is only looked up gets linked calls, too.
        bare = hostile.run(command(hostile, "dlsym"), LD_PRELOAD=str(other))
    guard = str(hostile.preload)
    order = [str(other), guard] if place == "before" else [guard, str(other)]
    guarded = hostile.run(command(hostile, way), LD_PRELOAD=":".join(order))
    assert guarded.own == bare.own
    assert guarded.guard_lines == []
    record = hostile.only_record()
    assert (record["live"], record["live_bytes"]) == (1, 1 << 20)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_two_of_them(hostile, place):
    """One behind the other: a quarter of the GPU is seen."""
    others = [PROGRAMS / "libinterposer_linked.so", hostile.folder / "libsecond.so"]
    shutil.copy(*others)
    bare = hostile.run(command(hostile, "linked"), LD_PRELOAD=":".join(map(str, others)))
    assert bare.code == 0, bare.stdout
    one = hostile.run(command(hostile, "linked"), LD_PRELOAD=str(others[0]))
    assert one.own != bare.own
    others.insert(place, hostile.preload)
    guarded = hostile.run(command(hostile, "linked"), LD_PRELOAD=":".join(map(str, others)))
    assert guarded.own == bare.own
    assert guarded.guard_lines == []
    assert hostile.only_record()["live"] == 1


@pytest.mark.parametrize("way", WAYS)
def test_switched_off(hostile, way):
    other = PROGRAMS / "libinterposer_looked_up.so"
    bare = hostile.run(command(hostile, way), LD_PRELOAD=str(other))
    preload = f"{hostile.preload}:{other}"
    off = hostile.run(command(hostile, way), LD_PRELOAD=preload, VRAMGUARD="off")
    assert off.own == bare.own

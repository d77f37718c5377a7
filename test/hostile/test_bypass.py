"""A library that goes past vramguard is named, in one line; no other is."""

import pytest
from conftest import PROGRAMS


def run(hostile, library, how, when, *more, **extra):
    command = hostile.program("bypass", PROGRAMS / f"libbypass_{library}.so", how, when, *more)
    if more:
        extra["TAKE_LATER"] = "1"
    bare = hostile.run(command, LD_PRELOAD=None, **extra)
    assert bare.code == 0 and "done" in bare.stdout, bare.stdout
    guarded = hostile.run(command, LD_PRELOAD=str(hostile.preload), **extra)
    assert guarded.own == bare.own
    return guarded


def expect_named(guarded, library):
    assert len(guarded.guard_lines) == 1
    assert f"libbypass_{library}.so goes past vramguard" in guarded.guard_lines[0]


@pytest.mark.parametrize("more", [[], ["dlsym"]], ids=["opened", "called"])
@pytest.mark.parametrize("when", ["now", "lazy"])
@pytest.mark.parametrize("library", ["looks_up", "linked"])
def test_deeply_bound(hostile, library, when, more):
    expect_named(run(hostile, library, "deep", when, *more), library)


@pytest.mark.parametrize("when", ["now", "lazy"])
@pytest.mark.parametrize("library", ["looks_up", "linked"])
def test_plainly_bound(hostile, library, when):
    assert run(hostile, library, "plain", when, "dlsym").guard_lines == []
    assert hostile.only_record()["live"] == 1


@pytest.mark.parametrize("when", ["now", "lazy"])
def test_no_cuda_in_it(hostile, when):
    assert run(hostile, "harmless", "deep", when, "dlsym").guard_lines == []


def test_switched_off(hostile):
    guarded = run(hostile, "looks_up", "deep", "now", "dlsym", VRAMGUARD="off")
    assert guarded.guard_lines == []


def test_a_report_knows_who_holds_what_it_has_not_seen(hostile):
    library = PROGRAMS / "libbypass_looks_up.so"
    command = hostile.program("bypass", library, "deep", "now", "dlsym", "more")
    extra = {"TAKE_LATER": "1", "TAKE_MIB": "190"}
    guarded = hostile.run(command, guarded=True, **extra)
    assert "done" in guarded.stdout
    text = " ".join(guarded.guard_text.split())
    assert "libbypass_looks_up.so goes past it to the driver, so its memory is among that" in text
    assert "contexts, loaded modules" not in text

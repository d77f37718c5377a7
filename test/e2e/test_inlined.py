"""Functions that the compiler has put into others, in reports of the tool."""

from conftest import BUILD

PROGRAM = BUILD / "test" / "e2e" / "inlined"


def test_inlined_functions_have_frames_of_their_own(machine):
    result = machine.run([PROGRAM], guarded=True)
    assert result.code == 0, result.stderr
    text = " ".join(machine.vramguard("report").stdout.split())
    assert "#0 inlined take_all (inlined.c:8) (inlined) #1 inlined load_model (inlined.c:14) #2" in text
    assert "main (inlined.c:24) > load_model (inlined.c:14) > take_all (inlined.c:8)" in text

"""Which variable the census names, for variables of all kinds; no GPU is needed."""

import json
import re

import pytest

KIB = 1 << 10

# Of each case: the variables with bytes that are the case's own, as (path, type, length, function, kind of place, bytes
# by references, bytes through graphs), largest first.
ONE, GRAPH = 4 * KIB, 4 * KIB
EXPECTED = {
    "local list": [("history", "list", 70, "local_list", "local", 70 * ONE, 0)],
    "local tensor": [("x", "Tensor", -1, "local_tensor", "local", ONE, 0)],
    "nested": [('state["past"]', "list", 5, "nested", "local", 10 * ONE, 0)],
    "many keys": [("sessions", "dict", 100, "many_keys", "local", 100 * ONE, 0)],
    "attribute": [("trainer.loop.history", "list", 5, "attribute", "local", 5 * ONE, 0)],
    "two attributes": [
        ("trainer.second", "deque", 4, "two_attributes", "local", 4 * ONE, 0),
        ("trainer.first", "list", 3, "two_attributes", "local", 3 * ONE, 0),
    ],
    "slots": [("kept", "Slots", -1, "slots", "local", ONE, 0)],
    "closure": [("seen", "list", 1, "closure", "local", ONE, 0)],
    "inner closure": [("call", "function", -1, "inner_closure", "local", 2 * ONE, 0)],
    "partial": [("call", "partial", -1, "partial", "local", ONE, 0)],
    "generator": [("steps", "generator", -1, "generator", "local", ONE, 0)],
    "exception": [
        ("caught", "ValueError", -1, "exception", "local", 3 * ONE, 0),
        ("later", "list", 1, "exception", "local", ONE, 0),
    ],
    "handled": [
        ("", "ValueError", -1, "handled", "handled", 3 * ONE, 0),
        ("later", "list", 1, "handled", "local", ONE, 0),
    ],
    "handled before": [("later", "list", 1, "handled", "local", ONE, 0)],
    "handled further out": [("", "ValueError", -1, "handled_further_out", "handled", 3 * ONE, 0)],
    "handled no more": [("", "KeyError", -1, "raise_again", "handled", 3 * ONE, 0)],
    "handled again": [("", "KeyError", -1, "handled_again", "handled", 3 * ONE, 0)],
    "handled by name": [("error", "ValueError", -1, "handled_by_name", "local", 3 * ONE, 0)],
    "handled outside generator": [("", "ValueError", -1, "handled_outside_generator", "handled", 3 * ONE, 0)],
    "handled by who has asked": [("", "ValueError", -1, "handled_by_who_has_asked", "handled", 3 * ONE, 0)],
    "handled elsewhere than asked": [
        ("", "ValueError", -1, "handled_by_who_has_asked", "handled elsewhere", 3 * ONE, 0)
    ],
    "handled elsewhere": [("", "ValueError", -1, "work", "handled elsewhere", 3 * ONE, 0)],
    "handled elsewhere further out": [("", "ValueError", -1, "work", "handled elsewhere", 3 * ONE, 0)],
    "handled elsewhere in generator": [("", "ValueError", -1, "steps", "handled elsewhere", 3 * ONE, 0)],
    "handled elsewhere outside generators": [("", "ValueError", -1, "work", "handled elsewhere", 3 * ONE, 0)],
    "handled by both": [("", "ValueError", -1, "", "handled elsewhere", 3 * ONE, 0)],
    "left elsewhere": [],
    "last value": [("last_value", "ValueError", -1, "sys", "library", 3 * ONE, 0)],
    "class attribute": [("Shop.shelf", "list", 1, "<module>", "global", ONE, 0)],
    "global": [("kept_globally", "list", 2, "<module>", "global", 2 * ONE, 0)],
    "other module's": [("shelf", "list", 2, "census_probe", "global", 2 * ONE, 0)],
    "in module": [("net.0.cache", "list", 3, "in_module", "local", 3 * ONE, 0)],
    "outer first": [
        ("shared", "list", 1, "outer_first", "local", ONE, 0),
        ("own", "list", 2, "hand_on", "local", ONE, 0),
    ],
    "other thread": [("kept", "list", 1, "work", "local", ONE, 0)],
    "library": [("kept_for_test", "list", 1, "torch.backends", "library", ONE, 0)],
    "graph": [
        ("losses", "list", 3, "graph", "local", 3 * 4, 3 * GRAPH),
        ("weight", "Parameter", -1, "graph", "local", ONE, 0),
    ],
    "function node": [
        ("kept", "Tensor", -1, "function_node", "local", ONE, 2 * ONE),
        ("weight", "Parameter", -1, "function_node", "local", ONE, 0),
    ],
    "comprehension": [("", "list", 3, "comprehension", "work", 3 * ONE, 0)],
    "iterated": [
        ("_", "Tensor", -1, "iterated", "local", ONE, 0),
        ("", "list_iterator", -1, "iterated", "work", ONE, 0),
    ],
    "garbage": [],
    "held ring": [],
    "deleted model": [],
    "function saves": [
        ("kept", "Tensor", -1, "function_saves", "local", ONE, ONE),
        ("weight", "Parameter", -1, "function_saves", "local", ONE, 0),
    ],
    "views": [("whole", "Tensor", -1, "views", "local", ONE, 0)],
    "shapes": [("kept", "list", 7, "shapes", "local", 7 * ONE, 0)],
    "widths": [
        ("kept", "list", 5, "widths", "local", 15 * ONE // 2, 0),
        ("layer", "Linear", -1, "widths", "local", ONE // 2, 0),
    ],
}


@pytest.fixture(scope="module")
def said(census_machine):
    result = census_machine.run(census_machine.program("census_variables"))
    assert result.code == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return {line["case"]: line["census"] for line in lines}


def brief(variable):
    names = ("path", "type", "length", "function", "place")
    function = None
    if variable["place"] in ("local", "work", "handled", "handled elsewhere"):
        # Before 3.12 a comprehension is a function of its own.
        function = variable["function"].replace(".<locals>.<listcomp>", "").split(".")[-1]
        function = function.replace("<listcomp>", "comprehension")
    values = {**variable, "function": function or variable["function"]}
    return (*(values[name] for name in names), variable["direct"][0], variable["graph"][0])


@pytest.mark.parametrize("case", EXPECTED)
def test_variable(said, case):
    census = said[case]
    assert census["state"] == 1
    assert [brief(variable) for variable in census["variables"]] == EXPECTED[case]


def test_every_case_is_expected(said):
    assert set(said) == {*EXPECTED, "without gc"}


def test_without_gc(said):
    """What cannot be looked at is not told as nothing."""
    census = said["without gc"]
    assert census["state"] == (1 if census["python"] >= [3, 12] else 11)


def test_place_in_the_source(said, census_machine):
    variable = said["local list"]["variables"][0]
    source = (census_machine.program("census_variables")[1]).read_text().splitlines()
    assert variable["file"].endswith("/programs/census_variables.py")
    assert source[variable["line"] - 1].strip() == 'say("local list")'


def test_thread(said):
    assert said["other thread"]["variables"][0]["thread"] == 1
    assert said["local list"]["variables"][0]["thread"] == 0
    assert said["handled"]["variables"][0]["thread"] == 0
    assert said["handled elsewhere"]["variables"][0]["thread"] == 1
    assert said["handled by both"]["variables"][0]["thread"] == 1


def test_traceback(said):
    """What an exception's frames hold is told apart."""
    cases = ["exception", "last value", *(case for case in EXPECTED if re.match("handled (?!before)|handled$", case))]
    for case in cases:
        assert said[case]["variables"][0]["traceback"] == [3 * ONE, 3]
    for variable in said["local list"]["variables"][0], said["exception"]["variables"][1]:
        assert variable["traceback"] == [0, 0]


def test_shapes(said):
    assert said["local list"]["shapes"] == [
        {"dtype": "float32", "amount": [70 * ONE, 70], "sizes": [1024]}
    ]
    first, second, *others = said["shapes"]["shapes"]
    assert first == {"dtype": "float32", "amount": [3 * ONE, 3], "sizes": [1024]}
    assert second == {"dtype": "float32", "amount": [2 * ONE, 2], "sizes": [32, 32]}
    assert sorted((shape["dtype"], shape["sizes"]) for shape in others) == [("float64", [512]), ("int32", [1024])]
    assert "bfloat16" not in [shape["dtype"] for shape in said["widths"]["shapes"]], "of a parameter"


def test_widths(said):
    """In the order of the kinds: parameters first, other tensors fifth."""
    said = said["widths"]
    assert said["wide"] == [0, 0, 0, 0, 2 * ONE, 0]
    assert said["narrow"] == [ONE // 2, 0, 0, 0, ONE + ONE // 2, 0]


def test_garbage(said):
    """Nothing but itself refers to it; not what native code has a reference to, or a variable."""
    assert (said["garbage"]["garbage"], said["garbage"]["garbage_type"]) == ([2 * ONE, 2], "Ring")
    assert said["deleted model"]["garbage"] == [ONE, 1]
    assert said["deleted model"]["garbage_type"] == "Linear"
    others = [census for case, census in said.items() if case not in ("garbage", "deleted model")]
    assert all(census["garbage"] == [0, 0] for census in others)
    assert said["held ring"]["unnamed"] == [2 * ONE, 2]


def test_a_view_counts_once(said):
    assert said["views"]["other"] == [ONE, 1]
    assert said["views"]["tensors"] >= 3

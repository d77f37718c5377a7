"""The command line: help, errors, and `vramguard run`."""

import sys

import pytest
from conftest import BUILD, MODEL, ROOT

HOLD = [sys.executable, MODEL / "hold_memory.py"]


@pytest.mark.parametrize("arguments", [["--help"], ["help"], ["-h"]])
def test_help_lists_every_command(machine, arguments):
    result = machine.vramguard(*arguments)
    assert result.code == 0
    for command in ("run", "report", "list"):
        assert command in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("arguments", [["no-such-command"], ["list", "--no-such-option"]])
def test_what_is_unknown_is_one_line(machine, arguments):
    result = machine.vramguard(*arguments)
    assert result.code not in (0, None) and result.code > 0
    assert result.stdout == ""
    assert arguments[-1] in result.stderr and result.stderr.count("\n") == 1
    assert "did you mean" not in result.stderr


@pytest.mark.parametrize("words", [["env", "x"], ["options", "x"], ["list", "a", "x"], ["report", "a", "x"]])
def test_words_that_no_command_takes(machine, words):
    result = machine.vramguard(*words)
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == 'vramguard %s: unexpected argument "x"\n' % words[0]


@pytest.mark.parametrize("name", ["run", "list", "report", "options", "env", "doctor"])
def test_help_of_a_command(machine, name):
    result = machine.vramguard("help", name)
    assert result.code == 0 and result.stdout.startswith("Usage: vramguard %s " % name)
    assert result.stdout == machine.vramguard(name, "--help").stdout


def test_run_guards(machine, load_model):
    bare = machine.run(load_model)
    result = machine.vramguard("run", "--", *load_model)
    assert result.own == bare.own
    assert len(machine.records()) == 1


def test_run_simulates(machine, load_model):
    without = dict(LD_LIBRARY_PATH=None, SIMGPU_DEVICES=None)
    result = machine.vramguard("run", "--simulate", "256MiB", "--", *load_model, **without)
    assert result.code == 0, result.stderr
    assert "verified 46 tensors" in result.stdout
    small = machine.vramguard("run", "--simulate", "40MiB", "--", *load_model, **without)
    assert small.code == 1
    assert "vramguard: GPU 0 out of memory: " in small.stderr


@pytest.mark.parametrize("code", [0, 7, 255])
def test_run_hands_the_exit_code_on(machine, code):
    assert machine.vramguard("run", "--", "sh", "-c", "exit %d" % code).code == code


def test_run_hands_a_signal_on(machine):
    bare = machine.run(["sh", "-c", "kill -TERM $$"])
    assert machine.vramguard("run", "--", "sh", "-c", "kill -TERM $$").code in (bare.code, 143)


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["run"], "command"),
        (["run", "--", "/no/such/program"], "/no/such/program"),
        (["run", "--simulate", "lots", "--", "true"], "lots"),
        (["run", "--simulate", "1GiB,lots", "--", "true"], '"lots"'),
        (["run", "--stacks", "sometimes", "--", "true"], "sometimes"),
    ],
)
def test_wrong_use_of_run_is_one_line(machine, arguments, word):
    result = machine.vramguard(*arguments)
    assert result.code > 0
    assert word in result.stderr and result.stderr.count("\n") == 1


def test_run_help_says_what_each_policy_action_does(machine):
    result = machine.vramguard("run", "--help")
    lines = result.stdout.splitlines()
    actions = lines[lines.index("What --policy tries, in the order given:") + 1 :]
    for name in ("trim", "wait", "spill", "off"):
        assert sum(line.startswith("  %-6s " % name) for line in actions) == 1
    assert max(len(line) for line in lines) <= 80


def test_run_help_shows_every_option_of_the_library(machine):
    table = (ROOT / "src" / "base" / "option_table.h").read_text()
    names = [word.strip(",") for word in table.split() if word.startswith("VRAMGUARD")]
    assert len(names) > 3
    text = machine.vramguard("run", "--help").stdout
    assert [name for name in names if name not in text] == []


def test_run_works_from_anywhere_and_through_a_link(machine, load_model):
    link = machine.folder / "vg"
    link.symlink_to(BUILD / "vramguard")
    result = machine.run([link, "run", "--", *load_model])
    assert result.code == 0
    assert len(machine.records()) == 1

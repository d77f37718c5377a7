"""What README.md tells people to type is there: commands, options, variables, files. What it shows is
checked by scripts/update-readme."""

import re

from conftest import ROOT

README = (ROOT / "README.md").read_text()
SHOWN = re.sub(r"<!-- begin: (\S+) -->.*?<!-- end: \1 -->", "", README, flags=re.DOTALL)
CODE = "\n".join(re.findall(r"^    .*|`[^`\n]+`", SHOWN, re.MULTILINE))


def test_the_first_thing_to_type_is_vramguard_run():
    first = re.search(r"^    (.*)", README, re.MULTILINE).group(1)
    assert first == "vramguard run -- python train.py" and README[: README.index(first)].count("\n") < 10


def test_commands_and_their_options_exist(machine):
    uses = re.findall(r"vramguard (run|list|report|options|env|doctor)\b([^\n`#)]*)", CODE)
    assert len(uses) > 10
    for command, words in uses:
        help_text = machine.vramguard(command, "--help").stdout
        for option in re.findall(r"(?<= )--[a-z][a-z-]*", words.split(" -- ")[0]):
            assert option in help_text, (command, option)


def test_variables_exist(machine):
    known = set(re.findall(r"VRAMGUARD\w*", machine.vramguard("options").stdout))
    told_to_commands = {"VRAMGUARD_TRIM_DEVICE"}  # which finds it in its environment
    assert set(re.findall(r"VRAMGUARD\w*", SHOWN)) - known - told_to_commands == set()


def test_files_and_targets_exist(machine):
    for path in re.findall(r"\b(?:scripts|test|include|src)/[\w./-]+", SHOWN):
        assert (ROOT / path.rstrip(".")).exists(), path
    rules = (ROOT / "Makefile").read_text() + (ROOT / "scripts/install.mk").read_text()
    rules += "".join(path.read_text() for path in (ROOT / "test").glob("*.mk"))
    targets = set(re.findall(r"(?:^ +|&& |`)(?:sudo )?make +(\w+)", CODE, re.MULTILINE))
    assert {"wheel", "deb", "tarball", "install"} <= targets
    for target in targets:
        assert re.search(r"^%s:" % target, rules, re.MULTILINE), target


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            headings = re.findall(r"^#+ (.*)", README, re.MULTILINE)
            assert target[1:] in [h.lower().replace(" ", "-") for h in headings], target
        else:
            assert (ROOT / target).exists(), target

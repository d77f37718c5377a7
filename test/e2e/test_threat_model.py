"""The threat model of src/README.md names a test for each line: they exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_line_of_the_threat_model_has_its_test():
    text = (ROOT / "src" / "README.md").read_text(encoding="utf-8")
    section = text.split("## Threat model", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    sources = "\n".join(
        path.read_text(encoding="utf-8", errors="replace")
        for path in (ROOT / "test").rglob("*")
        if path.suffix in (".py", ".c", ".h")
    )
    files = {path.name for path in (ROOT / "test").rglob("test_*.py")}
    assert len(rows) > 15
    for row in rows:
        names = re.findall(r"`([^`]+)`", row.rsplit("|", 2)[1])
        assert names, "no test: " + row
        for name in names:
            defined = re.search(r"(def|static void) %s\(" % re.escape(name), sources)
            assert defined or name in files, "no such test: " + name

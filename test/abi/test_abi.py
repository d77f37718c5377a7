"""Our declarations of the CUDA driver's binary interface against a real toolkit's headers.

Types, sizes, fields and constants of src/driver/cuda_abi.h and src/simgpu/abi.h, and every row of
both function tables: its version must exist, its parameters must be exactly those of the toolkit's
function type of that version. Enumerations are plain ints in our headers; that, and a `void *` for
a pointer that nobody of us follows, are the only differences allowed.

Toolkits are looked for in $CUDA_HOME, /usr/local/cuda*, /usr/include, among Python packages and in
build/toolkit, where `make check-abi CUDA12=1` puts CUDA 12's headers. The first line says which were
found.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
import toolkit as toolkits
from declarations import Declarations

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = (ROOT / os.environ.get("BUILD", "build")).resolve()
CC = os.environ.get("CC", "cc")
TOOLKITS = toolkits.find(BUILD, CC)

# What our headers claim to know: a name that no toolkit from this version on has is a mistake.
NEWEST_KNOWN = 13000

# Members of ours under another name than the toolkit's; None: it only gives a union its alignment.
OTHER_NAMES = {
    ("CUexecAffinityParam", "sm_count"): "param.smCount.val",
    ("CUgraphNodeParams", "params.event"): "eventRecord.event",
    ("CUgraphNodeParams", "params.free"): "free.dptr",
    ("CUgraphNodeParams", "params.graph"): "graph.graph",
    ("CUstreamAttrValue", "alignment"): None,
}

# Members that are a structure of ours where the toolkit has a later, longer version of it: each of
# its members is compared instead.
EXPANDED = {
    ("CUgraphNodeParams", "params.kernel"): "CUDA_KERNEL_NODE_PARAMS_v2",
    ("CUgraphNodeParams", "params.memset"): "CUDA_MEMSET_NODE_PARAMS",
    ("CUgraphNodeParams", "params.host"): "CUDA_HOST_NODE_PARAMS",
    ("CUgraphNodeParams", "params.alloc"): "CUDA_MEM_ALLOC_NODE_PARAMS",
}

# Structures with a member of ours that has no name in the toolkit.
NAMELESS = {"CUgraphNodeParams": "params"}

# Each table as ROWS(table, symbol, name, version, flags, parameters), one at a time.
TABLES = {
    "driver": """
#define VG_CUDA(symbol, name, version, flags, use, parameters, arguments) \\
    ROWS(driver, symbol, name, version, flags, parameters)
#include "driver/cuda_table.h"
""",
    "simgpu": """
#define FN(symbol, name, version, parameters, arguments) \\
    ROWS(simgpu, symbol, name, version, 0, parameters)
#define EARLY(symbol, name, version, parameters, arguments) \\
    ROWS(simgpu, symbol, name, version, 0, parameters)
#define PT(symbol, per_thread, name, version, per_thread_version, parameters, arguments) \\
    ROWS(simgpu, symbol, name, version, 0, parameters) \\
    ROWS(simgpu, per_thread, name, per_thread_version, 2, parameters)
#define NO(symbol, name, version)
#define NOPT(symbol, per_thread, name, version, per_thread_version)
#include "simgpu/driver/tables.def"
""",
}


class Row:
    """One row of a function table."""

    def __init__(self, symbol, name, version, flags, parameters):
        self.symbol, self.name, self.version = symbol, name, int(version)
        self.per_thread, self.parameters = flags == "2", parameters

    @property
    def suffix(self):
        """Of the symbol, as the toolkit's type names have it too: _ptsz, _ptds or nothing."""
        match = re.search(r"_pt[sd][sz]$", self.symbol)
        return match[0] if match else ""

    @property
    def function_type(self):
        return "PFN_%s_v%d%s" % (self.name, self.version, self.suffix)


def read_rows(table, text, include):
    """The rows of one table, by the preprocessor."""
    command = [CC, "-E", "-P", "-x", "c", *["-I%s" % folder for folder in include], "-"]
    marked = text.replace("ROWS(", "@@(")
    done = subprocess.run(command, input=marked, check=True, capture_output=True, text=True)
    fields = r"@@\(%s, (\w+), (\w+), (\d+), (\d), (\(.*?\))\)(?=\s|$)" % table
    rows = [Row(*match) for match in re.findall(fields, done.stdout.replace("\n", " "))]
    assert len(rows) == done.stdout.count("@@"), "a row that is not understood"
    return rows


class Comparison:
    """Our declarations, compared with one toolkit's."""

    def __init__(self, toolkit, folder, include, tables=None):
        self.toolkit, self.folder = toolkit, folder
        self.mine = Declarations(HERE / "all.h", include, CC)
        self.rows = {
            name: read_rows(name, text, include) for name, text in (tables or TABLES).items()
        }
        self.absent = []  # (kind, name) that this toolkit does not declare
        self.verdicts = {}  # (kind, name) -> "same" or "different"
        self._compare()

    def _known(self, names, kind, known):
        self.absent += [(kind, name) for name in names if name not in known]
        return [name for name in names if name in known]

    def _fields(self):
        for name, field in self.mine.fields:
            inner = EXPANDED.get((name, field))
            if inner:
                for owner, part in self.mine.fields:
                    if owner == inner:
                        yield name, "%s.%s" % (field, part)
            else:
                yield name, field

    def _compare(self):
        text, enumerations = self.toolkit.with_int_enumerations()
        macros = self.toolkit.macros()
        known = set(re.findall(r"\w+", text)) | set(macros)
        types = self._known(self.mine.types, "type", known)
        self._known(self.mine.tags, "structure", known)
        constants = self._known(self.mine.constants, "constant", known)
        mine = [self.mine.types[name] for name in types]
        mine += [self.mine.constants[name] for name in constants]
        listed, rows = [], []
        structures = {name for name, _ in self.mine.fields}
        for name in types:
            listed.append("%s(%s)" % ("STRUCTURE" if name in structures else "TYPE", name))
        for name, field in self._fields():
            their_field = OTHER_NAMES.get((name, field), field)
            if name in NAMELESS and their_field:
                their_field = their_field.replace(NAMELESS[name] + ".", "", 1)
            if name in types and their_field:
                listed.append("FIELD(%s, %s, %s)" % (name, field, their_field))
        listed += ["CONSTANT(%s)" % name for name in constants]
        for table, table_rows in self.rows.items():
            for row in table_rows:
                if row.function_type not in self.toolkit.function_types():
                    self.absent.append((table, row.symbol))
                    continue
                mine.append("typedef %s theirs_%s_%s;" % (row.function_type, table, row.symbol))
                rows.append("ROW(%s, %s, %s)" % (table, row.symbol, row.parameters))
        widths = ['_Static_assert(sizeof(%s) == sizeof(int), "");' % name for name in enumerations]
        for name, lines in {
            "theirs.h": [text, *macros.values()],
            "mine.h": mine,
            "list.h": listed,
            "rows.h": rows,
            "widths.c": ["#include <stdlib.h>\n#include <stdint.h>", self.toolkit.text, *widths],
        }.items():
            (self.folder / name).write_text("\n".join(lines) + "\n")
        self._run()

    def _run(self):
        # An enumeration that is wider than an int would hide behind the int it is turned into.
        subprocess.run([CC, "-std=gnu11", "-fsyntax-only", self.folder / "widths.c"], check=True)
        program = self.folder / "compare"
        done = subprocess.run(
            [CC, "-std=gnu11", "-I%s" % self.folder, HERE / "compare.c", "-o", program],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            errors = sorted(set(re.findall(r"error: (.*)", done.stderr)))
            pytest.fail("in the words of %s:\n%s" % (self.toolkit, "\n".join(errors)), pytrace=False)
        output = subprocess.run([program], check=True, capture_output=True, text=True).stdout
        for line in output.splitlines():
            kind, name, verdict = line.split()
            self.verdicts[kind, name] = verdict

    def different(self, *kinds):
        return [
            "%s %s" % key
            for key, verdict in self.verdicts.items()
            if key[0] in kinds and verdict != "same"
        ]

    def count(self, *kinds):
        return sum(key[0] in kinds for key in self.verdicts)


INCLUDE = (ROOT / "src", ROOT / "test")


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory):
    """version -> Comparison; the work for each toolkit is done once."""
    made = {}

    def compare(toolkit):
        if toolkit.version not in made:
            folder = tmp_path_factory.mktemp("abi")
            made[toolkit.version] = Comparison(toolkit, folder, INCLUDE)
        return made[toolkit.version]

    return compare


def names(toolkit):
    return "%s in %s" % (toolkit, toolkit.folder)


NO_TOOLKIT = pytest.param(
    None,
    marks=pytest.mark.skip(reason="no toolkit's cuda.h and cudaTypedefs.h on this machine"),
    id="none",
)
each_toolkit = pytest.mark.parametrize(
    "toolkit", [pytest.param(t, id=names(t)) for t in TOOLKITS] or [NO_TOOLKIT]
)
newest_toolkit = pytest.mark.parametrize(
    "toolkit", [pytest.param(t, id=names(t)) for t in TOOLKITS[-1:]] or [NO_TOOLKIT]
)


@each_toolkit
def test_types(comparisons, toolkit):
    comparison = comparisons(toolkit)
    assert comparison.different("type", "field") == []
    assert comparison.count("type") > 70 and comparison.count("field") > 80


@each_toolkit
def test_constants(comparisons, toolkit):
    comparison = comparisons(toolkit)
    assert comparison.different("constant") == []
    assert comparison.count("constant") > 100


@each_toolkit
@pytest.mark.parametrize("table", TABLES)
def test_rows(comparisons, toolkit, table):
    comparison = comparisons(toolkit)
    declared = dict(re.findall(r"\*\s*(PFN_\w+)\s*\)\s*(\(.*?\));", toolkit.text))
    wrong = [
        "%s: ours %s, the toolkit's %s" % (row.symbol, row.parameters, declared[row.function_type])
        for row in comparison.rows[table]
        if comparison.verdicts.get((table, row.symbol)) == "different"
    ]
    assert wrong == []
    absent = [row.function_type for row in comparison.rows[table]
              if (table, row.symbol) in comparison.absent and row.version <= toolkit.version]
    assert absent == [], "versions that cudaTypedefs.h does not have"
    assert comparison.count(table) >= 20


@each_toolkit
@pytest.mark.parametrize("table", TABLES)
def test_symbols_follow_from_versions(comparisons, toolkit, table):
    """The n-th version of a name has the n-th suffix; its per-thread form has that one, too."""
    wrong = []
    for row in comparisons(toolkit).rows[table]:
        versions = set(re.findall(r"\bPFN_%s_v(\d+)\)" % row.name, toolkit.text))
        if not versions or row.version > toolkit.version:
            continue
        number = sum(int(version) <= row.version for version in versions)
        expected = row.name + ("_v%d" % number if number > 1 else "") + row.suffix
        if row.symbol != expected or row.per_thread != bool(row.suffix):
            wrong.append("%s: by its version %d it is %s" % (row.symbol, row.version, expected))
    assert wrong == []


@newest_toolkit
def test_nothing_is_unknown(comparisons, toolkit):
    """What the newest toolkit does not declare, some toolkit here must."""
    if toolkit.version < NEWEST_KNOWN:
        pytest.skip("our headers know CUDA 13, the newest toolkit here is %s" % toolkit)
    absent = [set(comparisons(each).absent) for each in TOOLKITS]
    assert set.intersection(*absent) == set()


@newest_toolkit
@pytest.mark.parametrize("table", TABLES)
def test_symbols_are_exported_by_the_driver(comparisons, toolkit, table):
    if not toolkit.stub:
        pytest.skip("%s has no stub library to compare with" % names(toolkit))
    output = subprocess.run(
        ["nm", "-D", "--defined-only", toolkit.stub], check=True, capture_output=True, text=True
    ).stdout
    exported = {line.split()[-1].split("@")[0] for line in output.splitlines()}
    symbols = {row.symbol for row in comparisons(toolkit).rows[table]}
    assert symbols - exported == set()


# What must be found: the text to change in one of our files, what it becomes, what is to be noticed.
MISTAKES = {
    "a version": (
        "VG_CUDA(cuMemFree_v2, cuMemFree, 3020,",
        "VG_CUDA(cuMemFree_v2, cuMemFree, 3010,",
        ("driver", "cuMemFree_v2", "absent"),
    ),
    "a parameter": (
        "0, HOOK, (CUdeviceptr *address, size_t bytes, unsigned int flags)",
        "0, HOOK, (CUdeviceptr *address, unsigned int bytes, unsigned int flags)",
        ("driver", "cuMemAllocManaged", "different"),
    ),
    "a type": (
        "typedef unsigned long long CUdeviceptr;",
        "typedef unsigned long CUdeviceptr;",
        ("type", "CUdeviceptr", "different"),
    ),
    "a constant": (
        "CUDA_ERROR_OUT_OF_MEMORY = 2",
        "CUDA_ERROR_OUT_OF_MEMORY = 3",
        ("constant", "CUDA_ERROR_OUT_OF_MEMORY", "different"),
    ),
    "a macro": (
        "#define CU_LIMIT_STACK_SIZE                       0",
        "#define CU_LIMIT_STACK_SIZE                       1",
        ("constant", "CU_LIMIT_STACK_SIZE", "different"),
    ),
    "a field": (
        "    size_t WidthInBytes, Height;",
        "    size_t Height, WidthInBytes;",
        ("field", "CUDA_MEMCPY2D.WidthInBytes", "different"),
    ),
    "a size": (
        "    unsigned char reserved[54];",
        "    unsigned char reserved[64];",
        ("type", "CUmemPoolProps", "different"),
    ),
    "a name": (
        "CUDA_ERROR_NOT_FOUND = 500",
        "CUDA_ERROR_NOT_FOUND_ANYWHERE = 500",
        ("constant", "CUDA_ERROR_NOT_FOUND_ANYWHERE", "absent"),
    ),
}


@newest_toolkit
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(toolkit, mistake, tmp_path):
    text, changed, (kind, name, verdict) = MISTAKES[mistake]
    changed_files = 0
    for wanted in ("src/driver/*.h", "src/simgpu/*.h", "src/simgpu/driver/*.def"):
        for source in ROOT.glob(wanted):
            copy = tmp_path / source.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(source.read_text().replace(text, changed))
            changed_files += text in source.read_text()
    assert changed_files == 1, "this test wants another text to change"
    comparison = Comparison(toolkit, tmp_path, (tmp_path / "src", tmp_path / "test"))
    if verdict == "absent":
        assert (kind, name) in comparison.absent
    else:
        assert comparison.verdicts[kind, name] == verdict

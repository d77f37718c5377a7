"""Writes C code that calls every wrapped function of the table with arguments given as words.

Usage: make_calls.py CC SOURCE_FOLDER > calls_table.h
"""

import re
import subprocess
import sys

MARKED = """
#define VG_CUDA(symbol, name, version, flags, use, parameters, arguments) @@ symbol use parameters
#include "driver/cuda_table.h"
"""


def rows(cc, source):
    """(symbol, [(type, parameter name)]) of each row that the library exports."""
    command = [cc, "-E", "-P", "-x", "c", "-I" + source, "-"]
    text = subprocess.run(command, input=MARKED, check=True, capture_output=True, text=True).stdout
    for row in text.replace("\n", " ").split("@@")[1:]:
        symbol, use, parameters = re.fullmatch(r"\s*(\w+) (\w+) \((.*)\)\s*", row).groups()
        if use == "CALL":
            continue
        split = [re.fullmatch(r"(.*?)\s*(\w+)", each.strip()) for each in parameters.split(",")]
        yield symbol, [(match[1].strip(), match[2]) for match in split]


def structures(source):
    """The names of types that are structures: passed by value where a row names them alone."""
    with open(source + "/driver/cuda_abi.h", encoding="utf-8") as header:
        return set(re.findall(r"^\} (\w+);", header.read(), re.M))


def argument(kind, index, by_value):
    if kind in by_value:
        return "*(const %s *)(uintptr_t)word[%d]" % (kind, index)
    return "(%s)(uintptr_t)word[%d]" % (kind, index)


def main():
    cc, source = sys.argv[1:]
    by_value, table = structures(source), []
    for symbol, parameters in rows(cc, source):
        kinds = ", ".join(kind for kind, _ in parameters)
        arguments = [argument(kind, i, by_value) for i, (kind, _) in enumerate(parameters)]
        print("static CUresult call_%s(void *function, const uint64_t *word)" % symbol)
        print("{\n    return AS_FUNCTION(function, CUresult(*)(%s))(%s);\n}" % (
            kinds, ", ".join(arguments)))
        listed = ", ".join('{ "%s", "%s" }' % each for each in parameters)
        table.append('    { "%s", call_%s, %d, { %s } },' % (
            symbol, symbol, len(parameters), listed))
    print("static const struct row rows[] = {\n%s\n};" % "\n".join(table))


main()

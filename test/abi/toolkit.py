"""CUDA toolkits on this machine, and what their headers declare."""

import glob
import os
import re
import subprocess
import sysconfig
from pathlib import Path

HEADERS = ("cuda.h", "cudaTypedefs.h", "cudaProfilerTypedefs.h")


def places(build):
    """Include folders to look into, the most deliberately chosen first."""
    home = os.environ.get("CUDA_HOME")
    packages = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    packages |= set(glob.glob("/usr/lib/python3*/*-packages"))
    packages |= set(glob.glob("/usr/local/lib/python3*/*-packages"))
    packages |= set(glob.glob(str(build / "toolkit" / "*")))
    return [
        *([home + "/include"] if home else []),
        *sorted(glob.glob("/usr/local/cuda*/include")),
        "/usr/include",
        *sorted(path for root in packages for path in glob.glob(root + "/nvidia/*/include")),
    ]


def find(build, cc):
    """The toolkits found, one for each version from CUDA 12 on, which ours declares, oldest first."""
    found = {}
    for folder in places(build):
        if all(os.path.exists(os.path.join(folder, name)) for name in HEADERS[:2]):
            toolkit = Toolkit(folder, cc)
            if toolkit.version >= 12000:
                found.setdefault(toolkit.version, toolkit)
    return [found[version] for version in sorted(found)]


class Toolkit:
    """The headers in one include folder."""

    def __init__(self, folder, cc):
        self.folder, self.cc = folder, cc
        version = re.search(
            r"#define\s+CUDA_VERSION\s+(\d+)", Path(folder, "cuda.h").read_text(errors="replace")
        )
        self.version = int(version[1])
        self._text = None

    def __str__(self):
        return "CUDA %d.%d" % (self.version // 1000, self.version % 1000 // 10)

    @property
    def stub(self):
        """The library to link with, which exports what a driver of this version does, or None."""
        for path in ("../lib64/stubs/libcuda.so", "../lib/stubs/libcuda.so"):
            stub = Path(self.folder, path).resolve()
            if stub.exists():
                return stub
        return None

    def _preprocess(self, *options):
        # The first versions of functions are declared for internal use only.
        command = [self.cc, "-E", *options, "-x", "c", "-D__CUDA_API_VERSION_INTERNAL"]
        wanted = [name for name in HEADERS if Path(self.folder, name).exists()]
        text = "".join("#include <%s>\n" % name for name in wanted)
        command += ["-I" + self.folder, "-"]
        return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout

    @property
    def text(self):
        """All declarations of the toolkit, preprocessed, without those of system headers."""
        if self._text is None:
            kept, theirs = [], False
            for line in self._preprocess().splitlines():
                marker = re.match(r'# \d+ "(.*?)"', line)
                if marker:
                    theirs = os.path.basename(marker[1]).startswith("cuda")
                elif theirs:
                    kept.append(line)
            self._text = "\n".join(kept)
        return self._text

    def macros(self):
        """Name -> definition of the macros that are constants."""
        defines = re.findall(r"^(#define (CU\w*) .+)$", self._preprocess("-dM"), re.M)
        return {name: line for line, name in defines}

    def with_int_enumerations(self):
        """The declarations with every enumeration turned into an int, and the names of those."""
        text, names = self.text, []

        def enumerators_and_int(match):
            names.append(match["name"])
            return "enum {%s}; typedef int %s;" % (match["body"], match["name"])

        tags = re.findall(r"\benum\s+(\w+)\s*\{", text)
        text = re.sub(
            r"typedef enum\s*\w*\s*\{(?P<body>[^{}]*)\}\s*(?P<name>\w+)\s*;",
            enumerators_and_int,
            text,
        )
        for tag in tags:
            text = re.sub(r"\benum\s+%s\b(?!\s*\{)" % tag, "int", text)
        return text, names

    def function_types(self):
        """The names of the function types: PFN_<name>_v<version>, some with _ptsz or _ptds."""
        return set(re.findall(r"\*\s*(PFN_\w+_v\d+(?:_pt[sd][sz])?)\s*\)", self.text))

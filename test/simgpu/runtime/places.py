"""Where things are, and the environment that tests run programs in."""
import glob
import os
import pathlib
import re
import sysconfig

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BUILD = ROOT / os.environ.get("BUILD", "build")
SIMGPU = BUILD / "simgpu"
PROGRAMS = BUILD / "test" / "simgpu" / "runtime"
VARIANTS = ("13", "12", "11", "static")
MAJORS = (11, 12, 13)


def clean_environment(**settings):
    """The environment without anything that would change the outcome, plus `settings`."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(("SIMGPU_", "VRAMGUARD", "PROBE_", "CUDA_", "LD_"))}
    kept.update({k: str(v) for k, v in settings.items()})
    return kept


def toolkits():
    """Folders of CUDA toolkits: installed ones, Python packages, and what test/abi/fetch-toolkit got."""
    packages = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    packages |= set(glob.glob("/usr/lib/python3*/*-packages"))
    packages |= set(glob.glob("/usr/local/lib/python3*/*-packages"))
    packages |= set(glob.glob(str(BUILD / "toolkit" / "*")))
    home = os.environ.get("CUDA_HOME")
    return [*([home] if home else []), *sorted(glob.glob("/usr/local/cuda*")),
            *sorted(path for root in packages for path in glob.glob(root + "/nvidia/*"))]


def toolkit_headers(major):
    """The include folder of a toolkit of that major version, or None."""
    for folder in toolkits():
        header = os.path.join(folder, "include", "cuda_runtime_api.h")
        if os.path.exists(header):
            with open(header, encoding="utf-8", errors="replace") as text:
                found = re.search(r"#define\s+CUDART_VERSION\s+(\d+)", text.read())
            if found and int(found.group(1)) // 1000 == major:
                return os.path.dirname(header)
    return None


def library_name(major):
    """What the runtime of that major version is called, which is its version node, too."""
    return "libcudart.so.11.0" if major == 11 else f"libcudart.so.{major}"


def toolkit_library(major):
    """A toolkit's own libcudart.so of that major version, or None. Only to be looked at."""
    for folder in toolkits():
        for lib in ("lib64", "lib"):
            path = os.path.join(folder, lib, library_name(major))
            if os.path.exists(path):
                return path
    return None

"""The exported symbols: all that the real library has, each under its version node."""
import ctypes
import os
import subprocess

import pytest

from places import MAJORS, ROOT, SIMGPU, clean_environment, library_name, toolkit_library

NOT_SUPPORTED = 801


def listed(major, state=None):
    with open(ROOT / "src/simgpu/runtime/exports.txt", encoding="utf-8") as lines:
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return {name for name, majors, how in rows
            if int(majors.split("-")[0]) <= major <= int(majors.split("-")[-1]) and state in (None, how)}


def exported(path):
    """Symbol names and version nodes of a library's defined functions."""
    out = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", str(path)],
                         check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in out.splitlines()]
    return {tuple(row[2].replace("@@", "@").split("@")) for row in rows if row[1] == "T"}


def dynamic(path, tag):
    out = subprocess.run(["readelf", "-d", str(path)], check=True, capture_output=True,
                         text=True).stdout
    return [line.split("[")[1].rstrip("]") for line in out.splitlines() if f"({tag})" in line]


@pytest.mark.parametrize("major", MAJORS)
def test_exports_are_the_list(major):
    node = library_name(major)
    assert exported(SIMGPU / node) == {(name, node) for name in listed(major)}


@pytest.mark.parametrize("major", MAJORS)
def test_library_identity(major):
    path = SIMGPU / library_name(major)
    assert dynamic(path, "SONAME") == [path.name]
    assert not [needed for needed in dynamic(path, "NEEDED")
                if not needed.startswith(("libc.so", "ld-linux"))]


@pytest.mark.parametrize("major", MAJORS)
def test_real_library_has_no_more(major):
    """Against the symbol table of an installed toolkit's library; it is not loaded."""
    path = toolkit_library(major)
    if path is None:
        pytest.skip(f"no {library_name(major)} found (make check-abi CUDA{major}=1 fetches it)")
    real = {name for name, _ in exported(path)}
    assert len(real) > 380
    assert real - listed(major) == set()


@pytest.mark.parametrize("major", MAJORS)
def test_every_symbol_loads_at_once_and_stubs_say_so(major, tmp_path):
    """RTLD_NOW, as a Python extension is loaded; then every stub is called."""
    library = ctypes.CDLL(str(SIMGPU / library_name(major)), mode=os.RTLD_NOW)
    stubs = listed(major, "stub")
    assert len(stubs) > 50
    for name in stubs:
        assert getattr(library, name)() == NOT_SUPPORTED, name
        assert library.cudaGetLastError() == NOT_SUPPORTED, name
    importer = tmp_path / "importer.c"
    importer.write_text("".join(f"extern int {name}(void);\n" for name in sorted(listed(major)))
                        + "void *const all[] = {\n"
                        + "".join(f"(void *){name},\n" for name in sorted(listed(major))) + "};\n")
    shared = tmp_path / "importer.so"
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-w", "-o", shared, importer,
                    SIMGPU / library_name(major)], check=True)
    ctypes.CDLL(str(shared), mode=os.RTLD_NOW)


def test_static_archive_hides_its_symbols(tmp_path):
    """A library that contains the archive must not offer its runtime to the rest of the process."""
    source = tmp_path / "user.c"
    source.write_text("int cudaGetDeviceCount(int *count);\n"
                      "int user(void) { int n; return cudaGetDeviceCount(&n); }\n")
    shared = tmp_path / "user.so"
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", shared, source,
                    SIMGPU / "libcudart_sim_static.a", "-pthread", "-Wl,-z,defs"],
                   check=True, env=clean_environment())
    assert {name for name, *_ in exported(shared)} == {"user"}

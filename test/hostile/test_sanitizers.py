"""Programs built with a sanitizer run with the guard as without.

A sanitizer's runtime puts itself before hundreds of functions of libc and finds the real ones through
dlsym, which is the guard's, while none of them works yet.
"""

import shutil
import subprocess

import pytest

from conftest import PROGRAMS, ROOT

PROGRAM = ROOT / "test" / "hostile" / "fill.c"
SIMGPU = PROGRAMS.parents[1] / "simgpu"

KINDS = [
    ("gcc", "address"),
    ("gcc", "thread"),
    ("gcc", "undefined"),
    ("clang", "address"),
    ("clang", "thread"),
    ("clang", "memory"),
    ("clang", "undefined"),
]

# Without its own complaints: of leaks in libraries, and that it is not the first library.
OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0"}


@pytest.fixture(scope="module")
def build_with(tmp_path_factory):
    """Build the program with a compiler's sanitizer; skip what the machine does not have."""
    built = {}

    def build(compiler, kind):
        if (compiler, kind) in built:
            return built[compiler, kind]
        if not shutil.which(compiler):
            pytest.skip("there is no " + compiler)
        program = tmp_path_factory.mktemp(compiler + "-" + kind) / "fill"
        command = [compiler, "-fsanitize=" + kind, "-g", "-w", "-D_GNU_SOURCE", "-std=gnu11"]
        command += ["-I%s/src" % ROOT, "-I%s/test/hostile" % ROOT, PROGRAM, "-o", program]
        command += ["-L%s" % SIMGPU, "-lcuda", "-pthread"]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            assert "cannot find" in done.stderr or "unsupported" in done.stderr, done.stderr
            pytest.skip("%s has no %s sanitizer here" % (compiler, kind))
        built[compiler, kind] = program
        return program

    return build


def runtime_of(program):
    """The sanitizer's shared runtime that a program is linked with, "" for a static one."""
    listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True).stdout
    paths = [line.split()[2] for line in listed.splitlines() if "san.so" in line.split()[0]]
    return paths[0] if paths else ""


@pytest.mark.parametrize("switch", ["on", "off"])
@pytest.mark.parametrize("compiler, kind", KINDS)
def test_built_with_a_sanitizer(hostile, build_with, compiler, kind, switch):
    program = build_with(compiler, kind)
    command = [program, 20, 1, "more", "free"]
    runtime, guard = runtime_of(program), str(hostile.preload)
    orders = [guard] + ([runtime + ":" + guard, guard + ":" + runtime] if runtime else [])
    bare = hostile.run(command, **OPTIONS)
    if bare.code != 0:
        pytest.skip("it does not run here without the guard: " + bare.stderr[-200:])
    for order in orders:
        run = hostile.run(command, LD_PRELOAD=order, VRAMGUARD=switch, **OPTIONS)
        assert (run.code, run.stdout) == (0, bare.stdout), (order, run.stderr)
        assert bool(run.guard_lines) == (switch == "on"), run.stderr
    assert len(hostile.records()) == (len(orders) if switch == "on" else 0)


@pytest.mark.parametrize("library", ["libasan.so", "libtsan.so", "libubsan.so"])
@pytest.mark.parametrize("switch", ["on", "off"])
def test_with_a_runtime_preloaded(hostile, library, switch):
    path = subprocess.run(
        ["gcc", "-print-file-name=" + library], stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    if "/" not in path:
        pytest.skip("gcc has no " + library)
    guard = str(hostile.preload)
    for command in (["/bin/true"], hostile.program("fill", 5, 0)):
        bare = hostile.run(command, LD_PRELOAD=path, **OPTIONS)
        for order in (path + ":" + guard, guard + ":" + path):
            run = hostile.run(command, LD_PRELOAD=order, VRAMGUARD=switch, **OPTIONS)
            assert (run.code, run.stdout) == (bare.code, bare.stdout), (order, run.stderr)

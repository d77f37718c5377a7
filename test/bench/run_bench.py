#!/usr/bin/env python3
"""Measures what the guard adds, bare against guarded in turns, and prints the tables.

Usage: run_bench.py BUILD [--quick] [--check]

The driver underneath answers at once, so the difference is the guard's own time. Each figure is the
median of the differences of paired runs, each of which gives the median of its batches of calls. --check fails when a figure is above its limit.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

# Live allocations -> limit in ns a pair, without and with stacks.
NEVER_ABOVE = (150, 400)
NEVER_ABOVE_MILLION = (400, 650)
LIVE = (0, 1_000, 100_000, 1_000_000)
THREADS = (1, 2)
TOGETHER_NEVER_ABOVE = 2  # times what one thread takes, for two of them
START_LIMIT_US = 100
LOOKUP_LIMIT_NS = 20
PYTHON_DEPTHS = (16, 48)
PYTHON_LIMITS_NS = {16: 400}  # full stacks, by depth
TORCH_LIMITS_NS = {16: 350, 48: 600}  # real PyTorch's torch.empty and its free, by Python depth
LOAD_LIMIT = 1.01  # times the bare instructions
REPORT_LIMIT_MS = 3  # of a failing call of PyTorch's, without a census
CENSUS_LIMITS_MS = {True: 150, False: 500}  # from CPython 3.12 on, before
COLD_LIVE = 100_000
# A free touches two, of the index and the record, an allocation one, of the index; where they lie
# across the end of a line, another.
COLD_LIMIT = 3.75
TOGETHER = 300
TOGETHER_LIMIT = 1.2  # times the bare time


class Bench:
    def __init__(self, build, state):
        self.build = os.path.abspath(build)
        self.state = state

    def environment(self, stacks=None):
        environment = dict(os.environ, LD_LIBRARY_PATH=f"{self.build}/bench",
                           XDG_STATE_HOME=self.state, VRAMGUARD_KEEP="2")
        environment.pop("LD_PRELOAD", None)
        if stacks:
            environment.update(LD_PRELOAD=f"{self.build}/libvramguard.so", VRAMGUARD_STACKS=stacks)
        return environment

    def torch_environment(self, guarded, **extra):
        """For real PyTorch on the simulated GPU."""
        preload = [f"{self.build}/libvramguard.so"] if guarded else []
        preload.append(f"{self.build}/simgpu/libcudart.so.13")
        return dict(os.environ, LD_LIBRARY_PATH=f"{self.build}/simgpu", LD_PRELOAD=":".join(preload),
                    XDG_STATE_HOME=self.state, SIMGPU_ID=f"bench-{os.getpid()}", SIMGPU_QUIET="1", **extra)

    def run(self, program, *arguments, stacks=None, wrapper=()):
        command = [*wrapper, f"{self.build}/bench/{program}", *map(str, arguments)]
        return subprocess.run(command, env=self.environment(stacks), check=True, text=True,
                              capture_output=True)

    def numbers(self, program, *arguments, **options):
        return [float(word) for word in self.run(program, *arguments, **options).stdout.split()]

    def added(self, way, live, threads, pairs, repeats):
        """Bare ns, and the medians of what each way of guarding adds."""
        bare, without, with_stacks = [], [], []
        for _ in range(repeats):
            base = self.numbers("alloc_bench", way, live, threads, pairs)[0]
            bare.append(base)
            for stacks, into in (("off", without), ("native", with_stacks)):
                guarded = self.numbers("alloc_bench", way, live, threads, pairs, stacks=stacks)[0]
                into.append(guarded - base)
        return [statistics.median(column) for column in (bare, without, with_stacks)]

    def instructions(self, live, stacks):
        """Instructions of one pair: the difference of a long and a short run."""
        counts = []
        for pairs in (20_000, 60_000):
            with tempfile.NamedTemporaryFile() as out:
                result = self.run("alloc_bench", "device", live, 1, pairs, stacks=stacks,
                                  wrapper=("valgrind", "--tool=callgrind",
                                           f"--callgrind-out-file={out.name}"))
            counts.append(int(re.search(r"Collected : (\d+)", result.stderr).group(1)))
        return (counts[1] - counts[0]) / 50_000  # a quarter more pairs warm up


def allocation_table(bench, quick):
    rows = [("device", live, threads) for live in LIVE for threads in THREADS]
    rows += [(way, 1_000, threads) for way in ("async", "pool", "virtual") for threads in THREADS]
    failures = []
    alone = {}
    print("Added ns per allocation + free (driver: null latency), median of paired runs")
    print(f"{'way':>8} {'live':>9} {'threads':>7} {'bare':>7} {'no stacks':>10} "
          f"{'native stacks':>14}")
    for way, live, threads in rows:
        pairs = 200_000 if quick else 1_000_000
        bare, without, with_stacks = bench.added(way, live, threads, pairs, 3 if quick else 7)
        print(f"{way:>8} {live:>9,} {threads:>7} {bare:>7.1f} {without:>10.1f} "
              f"{with_stacks:>14.1f}", flush=True)
        if threads == 1:
            alone[way, live] = bare + without
        elif bare + without > TOGETHER_NEVER_ABOVE * alone[way, live]:
            failures.append(f"{way}, {live:,} live: {threads} threads take "
                            f"{(bare + without) / alone[way, live]:.1f} times what one takes")
        limits = NEVER_ABOVE_MILLION if live >= 1_000_000 else NEVER_ABOVE
        for figure, limit, what in zip((without, with_stacks), limits,
                                       ("no stacks", "native stacks")):
            if figure > limit:
                failures.append(f"{way}, {live:,} live, {threads} threads, {what}: "
                                f"{figure:.0f} ns > {limit} ns")
    return failures


def instruction_table(bench):
    if not shutil.which("valgrind"):
        print("\nInstructions: skipped, valgrind is not installed")
        return
    print("\nInstructions per allocation + free (callgrind)")
    for live in (0, 1_000):
        bare, without, with_stacks = (bench.instructions(live, stacks)
                                      for stacks in (None, "off", "native"))
        print(f"{live:>9,} live: bare {bare:.0f}, no stacks +{without - bare:.0f}, "
              f"native stacks +{with_stacks - bare:.0f}", flush=True)


def cold_lines(bench, stacks):
    """Cache lines that one pair fetches from memory, with 100,000 live and 1 MiB of cache."""
    misses = []
    for pairs in (20_000, 60_000):
        result = bench.run("alloc_bench", "device", COLD_LIVE, 1, pairs, stacks=stacks,
                           wrapper=("valgrind", "--tool=cachegrind", "--cache-sim=yes",
                                    "--D1=32768,8,64", f"--LL={1 << 20},16,64",
                                    "--cachegrind-out-file=/dev/null"))
        misses.append(int(re.search(r"LLd misses: +([\d,]+)", result.stderr).group(1).replace(",", "")))
    return (misses[1] - misses[0]) / 50_000


def cold_table(bench):
    if not shutil.which("valgrind"):
        print("Cold cache lines: skipped, valgrind is not installed")
        return []
    lines = cold_lines(bench, "off") - cold_lines(bench, None)
    print(f"Cold cache lines per allocation + free, {COLD_LIVE:,} live: +{lines:.1f} "
          f"(cachegrind; limit {COLD_LIMIT})", flush=True)
    return [f"cold cache lines: {lines:.1f} > {COLD_LIMIT}"] if lines > COLD_LIMIT else []


def start_table(bench, quick):
    bare, preloaded = bench.numbers("start_bench", f"{bench.build}/libvramguard.so",
                                    100 if quick else 500)
    print(f"\nStart of /bin/true: bare {bare:.0f} us, guarded +{preloaded - bare:.0f} us "
          f"(median of {100 if quick else 500})")
    if preloaded - bare > START_LIMIT_US:
        return [f"start: +{preloaded - bare:.0f} us > {START_LIMIT_US} us"]
    return []


# Calls the timing library from under argv[2] frames, each of a function and a file of its own.
PYTHON_STACK = """
import ctypes, sys
function = ctypes.CDLL(sys.argv[1]).fastest_pair_ns
function.restype = ctypes.c_double
for i in range(int(sys.argv[2]) - 1):
    names = {"called": function}
    exec(compile("def calls(): return called()", "/some/where/file_%d.py" % i, "exec"), names)
    function = names["calls"]
print(function())
"""


def python_table(bench, quick):
    """The fastest of several runs: what is compared is work, not the machine's other load."""
    failures = []
    print("\nAdded ns per allocation + free under Python (/usr/bin/python3), fastest of several runs")
    print(f"{'frames':>8} {'bare':>7} {'off':>7} {'native':>7} {'python':>7} {'full':>7}")
    for depth in PYTHON_DEPTHS:
        fastest = {}
        for stacks in (None, "off", "native", "python", "full") * (3 if quick else 10):
            result = subprocess.run(["/usr/bin/python3", "-c", PYTHON_STACK,
                                     f"{bench.build}/bench/pairs.so", str(depth)],
                                    env=bench.environment(stacks), check=True, text=True,
                                    capture_output=True)
            fastest[stacks] = min(float(result.stdout), fastest.get(stacks, 1e9))
        bare = fastest.pop(None)
        added = {stacks: figure - bare for stacks, figure in fastest.items()}
        print(f"{depth:>8} {bare:>7.1f} " + " ".join(f"{ns:>7.1f}" for ns in added.values()),
              flush=True)
        limit = PYTHON_LIMITS_NS.get(depth)
        if limit and added["full"] > limit:
            failures.append(f"{depth} Python frames: {added['full']:.0f} ns > {limit} ns")
    return failures


PYTHON_CLIENT = """
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
context, address = ctypes.c_void_p(), ctypes.c_uint64()
assert cuda.cuInit(0) == 0 and cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
assert cuda.cuCtxSetCurrent(context) == 0
assert cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(2 << 20)) == 0
"""


def together(bench, repeats, command):
    """Medians in ms, bare and guarded, of processes that start and allocate at the same time."""
    environment = dict(bench.environment(), LD_LIBRARY_PATH=f"{bench.build}/simgpu",
                       SIMGPU_ID=f"bench-{os.getpid()}", SIMGPU_DEVICES="512GiB",
                       VRAMGUARD_KEEP="200")
    rows = []
    for _ in range(repeats):
        result = subprocess.run([f"{bench.build}/bench/many_bench",
                                 f"{bench.build}/libvramguard.so", str(TOGETHER), *command],
                                env=environment, check=True, text=True, capture_output=True)
        rows.append([float(word) for word in result.stdout.split()])
    os.unlink(f"/dev/shm/simgpu-{environment['SIMGPU_ID']}")
    return [statistics.median(column) for column in zip(*rows)]


def together_table(bench, quick):
    bare, guarded = together(bench, 1 if quick else 5, [])
    print(f"{TOGETHER} empty C programs at once: bare {bare:.0f} ms, guarded {guarded:.0f} ms: "
          f"+{(guarded - bare) / TOGETHER:.1f} ms each")
    bare, guarded = together(bench, 1 if quick else 3, ["/usr/bin/python3", "-c", PYTHON_CLIENT])
    print(f"{TOGETHER} Python programs at once: bare {bare:.0f} ms, guarded {guarded:.0f} ms, "
          f"{guarded / bare:.2f} times")
    if guarded > TOGETHER_LIMIT * bare:
        return [f"many starts: {guarded / bare:.2f} times > {TOGETHER_LIMIT}"]
    return []


def torch_table(bench, quick):
    """Real PyTorch (scripts/install-torch) on the simulated GPU; the fastest of processes in turns."""
    python = f"{bench.build}/torch-venv/bin/python"
    if not os.path.exists(f"{bench.build}/torch-venv/installed"):
        print("\nPyTorch: skipped, scripts/install-torch has not installed it")
        return []
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torch_pair.py")
    ways = {"bare": None, "off": "off", "lines": "lines", "full": "full"}
    failures = []
    print("\nAdded ns per torch.empty + free, by VRAMGUARD_TENSORS, fastest of several processes")
    print(f"{'frames':>8} {'bare':>7} {'off':>7} {'lines':>7} {'full':>7}")
    for depth, limit in TORCH_LIMITS_NS.items():
        fastest = dict.fromkeys(ways, 1e9)
        for _ in range(2 if quick else 6):
            for way, tensors in ways.items():
                environment = bench.torch_environment(tensors, VRAMGUARD_TENSORS=tensors or "full")
                out = subprocess.run([python, program, str(depth), "100" if quick else "300"],
                                     env=environment, check=True, text=True, capture_output=True).stdout
                fastest[way] = min(fastest[way], float(out))
        bare = fastest.pop("bare")
        print(f"{depth:>8} {bare:>7.0f} " + " ".join(f"{ns - bare:>7.0f}" for ns in fastest.values()),
              flush=True)
        if fastest["full"] - bare > limit:
            failures.append(f"torch.empty, {depth} Python frames: {fastest['full'] - bare:.0f} ns > {limit} ns")
    os.unlink(f"/dev/shm/simgpu-bench-{os.getpid()}")
    return failures


def report_table(bench, quick):
    """The first failing call of a process of PyTorch's, which is told in whole; the fastest of processes in turns."""
    python = f"{bench.build}/torch-venv/bin/python"
    if not os.path.exists(f"{bench.build}/torch-venv/installed"):
        return []  # torch_table has said so
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "torch", "programs", "failing.py")
    fastest_ms = {}
    for _ in range(2 if quick else 6):
        for guarded in (False, True):
            environment = bench.torch_environment(guarded, VRAMGUARD_TENSORS="lines")
            out = subprocess.run([python, program, "1"], env=environment, check=True, text=True,
                                 capture_output=True).stdout
            ms = float(re.search(r"first (\d+) us", out)[1]) / 1000
            fastest_ms[guarded] = min(ms, fastest_ms.get(guarded, ms))
    added_ms = fastest_ms[True] - fastest_ms[False]
    print(f"A failing call of PyTorch's with its report, without a census: bare {fastest_ms[False]:.1f} ms, "
          f"guarded +{added_ms:.1f} ms (limit {REPORT_LIMIT_MS})", flush=True)
    os.unlink(f"/dev/shm/simgpu-bench-{os.getpid()}")
    return [f"report: +{added_ms:.1f} ms > {REPORT_LIMIT_MS} ms"] if added_ms > REPORT_LIMIT_MS else []


def counted_load(bench, model, guarded):
    """Instructions of the second load of a model in a process (callgrind, from outside)."""
    programs = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "torch", "programs")
    environment = bench.torch_environment(guarded, HF_HUB_OFFLINE="1", TQDM_DISABLE="1",
                                          TRANSFORMERS_VERBOSITY="error")
    with tempfile.NamedTemporaryFile() as out:
        loader = subprocess.Popen(
            ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no",
             f"--callgrind-out-file={out.name}", f"{bench.build}/torch-venv/bin/python",
             "-W", "ignore", f"{programs}/load_time.py", model],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        for step in ("on", "off"):
            loader.stdin.write("\n")
            loader.stdin.flush()
            loader.stdout.readline()
            subprocess.run(["callgrind_control", "-i", step, str(loader.pid)], check=True,
                           capture_output=True)
        loader.stdin.close()
        loader.wait()
        os.unlink(f"/dev/shm/simgpu-bench-{os.getpid()}")
        text = subprocess.run(["callgrind_annotate", "--auto=no", out.name],
                              check=True, capture_output=True, text=True).stdout
        return int(re.search(r"([\d,]+) .*PROGRAM TOTALS", text)[1].replace(",", ""))


def load_table(bench, quick):
    """By instructions: two bare processes differ by more seconds than the guard takes."""
    model = f"{bench.build}/torch-models/bert-large-uncased"
    missing = next((what for what, there in (
        ("--quick was given", not quick),
        ("valgrind is not installed", shutil.which("callgrind_control")),
        (f"there is no {model} (scripts/test --torch makes it)", os.path.exists(model)),
    ) if not there), None)
    if missing:
        print(f"Loading bert-large: skipped, {missing}")
        return []
    bare, guarded = (counted_load(bench, model, guarded) for guarded in (False, True))
    print(f"Loading bert-large: bare {bare / 1e6:.1f} million instructions, guarded "
          f"{guarded / bare:.4f} times (callgrind)", flush=True)
    return [f"loading bert-large: {guarded / bare:.4f} times"] if guarded > LOAD_LIMIT * bare else []


def lookup_table(bench, quick):
    rows = []
    for _ in range(3 if quick else 9):
        bare = bench.numbers("lookup_bench")
        guarded = bench.numbers("lookup_bench", stacks="off")
        rows.append([g - b for g, b in zip(guarded, bare)])
    other, driver = (statistics.median(column) for column in zip(*rows))
    print(f"dlsym of a name that is not wrapped: +{other:.1f} ns (libc's), "
          f"+{driver:.1f} ns (the driver's)")
    return [f"dlsym: +{figure:.0f} ns > {LOOKUP_LIMIT_NS} ns"
            for figure in (other, driver) if figure > LOOKUP_LIMIT_NS]


def census_table(bench, quick):
    """The census of a failure (oom/census.h) in a program of PyTorch's."""
    python = os.environ.get("TORCH_PYTHON", f"{bench.build}/torch-venv/bin/python")
    if not os.path.exists(python):
        print(f"\nCensus of tensors: not measured, there is no {python} (scripts/install-torch)")
        return []
    here = os.path.dirname(os.path.abspath(__file__))
    programs = os.path.join(here, "..", "torch", "programs")
    command = [python, "-W", "ignore", os.path.join(here, "census_time.py"), programs,
               "3" if quick else "10"]
    environment = dict(os.environ, CENSUS_PROBE=f"{bench.build}/test/torch/census_probe.so")
    result = subprocess.run(command, env=environment, check=True, text=True, capture_output=True)
    took_ms, objects, minor = (float(word) for word in result.stdout.split())
    limit_ms = CENSUS_LIMITS_MS[minor >= 12]
    print(f"\nCensus of tensors: {took_ms:.0f} ms over {objects:,.0f} Python objects with 100,000 "
          f"tensors, CPython 3.{minor:.0f} (limit {limit_ms})")
    return [f"census {took_ms:.0f} ms"] if took_ms > limit_ms else []


def size_table(bench):
    with tempfile.NamedTemporaryFile() as stripped:
        library = f"{bench.build}/libvramguard.so"
        subprocess.run(["strip", "--strip-unneeded", "-o", stripped.name, library], check=True)
        print(f"\nlibvramguard.so: {os.path.getsize(library) / 1e6:.1f} MB with debug information, "
              f"{os.path.getsize(stripped.name) / 1e3:.0f} KB stripped", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--check", action="store_true", help="fail when a limit is exceeded")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as state:
        bench = Bench(arguments.build, state)
        failures = allocation_table(bench, arguments.quick)
        size_table(bench)
        failures += python_table(bench, arguments.quick)
        failures += torch_table(bench, arguments.quick)
        failures += report_table(bench, arguments.quick)
        failures += load_table(bench, arguments.quick)
        failures += start_table(bench, arguments.quick)
        failures += lookup_table(bench, arguments.quick)
        failures += together_table(bench, arguments.quick)
        failures += census_table(bench, arguments.quick)
        instruction_table(bench)
        failures += cold_table(bench)
    for failure in failures:
        print(f"above its limit: {failure}")
    return 1 if failures and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())

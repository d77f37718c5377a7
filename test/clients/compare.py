"""Runs the selected tests of real CUDA clients on a simulated GPU, bare and guarded, and prints a
table. The exit code is 1 when a test ends in another way guarded than bare or fails bare, or when the
guard recorded nothing of a client. BUILD and GUARD are the built tree and the guard."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path

from selection import CLIENTS, HERE, groups

ROOT = HERE.parents[1]
BUILD = (ROOT / os.environ.get("BUILD", "build")).resolve()
GUARD = Path(os.environ.get("GUARD", BUILD / "libvramguard.so")).resolve()
VENVS = BUILD / "clients-venv"
TIMEOUT_S = 180
OUTCOMES = ("passed", "failed", "skipped")


def environment(guarded, state):
    """Like a user's, with two simulated GPUs of this run's own and without a compiler in reach."""
    values = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(state),
        "TMPDIR": str(state),
        "XDG_STATE_HOME": str(state / "state"),
        "LD_LIBRARY_PATH": str(BUILD / "simgpu"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SIMGPU_DEVICES": "8GiB,8GiB",
        "SIMGPU_QUIET": "1",
        "SIMGPU_ID": "clients-" + uuid.uuid4().hex[:12],
    }
    if guarded:
        values["LD_PRELOAD"] = str(GUARD)
    return values


def without_addresses(text):
    return re.sub(r"0x[0-9a-fA-F]+", "ADDRESS", text)


class Run:
    """What one run of a group came to: tests and their (outcome, reason), the exit code, the last
    line of stderr, and how many recorder files the guard wrote."""

    def __init__(self, group, guarded):
        state = Path(tempfile.mkdtemp(prefix="vg-clients-"))
        values = environment(guarded, state)
        try:
            self.code, self.last_line = self.execute(group, values, state)
            self.tests = self.read(state / "outcomes")
            self.recorded = len(list(state.glob("state/vramguard/*")))
        finally:
            shutil.rmtree(state, ignore_errors=True)
            Path("/dev/shm", "simgpu-" + values["SIMGPU_ID"]).unlink(missing_ok=True)

    @staticmethod
    def execute(group, values, state):
        python = VENVS / CLIENTS[group.client][0] / "bin" / "python"
        command = [python, HERE / "outcomes.py", group.framework, state / "outcomes"]
        command += [",".join(group.without), *group.names]
        try:
            done = subprocess.run(
                [str(word) for word in command],
                env=values,
                cwd=state,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            return "no end after %d s" % TIMEOUT_S, ""
        return "exit code %d" % done.returncode, (done.stderr.splitlines() or [""])[-1]

    @staticmethod
    def read(path):
        tests = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            outcome, test, reason = line.split("\t")
            tests[test] = (outcome, without_addresses(reason))
        return tests

    @property
    def counts(self):
        counted = Counter(outcome for outcome, _ in self.tests.values())
        return "/".join(str(counted[outcome]) for outcome in OUTCOMES)


def differences(bare, guarded):
    """One line for each test that ended in another way guarded than bare."""
    if bare.code != guarded.code:
        yield "bare %s, guarded %s  %s" % (bare.code, guarded.code, guarded.last_line)
    for test in sorted(bare.tests.keys() | guarded.tests.keys()):
        one, other = (run.tests.get(test, ("did not run", "")) for run in (bare, guarded))
        if one != other:
            yield "%s: bare %s, guarded %s" % (test, " ".join(one), " ".join(other))


def faults_of(group, bare):
    """One line for each test that fails bare; one for a group in which none ran to its end."""
    if not bare.tests or bare.code != "exit code 0":
        yield "%s bare: %s %s" % (group.title, bare.code, bare.last_line)
    for test, (outcome, reason) in bare.tests.items():
        if outcome == "failed":
            yield "%s fails bare: %s" % (test, reason)


def skipped_clients():
    """Clients that are not installed, and why."""
    reasons = {}
    path = VENVS / "skipped"
    for line in path.read_text().splitlines() if path.exists() else []:
        name, _, reason = line.partition("\t")
        reasons[name] = reason
    absent = [name for name in CLIENTS if not (VENVS / (name + ".installed")).exists()]
    return {name: reasons.get(name, "not installed (scripts/test --clients)") for name in absent}


def packages_of(client):
    return next((VENVS / CLIENTS[client][0]).glob("lib/python*/site-packages"), VENVS)


def version_of(client):
    name = CLIENTS[client][1].replace("-", "_")
    found = next(packages_of(client).glob(name + "-*.dist-info"), None)
    return "%s %s" % (client, found.name.split("-")[1][: -len(".dist")] if found else "?")


ROW = "%-20s %-32s %-7s %-7s %-4s %s"


class Table:
    """Prints a row for each group; collects what did not go well and the totals."""

    def __init__(self):
        self.totals = Counter(dict.fromkeys(OUTCOMES, 0))
        self.faults, self.recorded = [], Counter()

    def head(self):
        print("Tests passed/failed/skipped on a simulated GPU. Recorded: the guard's files.")
        print(ROW % ("client", "its tests", "bare", "guarded", "same", "recorded"))

    def add(self, group, bare, guarded):
        found = list(differences(bare, guarded))
        cells = (version_of(group.client), group.title, bare.counts, guarded.counts)
        print(ROW % (*cells, "NO" if found else "yes", guarded.recorded), flush=True)
        self.recorded[group.client] += guarded.recorded
        found += faults_of(group, bare)
        self.faults += found
        self.totals["failed"] += len(found)
        for test, (outcome, _) in bare.tests.items():
            if outcome != "failed":
                self.totals[outcome] += bare.tests[test] == guarded.tests.get(test)

    def close(self, absent, seconds):
        """Print what is left to say; return the exit code."""
        for client, count in self.recorded.items():
            if count == 0:
                self.faults.append("%s: the guard recorded nothing" % client)
                self.totals["failed"] += 1
        for client in self.recorded:
            if CLIENTS[client][2]:
                print("Left out of %s: tests that %s." % (client, CLIENTS[client][2]))
        for name, reason in absent.items():
            print("SKIPPED [1] %s: %s" % (name, reason))
        for line in self.faults:
            print("FAILED " + line)
        self.totals["skipped"] += len(absent)
        counts = ", ".join("%d %s" % (self.totals[outcome], outcome) for outcome in OUTCOMES)
        print("%s in %.1fs" % (counts, seconds))
        return 1 if self.totals["failed"] else 0


def main():
    start = time.monotonic()
    absent = skipped_clients()
    table = Table()
    if len(absent) < len(CLIENTS):
        table.head()
    for group in groups(packages_of("cuda-python"), VENVS / "pycuda"):
        if group.client not in absent:
            table.add(group, Run(group, False), Run(group, True))
    return table.close(absent, time.monotonic() - start)


if __name__ == "__main__":
    sys.exit(main())

"""Programs that do what a test tells them (actor.c), for scenarios with several of them."""

import json
import os
import select
import subprocess
import time

from conftest import BUILD

ACTOR = BUILD / "test" / "e2e" / "actor"

# Contexts are small, so that what the actors hold is what there is to count.
DEVICE = {"SIMGPU_DEVICES": "1GiB", "SIMGPU_CONTEXT": "2MiB"}

# When a test gives an answer up: it is never looked at how long one took.
PATIENCE_S = 90


class Actor:
    """A running actor. `tell` gives it something to do, `hear` returns its next answer."""

    def __init__(self, machine, gpu=0, guarded=True, command=(), **settings):
        self.machine = machine
        settings = {**DEVICE, **machine.settings, **settings}
        self.process = machine.start(
            [*command, ACTOR], guarded, stdin=subprocess.PIPE, **settings
        )
        self.pid = self.process.pid
        self._text = b""
        if gpu is not None:
            self.tell("context %d" % gpu)
            answer = self.hear()
            assert answer == "context 0", answer

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self, timeout_s=PATIENCE_S):
        """The next answer, None when there is none in that time. "" at its end."""
        descriptor = self.process.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._text:
            left_s = max(0, deadline - time.monotonic())
            if not select.select([descriptor], [], [], left_s)[0]:
                return None
            more = os.read(descriptor, 4096)
            if not more:
                return ""
            self._text += more
        line, self._text = self._text.split(b"\n", 1)
        return line.decode()

    def ask(self, line, timeout_s=PATIENCE_S):
        self.tell(line)
        return self.hear(timeout_s)

    def alloc(self, name, mib, timeout_s=PATIENCE_S):
        """(code, ms) of an allocation made now."""
        return self.allocated(name, self.ask("alloc %s %d" % (name, mib), timeout_s))

    def awaited(self, name, timeout_s=PATIENCE_S):
        """(code, ms) of an allocation that was begun with `tell`."""
        return self.allocated(name, self.hear(timeout_s))

    def allocated(self, name, answer):
        assert answer, "no answer: %r" % answer
        word, which, code, ms = answer.split()
        assert (word, which) == ("alloc", name), answer
        return int(code), int(ms)

    def holding(self, mib, name="held"):
        """This actor, which holds so much."""
        assert self.alloc(name, mib)[0] == 0
        return self

    def free(self, name="held"):
        assert self.ask("free " + name) == "free %s 0" % name

    def begin(self, name, mib):
        """Begin an allocation, and return when it waits in line."""
        before = self.place()
        self.tell("alloc %s %d" % (name, mib))
        deadline = time.monotonic() + PATIENCE_S
        while self.place() == before:
            assert time.monotonic() < deadline, "it does not wait"
            time.sleep(0.01)

    def place(self):
        """How many of its allocations are in line."""
        return sum(waiter["pid"] == self.pid for waiter in waiters(self.machine))

    def signal(self, number):
        os.kill(self.pid, number)

    def end(self, timeout_s=PATIENCE_S):
        """Let it come to its end; return its Result."""
        if self.process.stdin:
            self.process.stdin.close()
            self.process.stdin = None
        return self.machine.finish(self.process, timeout_s)

    def kill(self):
        self.process.kill()
        return self.end()


def waiters(machine):
    """Who of this test's processes waits, in order."""
    listed = machine.vramguard("list", "--waiting", "--json", guarded=False)
    assert listed.code == 0, listed.stderr
    pids = machine.pids()
    return [waiter for waiter in json.loads(listed.stdout) if waiter["pid"] in pids]


def flat(text):
    return " ".join(text.split())

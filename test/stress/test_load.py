"""Fifty processes in random load, killed and stopped at random moments: every survivor comes to its
end, and nothing is left of the others. VG_STRESS_S is how long (default 10 s)."""

import json
import os
import random
import signal
import struct
import sys
import time
from pathlib import Path

from conftest import PROGRAMS, finish_actor, start_actor

PROCESSES = 50
SECONDS = float(os.environ.get("VG_STRESS_S", "10"))
GPUS = 2
WAIT_MS = 400
# A newcomer's turn, then the wait; and a busy machine.
LONGEST_MS = 2 * WAIT_MS + 4000

ENVIRONMENT = {
    "SIMGPU_DEVICES": ",".join(["512MiB"] * GPUS),
    "SIMGPU_CONTEXT": "4MiB",
    "VRAMGUARD_POLICY": "wait=%dms" % WAIT_MS,
    "VRAMGUARD_KEEP": "0",
}

# src/shared: a head, the slots, the queue's head; then the waiters' owner and ticket.
QUEUE_AT, WAITER_BYTES, WAITERS = 64 + 1023 * 64, 128, 255

USED_BY_NVML = """
import ctypes
nvml = ctypes.CDLL("libnvidia-ml.so.1")
class Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]
assert nvml.nvmlInit_v2() == 0
for index in range(%d):
    device, memory = ctypes.c_void_p(), Memory()
    assert nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) == 0
    assert nvml.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) == 0
    print(memory.used)
""" % GPUS


class Worker:
    def __init__(self, machine, chance):
        extra = dict(ENVIRONMENT)
        if chance.random() < 0.15:
            extra.update(VRAMGUARD_NEED="60MiB", VRAMGUARD_NEED_WAIT="700ms")
        extra["VRAMGUARD_PRIORITY"] = str(chance.choice([0, 50, 50, 50, 100]))
        seed, ms, threads = chance.randrange(1 << 30), chance.randrange(500, 4000), chance.choice([1, 1, 2, 4])
        self.guarded = chance.random() < 0.85
        self.process = machine.start(
            [PROGRAMS / "load", str(seed), str(ms), str(threads)], self.guarded, **extra
        )
        self.was_killed = self.was_stopped = False
        self.goes_on_at = None  # stopped until then

    def is_over(self):
        return self.process.poll() is not None

    def stop_for(self, seconds):
        self.was_stopped = True
        self.goes_on_at = time.monotonic() + seconds
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.goes_on_at = None
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.was_killed = True
        self.process.kill()


class Totals:
    def __init__(self):
        self.asked = self.failed = self.waited = self.longest_ms = 0
        self.survivors = self.killed = self.stopped = 0

    def suffice(self):
        return self.killed > SECONDS and self.stopped > SECONDS / 2


def collect(machine, worker, totals):
    result = machine.finish(worker.process)
    totals.stopped += worker.was_stopped
    if worker.was_killed and result.code == -signal.SIGKILL:
        totals.killed += 1
        return
    assert result.code == 0, (result.code, result.stdout, result.stderr)
    asked, failed, waited, longest_ms = map(int, result.stdout.split())
    totals.survivors += 1
    totals.asked += asked
    totals.failed += failed
    totals.waited += waited
    if not worker.was_stopped:
        totals.longest_ms = max(totals.longest_ms, longest_ms)


def disturb(workers, chance):
    worker = chance.choice(workers)
    if worker.is_over() or worker.goes_on_at:
        return
    if chance.random() < 0.6:
        worker.kill()
    else:
        worker.stop_for(chance.random() * 1.5)


def run_load(machine, chance):
    """Keep PROCESSES running for SECONDS, and until enough of them were killed and stopped, however
    slow the machine is; then let all come to their end."""
    totals = Totals()
    workers = []
    end = time.monotonic() + SECONDS
    latest = end + 60
    while time.monotonic() < end or workers:
        now = time.monotonic()
        if end <= now < end + 1 and not totals.suffice() and end < latest:
            end += 1
        for worker in [worker for worker in workers if worker.is_over()]:
            workers.remove(worker)
            collect(machine, worker, totals)
        for worker in workers:
            if worker.goes_on_at and worker.goes_on_at < now:
                worker.go_on()
        if now < end:
            while len(workers) < PROCESSES:
                workers.append(Worker(machine, chance))
            disturb(workers, chance)
        assert now < end + 60, "%d processes do not come to their end" % len(workers)
        time.sleep(chance.random() * 0.04)
    return totals


def read_queue(path):
    """Return (is `waiting` set, the owners of entries that are not free, of those in line)."""
    data = path.read_bytes()
    (waiting,) = struct.unpack_from("<Q", data, QUEUE_AT + 8)
    entries = [
        struct.unpack_from("<QQ", data, QUEUE_AT + 64 + index * WAITER_BYTES)
        for index in range(WAITERS)
    ]
    assert len(data) >= QUEUE_AT + 64 + WAITERS * WAITER_BYTES
    return (
        bool(waiting & 1),
        [owner for owner, _ in entries if owner],
        [owner for owner, ticket in entries if ticket],
    )


def registry_files(since):
    folder = Path("/dev/shm/vramguard-%d" % os.geteuid())
    return [path for path in folder.glob("GPU-*") if path.stat().st_ctime >= since]


def is_alive(owner):
    try:
        stat = Path("/proc/%d/stat" % (owner >> 26 & 0x3FFFFF)).read_text()
    except OSError:
        return False
    return int(stat.rpartition(")")[2].split()[19]) & 0x3FFFFFF == owner & 0x3FFFFFF


def test_fifty_processes_in_random_load(machine):
    seed = int(os.environ.get("VG_STRESS_SEED", random.randrange(1 << 30)))
    print("VG_STRESS_SEED=%d" % seed)
    started = time.time() - 1
    # Somebody stays, so that all see the same two devices to the end.
    keeper = start_actor(machine, "gpu=0", "alloc=1", "free", "await", guarded=False, **ENVIRONMENT)
    totals = run_load(machine, random.Random(seed))
    print(
        "%d survivors, %d killed, %d stopped; %d allocations, %d failed, %d served after a wait, "
        "the longest call %d ms"
        % (
            totals.survivors, totals.killed, totals.stopped, totals.asked, totals.failed,
            totals.waited, totals.longest_ms,
        )
    )
    assert totals.survivors > PROCESSES / 2 and totals.killed > SECONDS
    assert totals.waited > PROCESSES and totals.stopped > SECONDS / 2
    assert totals.longest_ms < LONGEST_MS

    files = registry_files(started)
    assert len(files) >= GPUS
    for path in files:
        _, owners, _ = read_queue(path)
        assert not any(is_alive(owner) for owner in owners)
    # One who frees now and then finds out that nobody waits any more.
    for gpu in range(GPUS):
        sweeper = start_actor(machine, "gpu=%d" % gpu, "trade=200,1,0", **ENVIRONMENT)
        finish_actor(machine, sweeper)
    for path in files:
        assert read_queue(path) == (False, [], [])

    keeper.stdin.write("\n")
    finish_actor(machine, keeper)
    used = machine.run([sys.executable, "-c", USED_BY_NVML], **ENVIRONMENT)
    assert used.stdout.split() == ["0"] * GPUS, used.stderr

    listed = machine.vramguard("list", "--all", "--json")
    assert listed.code == 0, listed.stderr
    runs = json.loads(listed.stdout)
    # Who was killed before the first word, which is written last, has recorded nothing.
    begun = [path for path in machine.records() if path.read_bytes()[:8] == b"VRAMGRD\n"]
    assert len(runs) == len(begun) > totals.survivors / 2

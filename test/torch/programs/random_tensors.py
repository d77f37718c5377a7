"""Makes and drops tensors at random in many ways, and compares at random moments what vramguard has recorded
with what PyTorch says: totals, every live block, and the Python lines that made it. argv: a seed, a number of
steps, and words that turn things on (see WAYS and main). Prints how much was compared; ends with code 1 and a
line for each difference."""

import collections
import os
import random
import subprocess
import sys
import threading

import run_file
import snapshot
import torch

MOST_BYTES = 1 << 30


def plain(chance):
    return torch.empty(chance.choice((1, 100, 5000, 300000, 3000000)), device=device(chance))


def typed(chance):
    kind = chance.choice((torch.float16, torch.float64, torch.int8, torch.bool))
    return torch.empty((chance.randrange(1, 900), 333), dtype=kind, device=device(chance))


def nested(chance, depth=None):
    depth = chance.randrange(1, 90) if depth is None else depth
    return plain(chance) if depth == 0 else nested(chance, depth - 1)


def derived(chance):
    base = plain(chance)
    return (base.clone(), base.view(-1)[:1], torch.empty_like(base))


def generated(chance):
    names = {"plain": plain, "chance": chance}
    line = "\n" * chance.randrange(3) + "made = plain(chance)"
    exec(compile(line, "/made/at/random_%d.py" % chance.randrange(5), "exec"), names)
    return names["made"]


def lazily(chance):
    return [t for t in (plain(chance) for _ in range(chance.randrange(4)))]


class Keeps(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(torch.empty_like(x), x)
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx, g):
        return torch.empty_like(ctx.saved_tensors[0])


def trained(chance):
    weight = torch.empty(chance.randrange(1, 400000), device=device(chance), requires_grad=True)
    out = Keeps.apply(weight) * 2
    if chance.random() < 0.7:
        out.backward(torch.empty_like(out))
    return (weight, out) if chance.random() < 0.3 else weight


def on_a_stream(chance):
    where = device(chance)
    with torch.cuda.stream(torch.cuda.Stream(where)):
        return torch.empty(chance.randrange(1, 900000), device=where)


def in_a_thread(chance):
    made = []
    thread = threading.Thread(target=lambda: made.append(nested(chance, 5)))
    thread.start()
    thread.join()
    return made


WAYS = [plain, typed, nested, derived, generated, lazily, trained, on_a_stream, in_a_thread]


def device(chance):
    return torch.device("cuda", chance.randrange(torch.cuda.device_count()))


class Comparison:
    def __init__(self, with_lines):
        self.with_lines = with_lines
        self.differences = []
        self.moments = self.blocks = self.lines = 0

    def differ(self, *what):
        self.differences.append(" ".join(map(str, what)))

    def totals(self, file):
        for index in range(torch.cuda.device_count()):
            total = file.totals[index]
            said = {
                "allocated": (total.allocated_bytes, torch.cuda.memory_allocated(index)),
                "told": (total.told_allocated_bytes, torch.cuda.memory_allocated(index)),
                "peak": (total.peak_bytes, torch.cuda.max_memory_allocated(index)),
                "lost": (total.lost_count, 0),
            }
            for name, (ours, theirs) in said.items():
                if ours != theirs:
                    self.differ("device", index, name, ours, theirs)
            of_sites = sum(s.live_bytes for s in file.sites if s.device == index)
            at_peak = sum(file.at_peak(s)[0] for s in file.sites if s.device == index)
            if (of_sites, at_peak) != (total.allocated_bytes, total.peak_bytes):
                self.differ("device", index, "sites", of_sites, at_peak)

    def each_block(self, file):
        ours = {b.address: b for b in file.blocks}
        theirs = {address: (index, block) for address, index, block in snapshot.live_blocks()}
        for address in ours.keys() ^ theirs.keys():
            self.differ("block", hex(address), "only in", "ours" if address in ours else "PyTorch's")
        for address in ours.keys() & theirs.keys():
            of_device, block = theirs[address]
            one = ours[address]
            self.blocks += 1
            if (one.bytes, one.device) != (block["size"], of_device):
                self.differ("block", hex(address), one.bytes, one.device, block["size"], of_device)
            if self.with_lines and snapshot.frames(block) is not None:
                self.block_lines(file.python(one.stack_id), snapshot.frames(block))

    def block_lines(self, ours, theirs):
        """PyTorch's frames, of which we keep the innermost 64."""
        want = [(f["filename"], f["line"]) for f in theirs][:64]
        have = [(name, line) for name, _, line in ours]
        self.lines += len(want)
        if want != have:
            self.differ("lines", have[:3], want[:3], len(have), len(want))

    def cut_up(self):
        """What `measure` (measure.c) computes from segments and blocks: against PyTorch's snapshot."""
        asked = 1 << 20
        out = subprocess.run([os.environ["MEASURE"], os.environ["VRAMGUARD_LOG"], str(asked)],
                             check=True, capture_output=True, text=True,
                             env={"PATH": os.environ["PATH"]}).stdout
        ours = {int(row.split()[0]): tuple(map(int, row.split()[1:])) for row in out.splitlines()}
        theirs = {}
        for segment in torch.cuda.memory_snapshot():
            reserved, allocated, holes, empty = theirs.setdefault(segment["device"], (0, 0, [], 0))
            states = [(b["state"], b["size"]) for b in segment["blocks"]]
            used = [size for state, size in states if state == "active_allocated"]
            holes.extend(size for state, size in states if state == "inactive" and used)
            empty += 0 if used else segment["total_size"]
            reserved += segment["total_size"]
            theirs[segment["device"]] = (reserved, allocated + sum(used), holes, empty)
        for device, (reserved, allocated, holes, empty) in theirs.items():
            want = (reserved, allocated, reserved - allocated, max(holes, default=0), empty,
                    sum(h for h in holes if h >= asked), 0)
            have = ours.get(device, (0,) * 7)
            if os.environ.get("PIECES"):  # pieces that hold nothing are no segments of their own there
                want, have = want[:4] + want[5:], have[:4] + have[5:]
            if want != have or reserved != torch.cuda.memory_reserved(device):
                self.differ("device", device, "cut up", have, want)

    def compare(self):
        torch.cuda.synchronize()
        file = run_file.own()
        self.moments += 1
        self.totals(file)
        self.each_block(file)
        if "MEASURE" in os.environ:
            self.cut_up()


def live_bytes():
    return sum(torch.cuda.memory_allocated(i) for i in range(torch.cuda.device_count()))


def play(seed, steps, comparison):
    chance = random.Random(seed)
    kept = collections.deque()
    for _ in range(steps):
        kept.append(chance.choice(WAYS)(chance))
        while kept and (live_bytes() > MOST_BYTES or chance.random() < 0.4):
            kept.popleft() if chance.random() < 0.5 else kept.pop()
        if chance.random() < 0.02:
            torch.cuda.empty_cache()
        if chance.random() < 0.03:
            comparison.compare()
    comparison.compare()


def main():
    words = sys.argv[3:]
    if "history" in words:
        snapshot.record_history(400000)
    comparison = Comparison("history" in words)
    play(int(sys.argv[1]), int(sys.argv[2]), comparison)
    for line in comparison.differences[:20]:
        print(line)
    counts = (comparison.moments, comparison.blocks, comparison.lines, torch.cuda.device_count())
    print("compared %d moments, %d blocks, %d lines on %d devices" % counts)
    sys.exit(bool(comparison.differences))


main()

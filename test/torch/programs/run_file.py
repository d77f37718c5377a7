"""Reads a recorder file from the description of its format alone (src/record/format.h): for programs that
compare what vramguard has recorded of them with what PyTorch says."""

import ctypes
import os

U16, U32, U64 = ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64
HEADER_BYTES = 65536
DEVICES = 32
EXTENTS = 1024
LIVE, JOURNAL, BLOCKS, SITES = 1, 2, 3, 4
STACK, CODE = 3, 5
BLOCK_LEVEL = 2


def structure(name, *fields):
    return type(name, (ctypes.Structure,), {"_fields_": list(fields)})


Device = structure(
    "Device",
    *[(n, U64) for n in ("live_bytes", "peak_bytes", "peak_realtime_ns", "failed_count", "total_bytes")],
    ("uuid", ctypes.c_char * 48),
    ("name", ctypes.c_char * 64),
    ("peak_epoch", U64),
    ("padding", ctypes.c_char * 32),
)
Extent = structure("Extent", ("area", U32), ("reserved", U32), ("offset_bytes", U64), ("size_bytes", U64))
Totals = structure(
    "Totals",
    *[(n, U64) for n in ("allocated_bytes", "peak_bytes", "peak_epoch", "peak_monotonic_ns", "allocations")],
    *[(n, U64) for n in ("frees", "told_allocated_bytes", "told_reserved_bytes", "lost_count", "lost_bytes")],
    ("refused_count", U64),
    ("reserved", U64 * 5),
)
Start = structure(
    "Start",
    ("magic", ctypes.c_char * 8),
    *[(n, U32) for n in ("version", "byte_order", "header_bytes", "slot_bytes", "snapshot_bytes", "pid")],
    ("start_ticks", U64),
    ("uid", U32),
    ("writer_version", U32),
    ("start_realtime_ns", U64),
    ("start_monotonic_ns", U64),
    ("texts", ctypes.c_char * (64 + 64 + 1024 + 40)),
    ("end", U32),
    ("exit_status", U32),
    ("end_realtime_ns", U64),
    ("failure_count", U32),
    ("memory_only", U32),
    ("journal_bytes", U64),
    ("live_slots", U64),
    ("rescue_count", U32),
    ("reserved", U32),
)
Rest = structure(
    "Rest",
    ("spill_peak_bytes", U64),
    ("spill_cap_bytes", U64),
    ("mark_count", U32),
    ("reserved2", U32),
    ("block_slots", U64),
    ("site_slots", U64),
    ("site_overflow_count", U64),
)
Block = structure(
    "Block",
    ("address", U64),
    ("bytes", U64),
    ("monotonic_ns", U64),
    ("stack_id", U32),
    ("thread_id", U32),
    ("device", U16),
    ("reserved", U16),
    ("site", U32),
    ("number", U64),
    ("reserved2", U64 * 2),
)
Site = structure(
    "Site",
    *[(n, U64) for n in ("allocations", "frees", "live_bytes", "allocated_bytes")],
    *[(n, U64) for n in ("peak_epoch", "peak_bytes", "peak_count")],
    ("stack_id", U32),
    ("device", U16),
    ("level", U16),
)


def up(number, to):
    return (number + to - 1) // to * to


DEVICES_AT = up(ctypes.sizeof(Start), 64)
EXTENTS_AT = DEVICES_AT + DEVICES * ctypes.sizeof(Device)
REST_AT = EXTENTS_AT + EXTENTS * ctypes.sizeof(Extent)
TOTALS_AT = up(REST_AT + ctypes.sizeof(Rest), 64)


class RunFile:
    """A recorder file as it is now."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        self.start = Start.from_buffer_copy(data)
        self.rest = Rest.from_buffer_copy(data, REST_AT)
        self.devices = (Device * DEVICES).from_buffer_copy(data, DEVICES_AT)
        self.totals = (Totals * DEVICES).from_buffer_copy(data, TOTALS_AT)
        areas = {}
        for extent in (Extent * EXTENTS).from_buffer_copy(data, EXTENTS_AT):
            content = data[extent.offset_bytes : extent.offset_bytes + extent.size_bytes]
            areas[extent.area] = areas.get(extent.area, b"") + content
        self.blocks = [b for b in self._slots(areas, BLOCKS, Block, self.rest.block_slots) if b.address]
        self.all_sites = [s for s in self._slots(areas, SITES, Site, self.rest.site_slots) if s.level]
        self.sites = [s for s in self.all_sites if s.level == BLOCK_LEVEL]
        self._read_journal(areas[JOURNAL][: self.start.journal_bytes])

    @staticmethod
    def _slots(areas, area, kind, count):
        content = areas.get(area, b"")
        count = min(count, len(content) // 64)
        return (kind * count).from_buffer_copy(content) if count else []

    def _read_journal(self, data):
        self.codes, self.stacks, at = {}, {}, 0
        while at + 16 <= len(data):
            kind, size = (int.from_bytes(data[i : i + 4], "little") for i in (at, at + 4))
            payload = data[at + 16 : at + 16 + size]
            if kind == CODE:
                identifier, first, file_bytes, _ = (U32 * 4).from_buffer_copy(payload)
                texts = payload[16:]
                name = texts[file_bytes:].split(b"\0")[0].decode()
                self.codes[identifier] = (texts[: file_bytes - 1].decode(), name, first)
            elif kind == STACK:
                identifier, depth, _, python_depth = (U32 * 4).from_buffer_copy(payload)
                words = (U32 * (4 * python_depth)).from_buffer_copy(payload, 16 + 8 * depth)
                self.stacks[identifier] = [
                    (*self.codes[words[i]][:2], words[i + 1]) for i in range(0, len(words), 4)
                ]
            if kind == 0:
                break
            at += 16 + up(size, 8)

    def python(self, stack_id):
        """The Python frames of a stack, innermost first: file, function, line."""
        return self.stacks.get(stack_id, [])

    def at_peak(self, site):
        """Bytes and count that a site of blocks held when its device held most."""
        if site.peak_epoch == self.totals[site.device].peak_epoch:
            return site.peak_bytes, site.peak_count
        return site.live_bytes, site.allocations - site.frees


def own():
    """The recorder file of this process, which was started with VRAMGUARD_LOG=<path>."""
    return RunFile(os.environ["VRAMGUARD_LOG"])

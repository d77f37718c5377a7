#!/usr/bin/env python3
"""Take memory of GPU 0 and keep it: the neighbour on a shared GPU.

Prints one line that begins with "holding" when it has what it was asked for, then waits for
SIGTERM, SIGINT or, when standard input is a pipe, a socket or a terminal, for its end. Frees
everything and exits with code 0 then.
"""

import argparse
import os
import select
import signal
import stat
import sys

from cuda_runtime import CudaError, Runtime, format_bytes, parse_bytes

GRANULE_BYTES = 2 << 20  # the driver hands out memory in blocks of this size


def take(runtime, size_bytes, chunk_bytes):
    """Return (address, size) of allocations that add up to the wanted size."""
    held = []
    for offset in range(0, size_bytes, chunk_bytes):
        size = min(chunk_bytes, size_bytes - offset)
        held.append((runtime.malloc(size), size))
    return held


def take_all_but(runtime, leave_bytes, chunk_bytes):
    """Return (address, size) of allocations that leave about leave_bytes free."""
    held = []
    while True:
        free, _ = runtime.memory_info()
        size = min(chunk_bytes, free - leave_bytes) // GRANULE_BYTES * GRANULE_BYTES
        if size <= 0:
            return held
        held.append((runtime.malloc(size), size))


def standard_input_can_end():
    mode = os.fstat(0).st_mode
    return os.isatty(0) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def wait_for_end(wakeup):
    """Return when a signal came or standard input has ended."""
    sources = [wakeup] + ([0] if standard_input_can_end() else [])
    while True:
        ready, _, _ = select.select(sources, [], [])
        if wakeup in ready or not os.read(0, 4096):
            return


def catch_signals():
    """Return a file descriptor that becomes readable when a signal to stop came."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reader


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("size", nargs="?", type=parse_bytes, help="how much: 600MiB, 9.5GiB")
    amount.add_argument("--leave", type=parse_bytes, metavar="SIZE", help="all but this much")
    parser.add_argument(
        "--chunk", type=parse_bytes, default=256 << 20, metavar="SIZE", help="one allocation"
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    wakeup = catch_signals()
    try:
        runtime = Runtime()
        runtime.set_device(0)
        if arguments.size is not None:
            held = take(runtime, arguments.size, arguments.chunk)
        else:
            held = take_all_but(runtime, arguments.leave, arguments.chunk)
    except CudaError as error:
        print("hold_memory: %s" % error, file=sys.stderr)
        return 1
    total = sum(size for _, size in held)
    print("holding %s on GPU 0 (pid %d)" % (format_bytes(total), os.getpid()), flush=True)
    wait_for_end(wakeup)
    for pointer, _ in held:
        runtime.free(pointer)
    return 0


if __name__ == "__main__":
    sys.exit(main())

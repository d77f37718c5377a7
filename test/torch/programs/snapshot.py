"""What PyTorch's allocator tells of itself, in one form for all its versions."""

import torch


def segments():
    """torch.cuda.memory_snapshot() where each block has its address: before 2.1 they lie one behind the other, and that
    is all."""
    found = torch.cuda.memory_snapshot()
    for segment in found:
        address = segment["address"]
        for block in segment["blocks"]:
            block.setdefault("address", address)
            address += block["size"]
    return found


def live_blocks():
    """Address, device and block of each that is given out."""
    for segment in segments():
        for block in segment["blocks"]:
            if block["state"] == "active_allocated":
                yield block["address"], segment["device"], block


def record_history(entries):
    """From here on blocks have the Python frames that made them."""
    record = torch.cuda.memory._record_memory_history
    try:
        record(max_entries=entries, context="all", stacks="python")
    except TypeError:  # before 2.1
        record(True)


def frames(block):
    """The innermost first; None where they are not recorded."""
    if "history" in block:  # before 2.1
        return block["history"][0].get("frames")
    return block.get("frames")

"""Parts of PyTorch that look at, or change, how it allocates. argv[1] names one; what it prints must be the same
bare and guarded, and guarded ("compare" as argv[2]) what vramguard has recorded must agree with PyTorch."""

import collections
import os
import sys

import snapshot
import torch

KEPT = []


def profiler():
    with torch.profiler.profile(profile_memory=True, record_shapes=True) as profile:
        KEPT.extend(torch.empty(1000 * i + 1, device="cuda") for i in range(20))
        KEPT.append(torch.empty(5000))  # on the CPU, which reports through the same function
        del KEPT[:5]
    rows = collections.Counter()
    for event in profile.events():
        on_device = getattr(event, "self_device_memory_usage", None)
        if on_device is None:  # before 2.4
            on_device = event.self_cuda_memory_usage
        rows[(on_device, event.self_cpu_memory_usage)] += 1
    # Older ones give an amount now to the operator, now to nobody: by the time.
    for (on_device, on_cpu), count in sorted(rows.items()):
        if on_device or on_cpu:
            print(on_device, on_cpu, count)


def profiler_out_of_memory():
    with torch.profiler.profile(profile_memory=True) as profile:
        try:
            torch.empty(1 << 50, device="cuda", dtype=torch.int8)
        except torch.cuda.OutOfMemoryError:
            print("out of memory")
    print(sorted({e.name for e in profile.events() if "emory" in e.name}))


def history():
    snapshot.record_history(1000)
    KEPT.extend(torch.empty(3000 * i + 1, device="cuda") for i in range(20))
    del KEPT[3:9]
    told = torch.cuda.memory._snapshot()
    if isinstance(told, dict):
        for trace in told["device_traces"]:
            for event in trace:
                print(event["action"], event["size"], [f["line"] for f in event["frames"][-3:]])
        return
    for segment in told:  # before 2.0: of each block who had it
        for block in segment["blocks"]:
            for entry in block.get("history", ()):
                print(block["state"], entry["real_size"], [f["line"] for f in entry["frames"][-3:]])


def pools():
    if not hasattr(torch.cuda, "MemPool"):
        return pool_without_a_class()
    pool = torch.cuda.MemPool()
    with torch.cuda.use_mem_pool(pool):
        KEPT.extend(torch.empty(1 << 20, device="cuda") for _ in range(5))
    KEPT.append(torch.empty(1 << 20, device="cuda"))
    print(sorted(s["total_size"] for s in pool.snapshot()))
    KEPT.append(pool)


def pool_without_a_class():
    """The same before 2.5."""
    if not hasattr(torch._C, "_cuda_beginAllocateCurrentStreamToPool"):
        sys.exit("this PyTorch has no torch.cuda.MemPool and no _cuda_beginAllocateCurrentStreamToPool")
    torch.cuda.init()
    pool = torch.cuda.graph_pool_handle()
    with torch.cuda.stream(torch.cuda.Stream()):
        torch._C._cuda_beginAllocateCurrentStreamToPool(0, pool)
        KEPT.extend(torch.empty(1 << 20, device="cuda") for _ in range(5))
        torch._C._cuda_endAllocateCurrentStreamToPool(0, pool)
    KEPT.append(torch.empty(1 << 20, device="cuda"))
    of_pool = [s["total_size"] for s in torch.cuda.memory_snapshot() if s["segment_pool_id"] == pool]
    assert of_pool
    print(sorted(of_pool))


def graph():
    static = torch.empty(1 << 20, device="cuda")
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        a = static + 1
        b = a * 2
        del a
    captured.replay()
    KEPT.extend((static, captured, b))
    print(len(torch.cuda.memory_snapshot()), torch.cuda.memory_allocated())


def record_stream():
    side = torch.cuda.Stream()
    x = torch.empty(1 << 22, device="cuda")
    with torch.cuda.stream(side):
        y = x + 1
    x.record_stream(side)
    del x
    KEPT.append(y)
    print(torch.cuda.memory_allocated())


def forked():
    KEPT.append(torch.empty(1 << 20, device="cuda"))
    pid = os.fork()
    if pid == 0:
        KEPT.clear()  # PyTorch takes the block back in the child, which has no CUDA
        os._exit(5)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), torch.cuda.memory_allocated())


def compare():
    """Every live block, and the sums."""
    import run_file

    file = run_file.own()
    theirs = {address: block["size"] for address, _, block in snapshot.live_blocks()}
    assert {b.address: b.bytes for b in file.blocks} == theirs and theirs
    assert file.totals[0].allocated_bytes == torch.cuda.memory_allocated()
    assert file.totals[0].peak_bytes == torch.cuda.max_memory_allocated()
    print("agrees")


globals()[sys.argv[1]]()
if sys.argv[2:] == ["compare"]:
    compare()

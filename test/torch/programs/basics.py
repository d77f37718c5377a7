"""What programs do with PyTorch first. Prints only what is the same on every run, on any GPU: no
number that a kernel computes is looked at, since a simulated GPU computes none."""

import io

import torch

MIB = 1 << 20


def section(name):
    print("--", name)


def memory():
    print(
        "allocated %d KiB, reserved %d MiB, peak %d KiB"
        % (
            torch.cuda.memory_allocated() // 1024,
            torch.cuda.memory_reserved() // MIB,
            torch.cuda.max_memory_allocated() // 1024,
        )
    )


section("device")
print(torch.cuda.is_available(), torch.cuda.current_device(), torch.cuda.device_count() >= 1)
properties = torch.cuda.get_device_properties(0)
free_bytes, total_bytes = torch.cuda.mem_get_info()
print(properties.total_memory == total_bytes, 0 < free_bytes <= total_bytes)
print(torch.empty((3, 5), device="cuda").shape, torch.empty(4, device="cuda:0").device)

section("copies")
for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool):
    data = torch.arange(3 << 20).remainder(251).to(dtype)
    there = data.to("cuda")
    print(dtype, there.device.type, torch.equal(there.cpu(), data))
pinned = torch.arange(1 << 20).pin_memory()
there = pinned.to("cuda", non_blocking=True)
torch.cuda.synchronize()
print("pinned", pinned.is_pinned(), torch.equal(there.cpu(), pinned))
twin = torch.empty_like(there).copy_(there)
print("device to device", torch.equal(twin.cpu(), pinned))
view = there[1000:2000]
print("view", torch.equal(view.cpu(), pinned[1000:2000]))
buffer = io.BytesIO()
torch.save(there, buffer)
buffer.seek(0)
print("saved", torch.equal(torch.load(buffer).cpu(), pinned))
del data, there, twin, view

section("module")
torch.manual_seed(1)
module = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.LayerNorm(512))
weights = {name: value.clone() for name, value in module.state_dict().items()}
module.to("cuda")
print({value.device.type for value in module.state_dict().values()})
print(all(torch.equal(v.cpu(), weights[n]) for n, v in module.state_dict().items()))
del module

section("cache")
torch.cuda.empty_cache()
memory()
held = [torch.empty(size, dtype=torch.uint8, device="cuda") for size in (100, 2 * MIB, 50 * MIB)]
memory()
free_before = torch.cuda.mem_get_info()[0]
held.clear()
memory()
torch.cuda.empty_cache()
memory()
print("given back", (torch.cuda.mem_get_info()[0] - free_before) // MIB >= 50)
statistics = torch.cuda.memory_stats()
print("retries", statistics.get("num_alloc_retries"), "failures", statistics.get("num_ooms"))

section("streams and events")
stream = torch.cuda.Stream()
begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
with torch.cuda.stream(stream):
    begin.record()
    there = pinned.to("cuda", non_blocking=True)
    end.record()
stream.synchronize()
torch.cuda.current_stream().wait_stream(stream)
there.record_stream(torch.cuda.current_stream())
print(end.query(), begin.elapsed_time(end) >= 0, stream.query(), torch.equal(there.cpu(), pinned))

section("errors")
try:
    torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
except torch.cuda.OutOfMemoryError as error:
    print(type(error).__name__, str(error).split(".")[0], isinstance(error, RuntimeError))
try:
    torch.empty(1, device="cuda:99")
except Exception as error:
    print(type(error).__name__, str(error).splitlines()[0])
print("works on", torch.equal(pinned.to("cuda").cpu(), pinned))

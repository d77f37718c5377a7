"""A CUDA graph of copies, which are real on a simulated GPU too, and an allocation that fails while one is
captured: nobody may wait or free then."""

import torch

source = torch.arange(1 << 20).to("cuda")
target = torch.empty_like(source)
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    target.copy_(source)
    inside = torch.empty(1 << 20, device="cuda")
other = torch.arange(1 << 20, 2 << 20)
source.copy_(other)
graph.replay()
torch.cuda.synchronize()
print("replayed", torch.equal(target.cpu(), other))
try:
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        held = [torch.empty(256 << 20, dtype=torch.uint8, device="cuda") for _ in range(64)]
except RuntimeError as error:
    print(type(error).__name__, str(error).split(".")[0])
print("works on", torch.equal(source.cpu(), other))

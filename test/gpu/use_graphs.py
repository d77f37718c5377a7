"""PyTorch's CUDA graphs: captures work that allocates from the graph's pool, replays it, and catches a
deliberate out-of-memory error during another capture, after which the GPU still works."""

import torch

print("torch", torch.__version__)
source = torch.ones(1 << 20, device="cuda")
side = torch.cuda.Stream()
side.wait_stream(torch.cuda.current_stream())
with torch.cuda.stream(side):  # what a first call allocates for good must not fall into the capture
    (source * 2 + 1).sum()
torch.cuda.current_stream().wait_stream(side)

graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    total = (source * 2 + 1).sum()
for value in (1.0, 3.0):
    source.fill_(value)
    graph.replay()
    print("replayed", float(total))

total_bytes = torch.cuda.get_device_properties(0).total_memory
failing = torch.cuda.CUDAGraph()
try:
    with torch.cuda.graph(failing):
        torch.empty(2 * total_bytes, dtype=torch.uint8, device="cuda")
    print("no error")
except torch.cuda.OutOfMemoryError as error:
    print(type(error).__name__)
del failing
graph.replay()
print("works on", float(total))

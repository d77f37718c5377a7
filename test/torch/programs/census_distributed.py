"""A model whose parameters are spread over the ranks of a job of one: census_distributed.py WAY. On the CPU."""

import gc
import json
import sys

import census_probe
import torch
import torch.distributed

try:
    from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh
except ImportError:  # before 2.5
    Shard = None

WIDTH = 32


def dtensor(net, mesh):
    for layer in net:
        for name, parameter in list(layer._parameters.items()):
            layer._parameters[name] = torch.nn.Parameter(distribute_tensor(parameter.detach(), mesh, [Shard(0)]))
    return net


def fsdp(net, mesh):
    from torch.distributed.fsdp import fully_shard

    for layer in net:
        fully_shard(layer, mesh=mesh)
    return fully_shard(net, mesh=mesh) or net


def flat_fsdp(net, mesh):
    try:
        from torch.distributed.fsdp import FullyShardedDataParallel
    except ValueError:  # 1.13 with Python 3.11
        sys.exit("this PyTorch has no torch.distributed.fsdp that this Python can import")

    return FullyShardedDataParallel(net, device_id=torch.device("cpu"))


def ddp(net, mesh):
    return torch.nn.parallel.DistributedDataParallel(net)


def blocks():
    gc.collect()
    kinds = (torch.Tensor, torch.nn.Parameter)
    plain = [thing for thing in gc.get_objects() if type(thing) in kinds and thing.device.type == "cpu"]
    return [block for block in {census_probe.storage_of(tensor) for tensor in plain} if block[0] and block[1]]


def main(way):
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    if way in (dtensor, fsdp) and not Shard:
        sys.exit("this PyTorch has no torch.distributed.tensor.Shard")
    mesh = init_device_mesh("cpu", (1,)) if Shard else None
    net = way(torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH), torch.nn.Linear(WIDTH, WIDTH)), mesh)
    optimizer = torch.optim.Adam(net.parameters(), foreach=False)
    x = torch.ones(4, WIDTH)
    net(distribute_tensor(x, mesh, [Shard(0)]) if way is dtensor else x).sum().backward()
    optimizer.step()
    print(json.dumps(census_probe.take(blocks())), flush=True)
    torch.distributed.destroy_process_group()


main(globals()[sys.argv[1]])

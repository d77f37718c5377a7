"""Random training loops on the GPU: what the census says, beside what PyTorch says of the same tensors.

census_numbers.py SEED: a line of JSON for each moment looked at."""

import json
import random
import sys

import census_probe
import torch


class Scale(torch.nn.Module):
    """Elementwise, so that nothing needs cuBLAS; its output is what backward needs."""

    def __init__(self, width):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(width))
        self.register_buffer("seen", torch.zeros(width))

    def forward(self, x):
        return torch.sigmoid(x * self.weight)


class Net(torch.nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        self.body = torch.nn.Sequential(*(self.block(width) for _ in range(depth)))
        self.head = Scale(width)

    @staticmethod
    def block(width):
        return torch.nn.Sequential(Scale(width), torch.nn.ReLU(), Scale(width))

    def forward(self, x):
        return self.head(self.body(x))


def storages(tensors):
    """The addresses of their storages on the GPU."""
    found = set()
    for tensor in tensors:
        if isinstance(tensor, torch.Tensor) and tensor.is_cuda:
            found.add(census_probe.storage_of(tensor)[0])
    return found


def truth(net, optimizer, others):
    """The bytes and blocks of each kind, by PyTorch's answers; the rest is held by graphs."""
    blocks = dict(census_probe.active_blocks())
    states = [value for state in optimizer.state.values() for value in state.values()]
    sets = {
        "parameter": storages(net.parameters()),
        "gradient": storages(p.grad for p in net.parameters()),
        "optimizer": storages(states),
        "buffer": storages(net.buffers()),
        "other": storages(others),
    }
    named = set().union(*sets.values())
    sets["graph"] = set(blocks) - named
    return {name: [sum(blocks[a] for a in found), len(found)] for name, found in sets.items()}


def say(moment, net, optimizer, others):
    expected = truth(net, optimizer, others)
    print(json.dumps({"moment": moment, "truth": expected, "census": census_probe.take()}), flush=True)


def main(seed):
    random.seed(seed)
    width, depth, batch = random.randint(1, 4000), random.randint(1, 6), random.randint(1, 40)
    net = Net(width, depth).cuda()
    kind = random.choice([torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop])
    optimizer = kind(net.parameters(), lr=0.1, **({"momentum": 0.9} if kind is torch.optim.SGD else {}))
    losses, outputs, loss, out = [], [], None, None
    say("made", net, optimizer, [])
    for step in range(random.randint(3, 8)):
        x = torch.ones(batch, width, device="cuda")
        out = net(x)
        loss = out.sum()
        if random.random() < 0.4:
            losses.append(loss)
        if random.random() < 0.4:
            outputs.append(out.detach())
        if random.random() < 0.5:
            say("forward", net, optimizer, [x, out, loss, *losses, *outputs])
        loss.backward(retain_graph=random.random() < 0.5)
        if random.random() < 0.5:
            say("backward", net, optimizer, [x, out, loss, *losses, *outputs])
        optimizer.step()
        if random.random() < 0.5:
            optimizer.zero_grad(set_to_none=random.random() < 0.5)
        say("step", net, optimizer, [x, out, loss, *losses, *outputs])


main(int(sys.argv[1]))

"""A training loop with a leak: the program of the README's first report, and of scripts/demo."""

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x):
        h = torch.sigmoid(x * self.scale)
        return x + h


class Net(nn.Module):
    def __init__(self, width=1024, depth=8):
        super().__init__()
        self.blocks = nn.Sequential(*[Block(width) for _ in range(depth)])

    def forward(self, x):
        return self.blocks(x).mean()


def main():
    net, history = Net().cuda(), []
    for step in range(10000):
        batch = torch.zeros(4096, 1024, device="cuda")
        net.zero_grad()
        loss = net(batch)
        loss.backward(retain_graph=True)
        history.append(loss)


main()

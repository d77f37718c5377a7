"""Training with a batch that is too large, and programs that look like it: batch_fits.py NAME SIZE.
Kernels need not run; only memory counts. Ends with PyTorch's error, or with "done" once a step has
been made."""

import argparse
import sys

import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler, TensorDataset

ROWS = 1 << 18


class MatMul(torch.autograd.Function):
    """Keeps and makes what a matrix product does, which needs a library that a simulated GPU has not."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a.new_empty(*a.shape[:-1], b.shape[-1])

    @staticmethod
    def backward(ctx, gradient):
        a, b = ctx.saved_tensors
        return torch.empty_like(a), torch.empty_like(b)


class Plain(nn.Module):
    """Elementwise, and one module: nothing says how far its forward pass has come."""

    def __init__(self, width, depth=6):
        super().__init__()
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(width)) for _ in range(depth))

    def forward(self, x):
        for scale in self.scales:
            x = torch.sin(x * scale)
        return x


class Layer(nn.Module):
    """Attention, as a transformer has it."""

    def __init__(self, width, heads=4):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Parameter(torch.zeros(width, width)) for _ in range(4))
        self.up = nn.Parameter(torch.zeros(width, 4 * width))
        self.down = nn.Parameter(torch.zeros(4 * width, width))
        self.norm = nn.LayerNorm(width)

    def attend(self, x):
        shape = *x.shape[:2], self.heads, -1
        q, k, v = (MatMul.apply(x, weight).view(shape).transpose(1, 2) for weight in (self.q, self.k, self.v))
        scores = MatMul.apply(q, k.transpose(2, 3)).softmax(-1)
        return MatMul.apply(MatMul.apply(scores, v).transpose(1, 2).reshape(x.shape), self.out)

    def forward(self, x):
        x = x + self.attend(self.norm(x))
        flat = x.reshape(-1, x.shape[-1])  # all words of all texts
        return x + MatMul.apply(torch.sin(MatMul.apply(flat, self.up)), self.down).view(x.shape)


class Transformer(nn.Module):
    def __init__(self, width=256, layers=8, words=1000, kind=Layer):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.layers = nn.ModuleList(kind(width) for _ in range(layers))

    def forward(self, ids):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return x


class Head(nn.Module):
    def __init__(self, width, part):
        super().__init__()
        self.q, self.k, self.v = (nn.Parameter(torch.zeros(width, part)) for _ in range(3))

    def forward(self, x):
        q, k, v = (MatMul.apply(x, weight) for weight in (self.q, self.k, self.v))
        return MatMul.apply(MatMul.apply(q, k.transpose(1, 2)).softmax(-1), v)


class Heads(nn.Module):
    """Attention by one module for each head, of which there are more than layers."""

    def __init__(self, width):
        super().__init__()
        self.heads = nn.ModuleList(Head(width, width // 16) for _ in range(16))

    def forward(self, x):
        return x + torch.cat([head(x) for head in self.heads], -1)


def step(net, x, loss_of=torch.mean):
    before = torch.cuda.memory_allocated() - x.numel() * x.element_size()
    y = net(x)
    print("forward", torch.cuda.memory_allocated() - before, flush=True)
    loss_of(y).backward()


# ---- they are what it grows with ----


def plain(size):
    batch_size = size
    net = Plain(ROWS).cuda()
    step(net, torch.zeros(batch_size, ROWS, device="cuda"))


def loader(size):
    """The size is the DataLoader's alone."""
    net = Plain(ROWS).cuda()
    for (x,) in DataLoader(TensorDataset(torch.zeros(2 * size, ROWS)), size):
        step(net, x.cuda())


def sampler(size):
    """It is that of the sampler which makes the loader's batches, as in accelerate."""
    net, data = Plain(ROWS).cuda(), TensorDataset(torch.zeros(2 * size, ROWS))
    for (x,) in DataLoader(data, batch_sampler=BatchSampler(SequentialSampler(data), size, False)):
        step(net, x.cuda())


def arguments(size):
    """It is an argument of the program's."""
    options = argparse.Namespace(eval_batch_size=16, train_batch_size=size)
    step(Plain(ROWS).cuda(), torch.zeros(options.train_batch_size, ROWS, device="cuda"))


def mapping(size):
    options = {"batch_size": size}
    step(Plain(ROWS).cuda(), torch.zeros(options["batch_size"], ROWS, device="cuda"))


def layers(size):
    batch = size
    net = Transformer().cuda()
    step(net, torch.zeros(batch, 128, dtype=torch.long, device="cuda"))


def shrinking(size):
    """Each layer has half as many words as the one before: the last ones keep next to nothing."""
    batch = size

    class Half(Layer):
        def forward(self, x):
            return super().forward(x)[:, ::2].contiguous()

    net = nn.Sequential(nn.Embedding(1000, 256), *(Half(256) for _ in range(8))).cuda()
    step(net, torch.zeros(batch, 512, dtype=torch.long, device="cuda"))


def long_texts(size):
    batch = size
    net = Transformer().cuda()
    step(net, torch.zeros(batch, 1024, dtype=torch.long, device="cuda"))


def heads(size):
    batch = size
    net = Transformer(kind=Heads).cuda()
    step(net, torch.zeros(batch, 128, dtype=torch.long, device="cuda"))


def sequential(size):
    """The same in a torch.nn.Sequential, which has the loop."""
    batch = size
    net = nn.Sequential(nn.Embedding(1000, 256), *(Layer(256) for _ in range(8))).cuda()
    step(net, torch.zeros(batch, 128, dtype=torch.long, device="cuda"))


def logits(size):
    """A language model's last step: one tensor is large, and its gradient."""
    batch = size
    net = Plain(1 << 16).cuda()

    def loss_of(x):
        return -(x[:, :, None] * torch.ones(16, device="cuda")).log_softmax(-1).mean()

    step(net, torch.zeros(batch, 1 << 16, device="cuda"), loss_of)


def data_on_gpu(size):
    """What is there besides does not grow with it."""
    batch_size = size
    data = torch.zeros(48, ROWS, device="cuda")
    net = Plain(ROWS).cuda()
    step(net, data[:batch_size])


# ---- they are not, or not alone ----


def contrastive(size):
    """Similarities of all pairs."""
    batch_size = size

    def loss_of(x):
        x = x / x.norm(dim=1, keepdim=True)
        return (MatMul.apply(x, x.t()) / 0.07).log_softmax(1).diagonal().mean()

    step(Plain(256).cuda(), torch.zeros(batch_size, 256, device="cuda"), loss_of)


def pairs(size):
    """The same by indices: no tensor has the batch twice."""
    batch_size = size

    def loss_of(x):
        i, j = torch.triu_indices(len(x), len(x), 1, device="cuda")
        return torch.sin(x[i] - x[j]).square().mean()

    step(Plain(256, 2).cuda(), torch.zeros(batch_size, 256, device="cuda"), loss_of)


def views(size):
    """Two views of each sample, all compared with all."""
    batch_size = size

    def loss_of(x):
        return MatMul.apply(torch.cat([x, x]), torch.cat([x, x]).t()).log_softmax(1).mean()

    step(Plain(256, 2).cuda(), torch.zeros(batch_size, 256, device="cuda"), loss_of)


def triplets(size):
    batch_size = size

    def loss_of(x):
        distances = MatMul.apply(x, x.t())
        return torch.relu(distances[:, :, None] - distances[:, None, :] + 0.2).square().mean()

    step(Plain(256, 2).cuda(), torch.zeros(batch_size, 256, device="cuda"), loss_of)


def stacked(size):
    """Two views of each sample, side by side."""
    batch_size = size
    net = Plain(256, 2).cuda()

    def loss_of(x):
        x = x.flatten(0, 1)
        return MatMul.apply(x, x.t()).log_softmax(1).mean()

    step(net, torch.zeros(batch_size, 2, 256, device="cuda"), loss_of)


def others(size):
    """Each sample with each other one, flat: as many for each as it has numbers, by chance."""
    batch_size = size

    def loss_of(x):
        others = torch.zeros(size * (size - 1), dtype=torch.long, device="cuda")
        kept = torch.sin(x.view(size, size - 1, -1))
        return torch.sin(x[others]).square().mean() + kept.mean()

    width = 2 * (size - 1)
    step(Plain(width, 2).cuda(), torch.zeros(batch_size, width, device="cuda"), loss_of)


class Joined(nn.Module):
    """All texts of a batch as one; what a function calls batch_size is 1 then."""

    def __init__(self):
        super().__init__()
        self.net = Plain(256)

    def forward(self, x):
        batch_size, _, _ = x.shape
        return self.net(x).sum() / batch_size


def joined(size):
    options = argparse.Namespace(train_batch_size=size)
    step(Joined().cuda(), torch.zeros(1, options.train_batch_size * 1024, 256, device="cuda"))


def words_first_of_two(size):
    """Evaluation has batches as large as texts are long."""
    options = argparse.Namespace(train_batch_size=16, eval_batch_size=size)
    net = Plain(ROWS // 16).cuda()
    step(net, torch.zeros(size, options.train_batch_size, ROWS // 16, device="cuda"))


def nameless(size):
    """Nothing says that this is a batch: it may be the words of a text."""
    step(Plain(ROWS).cuda(), torch.zeros(size, ROWS, device="cuda"))


def words_first(size):
    """The first dimension is the words; the batch is the second."""
    batch_size = 16
    net = Plain(ROWS // 16).cuda()
    step(net, torch.zeros(size, batch_size, ROWS // 16, device="cuda"))


def other_loader(size):
    """The only one there is has the size of the validation's batches, and of a table."""
    validation = DataLoader(TensorDataset(torch.zeros(640, 4)), 64)
    weights = torch.ones(64, device="cuda")
    net = Plain(ROWS).cuda()
    step(net, torch.zeros(size, ROWS, device="cuda"), lambda x: x.mean() * weights.mean())
    return validation


def channels(size):
    """There are as many channels as samples."""
    batch_size = size
    step(Plain(ROWS // 64).cuda(), torch.zeros(batch_size, size, ROWS // 64, device="cuda"))


def micro(size):
    """The batch is cut into parts, and the parts' size has no name."""
    batch_size = 4 * size
    net = Plain(ROWS).cuda()
    data = torch.zeros(batch_size, ROWS)
    for part in data.chunk(4):
        step(net, part.cuda())


def one(size):
    """It is 1 already."""
    batch_size = 1
    step(Plain(ROWS * size).cuda(), torch.zeros(batch_size, ROWS * size, device="cuda"))


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]))
    print("done")

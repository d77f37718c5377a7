"""Programs that run out of GPU memory for a known reason, each beside one that looks like it and is
not: causes.py NAME. Kernels need not run; only memory counts. Each ends with PyTorch's error."""

import collections
import contextlib
import copy
import ctypes
import functools
import itertools
import sys
import threading
import time
from concurrent import futures

import torch
from torch import nn

MIB = 1 << 20


class Layer(nn.Module):
    """Keeps its input for the backward pass, as a matrix product would."""

    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x, weight)
            return torch.empty_like(x)

        @staticmethod
        def backward(ctx, gradient):
            x, weight = ctx.saved_tensors
            return torch.empty_like(x), torch.empty_like(weight)

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, width))

    def forward(self, x):
        return self.Scale.apply(x, self.weight)


class Net(nn.Module):
    def __init__(self, layers=4, width=256, keep_hidden=False):
        super().__init__()
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))
        self.keep_hidden = keep_hidden

    def forward(self, x):
        hidden_states = []
        for layer in self.layers:
            x = layer(x)
            if self.keep_hidden:
                hidden_states.append(x)
        return x


def batch(rows, width=256):
    return torch.zeros(rows, width, device="cuda")


def step(net, history):
    loss = net(batch(8192)).mean()
    loss.backward(retain_graph=True)
    history.append(loss)


def kept_graphs():
    """Each step's loss is kept with its graph."""
    net, history = Net().cuda(), []
    while True:
        step(net, history)


def forward():
    """They are, in a function that has the name of a module's own."""
    net, history = Net().cuda(), []
    while True:
        step(net, history)


def kept_without_backward():
    """They are, in an evaluation: no backward pass tells one step from the next."""
    net, history = Net().cuda(), []
    while True:
        history.append(net(batch(8192)).mean())


def hidden_states():
    """Looks alike: a forward pass collects what its layers return, and the batch is too large."""
    net = Net(layers=12, keep_hidden=True).cuda()
    while True:
        for rows in (1024, 2048, 200000):
            net(batch(rows)).mean().backward()


def loss_sum():
    """A sum of losses keeps the graph of every step."""
    net, total_loss = Net().cuda(), 0
    while True:
        total_loss += net(batch(8192)).mean()


def hidden_state():
    """A state is carried from step to step and never cut off."""
    cell, state = Layer(256).cuda(), batch(8192)
    while True:
        state = cell(state)


class Attention(nn.Module):
    """Makes tensors that go again, beside the one that it returns."""

    def __init__(self, keep=False):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(256))
        self.keep = keep

    def forward(self, x):
        out = (x * self.scale) + 1
        if self.keep:
            self.last = out
        return out


class Deep(nn.Module):
    """A net of many layers that collects what each of them returns."""

    def __init__(self, layers=48, keep=False, collect=True):
        super().__init__()
        self.layers = nn.ModuleList(Attention(keep) for _ in range(layers))
        self.collect = collect

    def forward(self, x):
        hidden_states = []
        for layer in self.layers:
            x = layer(x)
            if self.collect:
                hidden_states.append(x)
        return x, hidden_states


def first_pass():
    """Looks like growth: the first forward pass of a net of many layers, which collects what they
    return, without gradients."""
    net = Deep().cuda()
    with torch.no_grad():
        net(batch(40000))


def first_pass_by_forward():
    """The same, called past PyTorch's own call of a module."""
    net = Deep().cuda()
    with torch.no_grad():
        net.forward(batch(40000))


def first_pass_kept():
    """The same, where each layer keeps what it has returned."""
    net = Deep(keep=True, collect=False).cuda()
    with torch.no_grad():
        net(batch(40000))


def first_pass_gathered():
    """The same, where the layers put it into one list of the model's."""
    net = Deep(collect=False).cuda()
    net.gathered = []
    for layer in net.layers:
        layer.register_forward_hook(lambda module, inputs, output: net.gathered.append(output))
    with torch.no_grad():
        net(batch(40000))


def first_pass_by_hand():
    """The same by a plain function that goes through the layers itself: a list of their outputs."""
    net = Deep(collect=False).cuda()

    def run(x):
        outs = []
        for layer in net.layers:
            x = layer(x)
            outs.append(x)
        return outs

    with torch.no_grad():
        run(batch(40000))


def first_pass_of_stages():
    """The same through layers that no list of a model's has all of."""
    net = nn.Sequential(*(nn.Sequential(*(Attention() for _ in range(3))) for _ in range(16))).cuda()
    x, outs = batch(40000), []
    with torch.no_grad():
        for stage in net:
            for layer in stage:
                x = layer(x)
                outs.append(x)


def first_pass_of_plain_layers():
    """The same through layers that are in no model, and the memory ends outside of their calls."""
    layers = [Attention().cuda() for _ in range(48)]
    x, outs = batch(20000), []
    with torch.no_grad():
        for layer in layers:
            x = layer(x)
            outs.append(x.repeat(3, 1))


def outputs_of_loader():
    """Looks like them, and is growth: such a list over many batches of a loader."""
    net, outs = Deep(collect=False).cuda(), []
    rows = torch.utils.data.TensorDataset(torch.zeros(400, 256))
    with torch.no_grad():
        for (x,) in torch.utils.data.DataLoader(rows, batch_size=1):
            outs.append(net(x.cuda().repeat(30000, 1))[0])


def outputs_of_a_layer():
    """It is, of one layer's results over many batches."""
    net, outs = Deep(layers=12).cuda(), []
    with torch.no_grad():
        while True:
            outs.append(net.layers[3](batch(8000)))


def unrolled():
    """Looks like results of earlier steps: one step over a long sequence, by a plain function."""
    cell = Layer(256).cuda()

    def step(length):
        state, losses = batch(8192), []
        for _ in range(length):
            state = cell(state + 1)
            losses.append(state.mean())
        sum(losses).backward()

    step(20)
    step(1000)


def micro_batches():
    """Looks like them, too: the losses of a batch in parts, for one backward pass."""
    net = Net().cuda()
    for parts in (4, 4, 1000):
        losses = [net(batch(8192)).mean() for _ in range(parts)]
        torch.stack(losses).sum().backward()


def features():
    """Looks like them, too: what the layers of a network return, to be compared by one loss."""
    net = Deep().cuda()

    def compare(rows):
        found = [batch(rows)]
        for layer in net.layers:
            found.append(layer(found[-1]))
        sum(each.mean() for each in found).backward()

    compare(4000)
    compare(30000)


def penalties():
    """Looks like them, and backward passes run between its entries: each is of a gradient."""
    net = Net(layers=1).cuda()
    losses = []
    while True:
        x = batch(8192).requires_grad_()
        y = (x * x).sin() * x
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        losses.append((slope * slope).mean())
        net.train()


def shared_weights():
    """Looks alike: one forward pass that uses its weights over and over."""
    net = Net(layers=1).cuda()

    class Loop(nn.Module):
        def forward(self, x):
            while True:
                x = net(x)

    Loop()(batch(8192))


def deque_of_results():
    """Results pile up in what is no list."""
    outputs, net = collections.deque(), Net().cuda()
    with torch.no_grad():
        while True:
            outputs.append({"logits": net(batch(8192))})


def closure():
    """They pile up in a list that only a function sees."""
    def make():
        seen = []
        return lambda x: seen.append(x * 2)

    step = make()
    while True:
        step(batch(8192))


def kept_results():
    """Each step's output is kept on the GPU, without a graph."""
    net, outputs = Net().cuda(), []
    with torch.no_grad():
        while True:
            outputs.append(net(batch(8192)))


def comprehension():
    """The same in a list that has no name yet."""
    net = Net().cuda()
    with torch.no_grad():
        outputs = [net(batch(8192)) for _ in range(100000)]
    return outputs


def cached_calls():
    """The cache of a function keeps its results."""
    @functools.lru_cache(maxsize=None)
    def encode(number):
        return batch(8192) * 2

    for number in range(10000):
        encode(number).mean()


def cycled_batches():
    """itertools.cycle keeps the batches of its first round."""
    batches = itertools.cycle(batch(8192) for _ in range(10000))
    while True:
        next(batches) * 2


class Step:
    """An object that refers to itself: reference counts alone never free it."""

    def __init__(self, x):
        self.output = x * 2
        self.show = self.__repr__


def garbage():
    """Each step's object is dropped, but the collector does not run: few objects are made."""
    while True:
        Step(batch(8192))


def failed_steps():
    """An exception in a variable of the function that it went through."""
    while True:
        failed_step(batch(8192))


def failed_step(x):
    output = x * 2
    try:
        raise ValueError(len(output))
    except ValueError as error:
        last_error = error
    return last_error is None


def steps():
    """Looks alike: such objects, which a list has."""
    kept = []
    while True:
        kept.append(Step(batch(8192)))


def data_on_gpu():
    """Looks alike: the data lies on the GPU since the start, and a large batch does not fit."""
    dataset = [batch(8192) for _ in range(60)]
    net = Net().cuda()
    with torch.no_grad():
        for step in range(400):
            net(dataset[step % 60])
        net(batch(900000))


def cache_beside_model():
    """Looks alike: what the data lies in comes from two lines, and each made less than the model's line."""
    net, cache = Net(layers=10, width=3000).cuda(), []
    for _ in range(16):
        cache.append(torch.zeros(20 * MIB, dtype=torch.uint8, device="cuda"))
        cache.append(torch.ones(19 * MIB, dtype=torch.uint8, device="cuda"))
    return net, batch(400000)


def cache_of_a_part():
    """One line makes all of it, and the variable holds a part."""
    cache, first, second, third = [batch(50000) for _ in range(12)], batch(150000), batch(150000), batch(100000)
    return cache, first, second, third, batch(400000)


def data_and_first_step():
    """Looks alike: it lies there since the start, and the first step of a deep net does not fit."""
    dataset = [batch(8192) for _ in range(60)]
    net = Net(layers=100).cuda()
    net(dataset[0][:7000]).mean().backward()


def data_beside_growth():
    """A line that grows beside data that has nothing to do with it."""
    dataset = [batch(8192) for _ in range(60)]
    kept = None
    while dataset:
        kept = batch(8192) * 2, kept


def leak_beside_model():
    """Each step's output is kept, beside parameters that hold more."""
    net, outputs = Net(layers=20, width=2816).cuda(), []
    small = Net().cuda()
    with torch.no_grad():
        while True:
            outputs.append(small(batch(2048)))
    return net


def weights_one_by_one():
    """Looks alike: a checkpoint on its way to the GPU."""
    weights = {"layer%d" % number: torch.zeros(4 * MIB) for number in range(120)}
    return {name: weight.cuda() for name, weight in weights.items()}


def weights_in_a_loop():
    """The same by a loop that takes its time."""
    weights = {"layer%d" % number: torch.zeros(4 * MIB) for number in range(120)}
    loaded = {}
    for name in weights:
        loaded[name] = weights[name].to("cuda")
        time.sleep(0.06)
    return loaded


def weights_halved():
    """The same, converted on the way: a copy goes with each."""
    weights = {"layer%d" % number: torch.zeros(4 * MIB) for number in range(170)}
    return {name: weight.cuda().half() for name, weight in weights.items()}


def weights_halved_in_a_loop():
    """The same by a loop that takes its time."""
    weights = {"layer%d" % number: torch.zeros(4 * MIB) for number in range(170)}
    loaded = {}
    for name in weights:
        loaded[name] = weights[name].to("cuda").half()
        time.sleep(0.03)
    return loaded


def outputs_of_host_data():
    """Looks like them, and is growth: results of a small model, of data of which the host has as much."""
    data, outs = [torch.zeros(4, 256) for _ in range(400)], []
    layer = Layer(256).cuda()
    with torch.no_grad():
        for x in data:
            outs.append(layer(x.cuda().repeat(5000, 1)))


class Packed(nn.Module):
    """A layer of which other numbers are kept, as a quantiser does."""

    def __init__(self, layer):
        super().__init__()
        weight = layer.weight.data.cuda()
        self.packed = weight.to(torch.int8)
        self.scale = torch.zeros(len(weight), device="cuda")


def packed_layers():
    """A model on its way: its layers are replaced one by one."""
    net = Net(layers=230, width=2500)
    for number in range(len(net.layers)):
        net.layers[number] = Packed(net.layers[number])
        time.sleep(0.03)


def halved_layers():
    """A model on its way: its layers are moved and converted one by one."""
    net = Net(layers=110, width=2500)
    for layer in net.layers:
        layer.cuda().half()
        time.sleep(0.04)


def narrowed_on_gpu():
    """A model that fits is converted on the GPU, where both take memory at the same time."""
    Net(layers=42, width=2560).cuda().bfloat16()


def full_cache():
    """Looks alike: a cache that has filled and stopped; then a large batch does not fit."""
    net, cache = Net().cuda(), {}
    with torch.no_grad():
        for step in range(1000):
            if step % 100 not in cache:
                cache[step % 100] = net(batch(8192))
            net(batch(8192))
        net(batch(580000))


def ring_buffer():
    """Looks alike: the last 16 outputs are kept, as many as ever; then a large batch does not fit."""
    net, ring = Net().cuda(), []
    with torch.no_grad():
        for _ in range(400):
            ring.append(net(batch(8192)))
            del ring[:-16]
        net(batch(1100000))


def traceback():
    """The exception of a failed try keeps the tensors of its frames."""
    def attempt(rows):
        first = batch(rows)
        second = batch(900000)
        return first, second

    try:
        attempt(700000)
    except torch.cuda.OutOfMemoryError as error:
        kept = error
    attempt(700000)
    del kept


def failed_with(rows):
    """The exception of a step that has failed with so many rows."""
    def step(x):
        raise ValueError(len(x))

    try:
        step(batch(rows))
    except ValueError as error:
        return error


def traceback_beside_leak():
    """An exception keeps a quarter, and a list of losses with their graphs more than that."""
    net, history, kept = Net().cuda(), [], failed_with(280000)
    while True:
        step(net, history)
    del kept


def leak_beside_traceback():
    """Looks alike: the exception keeps more than the list does."""
    net, history = Net().cuda(), []
    for _ in range(12):
        history.append(net(batch(8192)).mean())
    kept = failed_with(500000)
    net(batch(200000))
    del kept


def retry_in_except():
    """The exception has no name, but Python keeps it as long as the block runs."""
    def attempt(rows):
        first = batch(rows)
        second = batch(900000)
        return first, second

    try:
        attempt(700000)
    except torch.cuda.OutOfMemoryError:
        attempt(700000)


def retry_in_inner_except():
    """The block is one of a function further out, and another exception was handled meanwhile."""
    def attempt(rows):
        first = batch(rows)
        second = batch(900000)
        return first, second

    def recover():
        try:
            raise KeyError("checkpoint")
        except KeyError:
            pass
        attempt(700000)

    try:
        attempt(700000)
    except torch.cuda.OutOfMemoryError:
        recover()


def train_in_except():
    """The block calls a backward pass, which fails in a thread of PyTorch's."""
    x = batch(200000).requires_grad_()
    loss = (x * x).sum()
    try:
        failed_in(800000)
    except ValueError:
        loss.backward()


def train_functions_in_except():
    """The same with code of the program's in that thread."""
    loss = Layer(256).cuda()(batch(200000)).mean()
    try:
        failed_in(600000)
    except ValueError:
        loss.backward()


def failed_in(rows):
    x = batch(rows)
    raise ValueError(len(x))


def retry_beside_generator():
    """The block is a generator's, which stands in it and has given a value."""
    def attempt(rows):
        first = batch(rows)
        second = batch(900000)
        return first, second

    def answers():
        try:
            yield attempt(700000)
        except torch.cuda.OutOfMemoryError:
            yield None

    for _ in answers():
        attempt(700000)


def failures_of_trials():
    """Exceptions in a dictionary of results keep the tensors of their frames."""
    results = {}
    for trial in range(100):
        results[trial] = failed_with(100000) if trial % 2 else trial
    return results


def exceptions_of_steps():
    """What is being made of exceptions keeps them; it has no name yet."""
    return [str(error) for error in [failed_with(100000) for _ in range(100)]]


def while_a_thread(does):
    """A step that fails while another thread waits in what it does. It gets a function to wait with, and one that fails
    with tensors of half of the GPU."""
    waits, ends = threading.Event(), threading.Event()

    def wait():
        waits.set()
        ends.wait()

    def attempt(rows=700000):
        first = batch(rows)
        second = batch(900000)
        return first, second

    thread = threading.Thread(target=does, args=(wait, attempt), daemon=True)
    thread.start()
    waits.wait()
    try:
        attempt()
    finally:
        ends.set()
        thread.join()


def wait_in_except():
    """Another thread's `except` block keeps the exception, and with it the failed try, as long as it waits."""
    def serve(wait, attempt):
        try:
            attempt()
        except torch.cuda.OutOfMemoryError:
            wait()

    while_a_thread(serve)


def wait_in_inner_except():
    """The block is one of a function further out, and another exception is handled meanwhile."""
    def recover(wait):
        try:
            raise KeyError("checkpoint")
        except KeyError:
            wait()

    def serve(wait, attempt):
        try:
            attempt()
        except torch.cuda.OutOfMemoryError:
            recover(wait)

    while_a_thread(serve)


def wait_in_generator():
    """The block is a generator's, which runs for a function that is in one, too."""
    def answers(wait, attempt):
        try:
            attempt()
        except torch.cuda.OutOfMemoryError:
            wait()
            yield 1

    def serve(wait, attempt):
        try:
            raise KeyError("checkpoint")
        except KeyError:
            for _ in answers(wait, attempt):
                pass

    while_a_thread(serve)


def wait_outside_generator():
    """The block is that of the function that a generator runs for, which had one before."""
    def answers(wait):
        try:
            raise KeyError("checkpoint")
        except KeyError:
            yield 1
            wait()
            yield 2

    def serve(wait, attempt):
        steps = answers(wait)
        next(steps)
        try:
            attempt()
        except torch.cuda.OutOfMemoryError:
            next(steps)

    while_a_thread(serve)


def wait_in_with():
    """There is no `except` block: the exception leaves a `with` statement, which waits."""
    class Pool:
        def __init__(self, wait):
            self.wait = wait

        def __enter__(self):
            pass

        def __exit__(self, *_):
            del _
            self.wait()
            return True

    def serve(wait, attempt):
        with Pool(wait):
            attempt()

    while_a_thread(serve)


def wait_in_pool():
    """The exception leaves the `with` statement of a library's, which has it in a variable and waits."""
    def serve(wait, attempt):
        left = threading.Event()
        with contextlib.suppress(torch.cuda.OutOfMemoryError), futures.ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: left.wait() and wait())
            try:
                attempt()
            finally:
                left.set()

    while_a_thread(serve)


def wait_after_except():
    """Looks alike: the thread has left the block."""
    def serve(wait, attempt):
        try:
            attempt()
        except torch.cuda.OutOfMemoryError:
            pass
        wait()

    while_a_thread(serve)


def wait_in_except_of_little():
    """Looks alike: what a thread handles keeps nothing."""
    def serve(wait, attempt):
        try:
            raise KeyError("checkpoint")
        except KeyError:
            wait()

    while_a_thread(serve)


def fail_in_except():
    """Looks alike: an exception is handled that keeps nothing."""
    try:
        raise KeyError("checkpoint")
    except KeyError:
        handled()


def handled():
    """Looks alike: the failed try left nothing behind."""
    def attempt(rows):
        first = batch(rows)
        second = batch(900000)
        return first, second

    try:
        attempt(700000)
    except torch.cuda.OutOfMemoryError:
        pass
    attempt(700000)


def retained_graph():
    """A step's loss keeps its graph, which backward has not freed, while the next forward pass runs."""
    net = Net(layers=12).cuda()
    for rows in (1000, 1000, 60000, 60000):
        loss = net(batch(rows)).mean()
        loss.backward(retain_graph=True)


def freed_graph():
    """Looks alike: backward has freed it, and a larger batch does not fit."""
    net = Net(layers=12).cuda()
    for rows in (1000, 1000, 60000, 90000):
        loss = net(batch(rows)).mean()
        loss.backward()


def two_parts():
    """Looks alike: one forward pass through two models, and no backward pass has run since."""
    encoder, decoder = Net(layers=6).cuda(), Net(layers=12).cuda()
    for rows in (1000, 1000, 80000):
        hidden = encoder(batch(rows))
        decoder(hidden).mean().backward()


def adversaries():
    """Looks alike: the other model's backward pass has run, and one is to go through the graph."""
    generator, critic = Net(layers=6).cuda(), Net(layers=8).cuda()
    for rows in (1000, 1000, 80000):
        made = generator(batch(rows))
        critic(made.detach()[:1000]).mean().backward()
        critic(made).mean().backward()


class Logits(nn.Module):
    """A score for each of many words, of which a loss is made outside of the model."""

    def __init__(self):
        super().__init__()
        self.layer = Layer(1024)

    def forward(self, x):
        return self.layer(x).repeat(1, 4)


def loss_of_logits():
    """The batch is too large for the loss: a variable has most of it, the model's output."""
    net = Logits().cuda()
    for rows in (1000, 1000, 22000):
        logits = net(batch(rows, 1024))
        loss = logits.log_softmax(-1).mean()
        loss.backward()


def backward_of_logits():
    """The same, in the backward pass."""
    net = Logits().cuda()
    for rows in (1000, 1000, 17000):
        logits = net(batch(rows, 1024))
        loss = logits.log_softmax(-1).mean()
        loss.backward()


def logits_without_graph():
    """Looks alike: nothing is trained, the output alone is large."""
    net = Logits().cuda()
    with torch.no_grad():
        for rows in (1000, 1000, 40000):
            logits = net(batch(rows, 1024))
            logits.log_softmax(-1)


def activations():
    """Small batches fit, a large one does not: nothing leaks."""
    net = Net(layers=12).cuda()
    for rows in (4096, 8192, 8192, 8192, 200000):
        net(batch(rows)).mean().backward()


def optimizer():
    """Weights and gradients fit, Adam's two states do not."""
    net = Net(layers=4, width=5000).cuda()
    adam = torch.optim.Adam(net.parameters(), foreach=False)
    for parameter in net.parameters():
        parameter.grad = torch.empty_like(parameter)
    adam.step()

def optimizer_closure():
    """The forward pass is in a closure and fits; Adam's states do not."""
    net = Net(layers=4, width=5000).cuda()
    adam = torch.optim.Adam(net.parameters())

    def closure():
        loss = net(batch(64, 5000)).mean()
        for parameter in net.parameters():
            parameter.grad = torch.empty_like(parameter)
        return loss.detach()

    adam.step(closure)


def step_closure():
    """Looks alike: the batch is too large, in a closure that Adam's step calls."""
    net = Net(layers=12).cuda()
    adam = torch.optim.Adam(net.parameters())
    for rows in (4096, 8192, 8192, 200000):
        def closure():
            adam.zero_grad()
            loss = net(batch(rows)).mean()
            loss.backward()
            return loss.detach()

        adam.step(closure)


def lbfgs():
    """Looks alike: an optimizer that calls its closure several times a step."""
    net = Net(layers=12).cuda()
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=2)

    def closure():
        optimizer.zero_grad()
        loss = net(batch(200000)).mean()
        loss.backward()
        return loss

    optimizer.step(closure)


def averaged_model():
    """Looks alike: a copy of the model that a file of torch.optim makes."""
    net = Net(layers=30, width=2500).cuda()
    return torch.optim.swa_utils.AveragedModel(net)


def own_optimizer():
    """One of the program's own: its state does not fit."""
    class Momentum(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure=None):
            for parameter in self.param_groups[0]["params"]:
                self.state[parameter]["buffer"] = [torch.zeros_like(parameter) for _ in range(4)]

    net = Net(layers=4, width=5000).cuda()
    optimizer = Momentum(net.parameters(), {})
    for parameter in net.parameters():
        parameter.grad = torch.empty_like(parameter)
    optimizer.step()


def second_step():
    """Looks alike: the states are there, and fit; a later step needs room for more."""
    net = Net(layers=1, width=7000).cuda()
    adam = torch.optim.Adam(net.parameters(), foreach=True)
    for parameter in net.parameters():
        parameter.grad = torch.empty_like(parameter)
    adam.step()
    filler = torch.empty(300 * MIB, dtype=torch.uint8, device="cuda")
    adam.step()
    return filler


def parameters():
    """The model is larger than the GPU."""
    Net(layers=40, width=3000).cuda()


def narrow_parameters():
    """It is, with weights of 2 bytes."""
    Net(layers=80, width=3000).bfloat16().cuda()


def narrow_optimizer():
    """The states of such a model do not fit."""
    net = Net(layers=8, width=5000).bfloat16().cuda()
    adam = torch.optim.Adam(net.parameters(), foreach=False)
    for parameter in net.parameters():
        parameter.grad = torch.empty_like(parameter)
    adam.step()


def narrow_activations():
    """Its batch is too large."""
    net = Net(layers=12).bfloat16().cuda()
    net(batch(400000).bfloat16()).mean().backward()


def autocast():
    """A batch is too large under autocast, with weights of 4 bytes."""
    net = Net(layers=12).cuda()
    net(batch(400000).bfloat16()).mean().backward()


def parameters_beside_data():
    """Looks alike: a model is there, and one tensor of data holds most."""
    net, data = Net(layers=12, width=3000).cuda(), batch(600000)
    return net, data, batch(200000)


def large_weight():
    """One tensor of weights is larger than the GPU."""
    return nn.Embedding(50_000_000, 128, device="cuda")


def wide_weight():
    """The same, and half of it would fit."""
    return nn.Linear(20000, 20000, device="cuda")


def large_input():
    """Looks alike: what a forward pass asks for is larger than the GPU."""
    class Pairs(nn.Module):
        def forward(self, x):
            return torch.empty(len(x), len(x), device=x.device)

    return Pairs()(batch(60000))


def large_tensor():
    """Looks alike: no model has to do with it."""
    return batch(3_000_000)


def model_twice():
    """A second model is made while the first is still there."""
    model = Net(layers=20, width=2500).cuda()
    again = Net(layers=20, width=2500).cuda()
    return model, again, batch(200000)


def model_again():
    """The same, and no variable has the first one: a list has."""
    models = [Net(layers=20, width=2500).cuda() for _ in range(2)]
    return models, batch(200000)


def population():
    """Each round's model is kept on the GPU: many of one class, in a list."""
    net, population = Net(layers=4, width=2000).cuda(), []
    while True:
        net(batch(16, 2000)).mean().backward()
        population.append(copy.deepcopy(net))


def folds():
    """The same with an optimizer each, whose step is where the memory ends."""
    results = []
    while True:
        net = Net(layers=4, width=1500).cuda()
        adam = torch.optim.Adam(net.parameters(), foreach=False)
        net(batch(16, 1500)).mean().backward()
        adam.step()
        adam.zero_grad()
        results.append({"model": net, "optimizer": adam})


def ensemble():
    """Looks alike: a list of models, and a batch that is too large for one of them."""
    nets = [Net(layers=4, width=1000).cuda() for _ in range(6)]
    for rows in (64, 64, 100000):
        for net in nets:
            net(batch(rows, 1000)).mean().backward()


def mixture():
    """Looks alike: a list of models of several classes, each there once."""
    class Critic(Net):
        pass

    nets = [Net(layers=6, width=3000).cuda(), Critic(layers=6, width=3000).cuda(), Student(layers=6, width=3000).cuda()]
    return nets, batch(60000, 3000)


def three_models():
    """Not two models of a class, but three."""
    first, second, third = (Net(layers=13, width=2500).cuda() for _ in range(3))
    return first, second, third, batch(200000)


def evaluate(rows):
    """transformers' Trainer evaluates with batches of so many rows."""
    batch(1)
    try:
        from transformers import Trainer, TrainingArguments
    except ModuleNotFoundError as error:
        sys.exit("this PyTorch has no %s" % error.name)

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Layer(1024)

        def forward(self, features, labels=None):
            logits = self.layer(features).repeat(1, 16)
            return {"loss": logits.mean(), "logits": logits}

    data = [{"features": torch.zeros(1024), "labels": torch.tensor(0)}] * 20000
    arguments = TrainingArguments("unused", per_device_eval_batch_size=rows, report_to=[], disable_tqdm=True)
    Trainer(Classifier(), arguments, eval_dataset=data, compute_metrics=lambda outputs: {}).evaluate()


def trainer_outputs():
    """Their outputs pile up on the GPU, in a variable of the Trainer's."""
    evaluate(128)


def trainer_batch():
    """Looks alike: the first batch of an evaluation is too large."""
    evaluate(20000)


class Distillation:
    def __init__(self):
        self.student = Net(layers=20, width=2500).cuda()
        self.teacher = copy.deepcopy(self.student)

    def step(self, x):
        return self.student(x) - self.teacher(x)


def teacher():
    """Looks alike: two models of a class, and the program needs both."""
    distillation = Distillation()
    distillation.step(batch(100, 2500))
    distillation.step(batch(12000, 2500))


def saved_weights():
    torch.save([torch.zeros(8 * MIB) for _ in range(30)], "weights.pt")
    return Net(layers=30, width=2896).cuda()


def load_onto_gpu():
    """The weights are read onto the GPU, beside the model that they are for."""
    return saved_weights(), torch.load("weights.pt", map_location="cuda")


def load_alone():
    """They are read onto the GPU, and there is nothing else."""
    torch.save([torch.zeros(8 * MIB) for _ in range(60)], "weights.pt")
    return torch.load("weights.pt", map_location="cuda")


def load_larger_than_model():
    """What is read, an optimizer's state with it, is larger than the model that is there."""
    model = Net(layers=4, width=2896).cuda()
    state = {"model": torch.zeros(8 * MIB), "adam": [torch.zeros(8 * MIB) for _ in range(60)]}
    torch.save(state, "weights.pt")
    return model, torch.load("weights.pt", map_location="cuda")


def load_and_move():
    """Looks alike: they are read into host memory; then the model is made once more."""
    return saved_weights(), torch.load("weights.pt", map_location="cpu"), Net(layers=30, width=2896).cuda()


def old_optimizer():
    """A model is gone, but not the optimizer that has its parameters; another model does not fit beside them."""
    net = Net(layers=8, width=2500).cuda()
    adam = torch.optim.Adam(net.parameters(), foreach=False)
    net(batch(16, 2500)).mean().backward()
    adam.step()
    del net
    net = Net(layers=30, width=2500).cuda()
    return net, adam


def new_optimizer():
    """Looks alike: the model of the optimizer is there."""
    net = Net(layers=8, width=2500).cuda()
    adam = torch.optim.Adam(net.parameters(), foreach=False)
    net(batch(16, 2500)).mean().backward()
    adam.step()
    second = Net(layers=30, width=2500).cuda()
    return net, adam, second


def plain_parameters():
    """Looks alike: an optimizer of parameters that are in no model, and a large batch."""
    class Scene:
        def __init__(self):
            self.points = nn.Parameter(torch.zeros(20_000_000, device="cuda"))
            self.colours = nn.Parameter(torch.zeros(20_000_000, device="cuda"))

    scene = Scene()
    adam = torch.optim.Adam([scene.points, scene.colours], foreach=False)
    (scene.points.mean() + scene.colours.mean()).backward()
    adam.step()
    adam.zero_grad()
    return scene, batch(750000)


def resumed():
    """What was read from a checkpoint stays beside the model that it was copied into."""
    net = Net(layers=12, width=2500)
    torch.save({"model": net.state_dict(), "epoch": 3}, "checkpoint.pt")
    net.cuda()
    checkpoint = torch.load("checkpoint.pt", map_location="cuda")
    net.load_state_dict(checkpoint["model"])
    adam = torch.optim.Adam(net.parameters(), foreach=False)
    net(batch(16, 2500)).mean().backward()
    adam.step()
    return checkpoint


def resumed_on_host():
    """Looks alike: the checkpoint is in host memory, and Adam's states do not fit."""
    net = Net(layers=12, width=2500)
    torch.save({"model": net.state_dict(), "epoch": 3}, "checkpoint.pt")
    net.cuda()
    checkpoint = torch.load("checkpoint.pt", map_location="cpu")
    net.load_state_dict(checkpoint["model"])
    adam = torch.optim.Adam(net.parameters(), foreach=False)
    net(batch(16, 2500)).mean().backward()
    adam.step()
    return checkpoint


class Student(Net):
    pass


def second_model():
    """A second model is on its way when the memory ends."""
    teacher, student = Net(layers=20, width=3000).cuda(), Student(layers=40, width=3000)
    student.cuda()
    return teacher


def second_model_begins():
    """It has only begun to come."""
    teacher, student = Net(layers=29, width=3000).cuda(), Student(layers=40, width=3000)
    student.cuda()
    return teacher


def second_model_of_a_class():
    """Looks like two of a class that are there: the second is on its way."""
    teacher, student = Net(layers=25, width=3000).cuda(), Net(layers=25, width=3000)
    student.cuda()
    return teacher


def model_beside_host_copy():
    """Looks alike: the other model stays in host memory."""
    net = Net(layers=40, width=3000)
    copied = copy.deepcopy(net)
    net.cuda()
    return copied


def model_in_parts():
    """Looks alike: a part of the model is in host memory on purpose, and a batch is too large."""
    net = Net(layers=30, width=3000)
    for layer in net.layers[:20]:
        layer.cuda()
    return net, batch(600000)


def two_models():
    """Looks alike: two models of different sizes."""
    model = Net(layers=20, width=2500).cuda()
    other = Net(layers=12, width=2500).cuda()
    return model, other, batch(400000)


def holes():
    """Half of the memory is free, in pieces between others that are too small."""
    kept = [torch.empty(9 * MIB, dtype=torch.uint8, device="cuda") for _ in range(100)]
    del kept[::2]
    torch.empty(200 * MIB, dtype=torch.uint8, device="cuda")


def no_holes():
    """Looks alike: the free pieces are whole segments, which PyTorch gives back by itself."""
    kept = [torch.empty(40 * MIB, dtype=torch.uint8, device="cuda") for _ in range(22)]
    del kept[::2]
    torch.empty(1000 * MIB, dtype=torch.uint8, device="cuda")


def take_beside_torch(mib):
    """What another library does: it asks CUDA itself."""
    pointer = ctypes.c_void_p()
    if ctypes.CDLL(None).cudaMalloc(ctypes.byref(pointer), ctypes.c_size_t(mib * MIB)) != 0:
        raise MemoryError("cudaMalloc")


def cache_in_way():
    """Another library needs what PyTorch has cached."""
    kept = [torch.empty(100 * MIB, dtype=torch.uint8, device="cuda") for _ in range(9)]
    del kept
    take_beside_torch(600)


def cache_in_use():
    """Looks alike: tensors lie in it, and the cache would not suffice."""
    kept = [torch.empty(100 * MIB, dtype=torch.uint8, device="cuda") for _ in range(9)]
    del kept[6:]
    take_beside_torch(600)


def capture(mib, pool=None):
    """A graph of tensors of one size, which are gone when it has been captured."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        tensors = [torch.empty(mib * MIB, dtype=torch.uint8, device="cuda") for _ in range(4)]
        del tensors
    return graph


def graph_pools():
    """Each CUDA graph has a private pool, which keeps what the capture has taken; the memory ends
    within a capture."""
    return [capture(size) for size in range(30, 200, 5)]


def graph_pool_shared():
    """The graphs have one pool, and the largest comes last."""
    first = capture(60)
    graphs = [first] + [capture(size, first.pool()) for size in (60, 30, 90, 120)]
    return graphs, torch.empty(500 * MIB, dtype=torch.uint8, device="cuda")


def graph_beside_tensors():
    """Looks alike: there is a graph, but tensors outside of it hold the memory."""
    graph = capture(30)
    return graph, [batch(50000) for _ in range(40)]


def fraction():
    """PyTorch's own limit; the GPU has enough."""
    torch.cuda.set_per_process_memory_fraction(0.25)
    return [torch.empty(50 * MIB, dtype=torch.uint8, device="cuda") for _ in range(20)]


def leak_under_fraction():
    """The same, and the program keeps all outputs."""
    torch.cuda.set_per_process_memory_fraction(0.5)
    net, outputs = Net().cuda(), []
    with torch.no_grad():
        while True:
            outputs.append(net(batch(8192)))


if __name__ == "__main__":
    globals()[sys.argv[1]]()

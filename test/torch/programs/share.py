"""Hands tensors on the GPU to other processes, as DataLoader workers and trainers do: by CUDA IPC.
The argument is the start method."""

import sys

import torch
import torch.multiprocessing as multiprocessing


def child(tasks, answers):
    tensor = tasks.get()
    answers.put((tensor.device.type, tensor.cpu().sum().item()))
    tensor.copy_(torch.full_like(tensor, 7, device="cpu"))  # the parent sees it
    own = torch.arange(1 << 20).to("cuda")
    answers.put(own)
    tasks.get()  # the parent has looked at it


def main():
    context = multiprocessing.get_context(sys.argv[1])
    tasks, answers = context.Queue(), context.Queue()
    process = context.Process(target=child, args=(tasks, answers))
    process.start()
    shared = torch.arange(1 << 20, dtype=torch.int64).to("cuda")
    tasks.put(shared)
    print("the child got", answers.get(timeout=60))
    theirs = answers.get(timeout=60)
    print("written by the child", set(shared.cpu().tolist()))
    print("the child's own", theirs.device.type, torch.equal(theirs.cpu(), torch.arange(1 << 20)))
    del theirs
    tasks.put(None)
    process.join(60)
    print("exit code of the child", process.exitcode)


if __name__ == "__main__":
    main()

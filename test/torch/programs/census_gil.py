"""Asks for a census from a thread without the GIL while another one keeps it, then when it is free."""

import ctypes
import os
import threading
import time

import census_probe
import torch

x = torch.ones(100)
census_probe.take([census_probe.storage_of(x)])
without_gil = ctypes.CDLL(os.environ["CENSUS_PROBE"])
holding_gil = ctypes.PyDLL(None)
answers = []


def request(delay_ms):
    out = ctypes.create_string_buffer(1 << 20)
    answers.append(
        without_gil.census_request(ctypes.c_uint(delay_ms * 1000), out, ctypes.c_size_t(len(out)))
    )


# The thread is in C when the GIL is taken for good, as by an extension that never gives it up.
thread = threading.Thread(target=request, args=(1000,))
thread.start()
time.sleep(0.2)
holding_gil.usleep(4000000)
thread.join()
request(0)
until = time.monotonic() + 10
while answers[-1] == -16 and time.monotonic() < until:  # EBUSY: the late thread still has to notice
    request(50)
print(answers[0], answers[-1])

"""Loads a model onto the GPU at each line that comes in, and answers how long it took: ms, and ms of
processor time, which other programs disturb less. So two of these can take turns."""

import gc
import sys
import time

import torch
from transformers import AutoModelForSequenceClassification

torch.set_num_threads(1)
for _ in sys.stdin:
    begin, begin_processor = time.perf_counter(), time.process_time()
    model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1]).to("cuda")
    torch.cuda.synchronize()
    took, took_processor = time.perf_counter() - begin, time.process_time() - begin_processor
    print("%.3f %.3f" % (took * 1e3, took_processor * 1e3), flush=True)
    del model
    gc.collect()
    torch.cuda.empty_cache()

#!/usr/bin/env python3
"""Makes a BERT classifier with random weights where it is not there yet: a folder as `save_pretrained`
writes it, so that `from_pretrained(folder)` is the real loading code. Nothing is asked of a hub."""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, BertConfig

# config.json of the published models, less what is the default.
CONFIGS = {
    "bert-large-uncased": dict(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
    ),
    "bert-tiny": dict(
        hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512
    ),
}


def main():
    name, folder = sys.argv[1], Path(sys.argv[2])
    if (folder / "complete").exists():
        return
    torch.manual_seed(20)
    config = BertConfig(vocab_size=30522, num_labels=2, **CONFIGS[name])
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    (folder / "complete").touch()


main()

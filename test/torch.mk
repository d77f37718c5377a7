# Real PyTorch, transformers and accelerate (scripts/install-torch), bare and guarded. Takes minutes, so
# it is no part of `make check`: scripts/test --torch runs it.

.PHONY: check-torch
check-torch: all simgpu-driver
	@BUILD=$(BUILD) test/torch/run

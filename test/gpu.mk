# What scripts/gpu-check runs on a real GPU.

.PHONY: gpu-programs
gpu-programs: all behaviour build-transparency

# gpu-check itself, on the simulated GPU.
.PHONY: build-gpu check-gpu-check
build-gpu: gpu-programs
check-gpu-check: build-gpu
	@BUILD=$(BUILD) CC="$(CC)" test/gpu/run

check: check-gpu-check

# nvitop, gpustat and nvtop on the simulated NVML (scripts/install-clients). Says so where they are not
# installed.

.PHONY: build-monitors check-monitors
build-monitors: all simgpu-driver
check-monitors: build-monitors
	@BUILD=$(BUILD) test/monitors/run

build-tests: build-monitors
check: check-monitors

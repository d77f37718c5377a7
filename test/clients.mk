# Real clients (scripts/install-clients), bare and guarded. Says so where they are not installed.

.PHONY: check-clients
check-clients: all simgpu-driver
	@BUILD=$(BUILD) test/clients/run

check: check-clients

# The end-to-end tests: scripts and programs from outside, bare and guarded.

.PHONY: check-e2e
check-e2e: all
	@BUILD=$(BUILD) test/e2e/run

check: check-e2e

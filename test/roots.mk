# The release files in clean roots of other distributions, and the tests for aarch64 under emulation. Needs
# root, a network and an hour, so it is no part of `make check`: scripts/test --roots runs it.

.PHONY: check-roots
check-roots:
	@BUILD=$(BUILD) test/roots/run

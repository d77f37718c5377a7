# The tree is clean with gcc and with clang: builds all of it with the other compiler, warnings being
# errors.

OTHER_CC := $(if $(findstring clang,$(CC)),gcc,clang)

.PHONY: check-compilers
check-compilers:
	@if command -v $(OTHER_CC) >/dev/null 2>&1; then \
	  $(MAKE) -s CC=$(OTHER_CC) BUILD=$(BUILD)/$(OTHER_CC) all && \
	  echo "check-compilers: $(OTHER_CC) builds it without a warning"; \
	else \
	  echo "check-compilers: skipped, $(OTHER_CC) is not installed"; \
	fi

check: check-compilers

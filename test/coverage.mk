# `make coverage`: which lines of src/ the unit and the end-to-end tests reach. Built beside the ordinary
# tree, in $(BUILD)/coverage. COVERAGE_SUITES: which tests.

COVERAGE_OUT    := $(BUILD)/coverage
COVERAGE_SUITES ?= check-unit check-e2e check-frameworks check-hostile

.PHONY: coverage
coverage:
	@command -v gcovr >/dev/null || { echo "coverage: gcovr is missing: scripts/install-deps lint" >&2; exit 1; }
	@find $(COVERAGE_OUT) -name '*.gcda' -delete 2>/dev/null || :
	-$(MAKE) BUILD=$(COVERAGE_OUT) CC=gcc CFLAGS="-O1 -g -w --coverage -fprofile-update=atomic" LDFLAGS=--coverage \
	  -k $(COVERAGE_SUITES)
	gcovr --root . --filter 'src/' --exclude 'src/simgpu/' --sort-uncovered \
	  --gcov-ignore-parse-errors --object-directory $(COVERAGE_OUT) $(COVERAGE_OUT)

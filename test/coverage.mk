# `make coverage`: which lines of src/ the unit and the end-to-end tests reach. Built beside the ordinary
# tree, in $(BUILD)/coverage. COVERAGE_SUITES: which tests. A process that is killed, or ends with
# _exit, leaves no count.

COVERAGE_OUT    := $(BUILD)/coverage
COVERAGE_SUITES ?= check-unit check-e2e check-frameworks check-hostile check-transparency

.PHONY: coverage
coverage:
	@find $(COVERAGE_OUT) -name '*.gcda' -delete 2>/dev/null || :
	-$(MAKE) -k BUILD=$(COVERAGE_OUT) CC=gcc CFLAGS="-O1 -g -w --coverage -fprofile-update=atomic" \
	  LDFLAGS=--coverage $(COVERAGE_SUITES)
	@test/coverage $(COVERAGE_OUT)

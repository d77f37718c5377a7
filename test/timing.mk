# How long things take, one test at a time: what a busy machine breaks. `make check` runs the same tests
# side by side and looks at everything but the time; scripts/test --long runs this on a machine that has
# nothing else to do. A test belongs here when it asks test/unit/timing.h or at_most (test/e2e/conftest.py).

TIMING_UNIT := $(patsubst test/unit/%.c,$(BUILD)/test/unit/%,$(shell grep -l '"timing.h"' test/unit/*.c))
TIMING_SUITES := e2e frameworks hostile monitors
timing_files = $(notdir $(shell grep -lE 'at_most|make check-timing' test/$1/test_*.py))

.PHONY: check-timing check-timing-torch
check-timing: $(TIMING_UNIT) $(TIMING_SUITES:%=build-%)
	@VG_TEST_TIMING=1 VG_TEST_JOBS=1 test/each $(TIMING_UNIT)
	@$(foreach suite,$(TIMING_SUITES),VG_TEST_TIMING=1 VG_TEST_JOBS=1 BUILD=$(BUILD) \
	  test/$(suite)/run $(call timing_files,$(suite)) &&) :

# Prints what PyTorch costs more than bare, too.
check-timing-torch: build-torch
	@VG_TEST_TIMING=1 VG_TEST_JOBS=1 BUILD=$(BUILD) test/torch/run $(call timing_files,torch)

# What every program's start costs more.
.PHONY: check-start
check-start: $(BUILD)/libvramguard.so $(BUILD)/bench/start_bench
	@$(BUILD)/bench/start_bench $(BUILD)/libvramguard.so 500 | awk '{ more = $$2 - $$1; \
	  printf "Start of /bin/true: bare %.0f us, guarded +%.0f us (at most 100)\n", $$1, more; \
	  if (more > 100) { print "FAILED check-start"; exit 1 } }'

check-long: check-timing check-start

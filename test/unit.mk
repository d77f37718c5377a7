# Unit tests: each test/unit/test_*.c is a cmocka program over the shared layers; those of the guard
# (test_guard*.c) also get src/guard, with a driver of their own in vg_driver.

UNIT_TESTS  := $(patsubst test/unit/%.c,$(BUILD)/test/unit/%,$(wildcard test/unit/test_*.c))
UNIT_FILTER := $(BUILD)/obj/test/unit/filter.o
UNIT_LINK    = $(UNIT_FILTER) -lcmocka $(LIBC_LIBS)

$(UNIT_FILTER): test/unit/filter.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/test/unit/%: test/unit/%.c $(UNIT_FILTER) $(BUILD)/libvramguard_core.a $(call object,$(wildcard src/guard/*.c))
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itest $< $(if $(findstring test_guard,$@),$(call object,$(wildcard \
	  src/guard/*.c))) $(BUILD)/libvramguard_core.a $(UNIT_LINK) -o $@

.PHONY: build-unit check-unit
build-unit: $(UNIT_TESTS)
check-unit: build-unit
	@test/each $(UNIT_TESTS)

# Who may include whom; what the library exports and needs.
.PHONY: check-layers
check-layers:
	@scripts/check-layers

# All that `make check` runs, compiled; each part adds its own.
.PHONY: build-tests
build-tests: build-unit build-sanitize build-e2e build-frameworks build-hostile build-transparency \
             build-runtime build-gpu behaviour

.PHONY: check
check: check-layers check-unit

.PHONY: check-readme
check-readme: all
	@scripts/update-readme --check

check: check-readme

# The habits: how files are laid out, and what clang-tidy finds.
.PHONY: check-format check-tidy
check-format:
	@scripts/check-format
check-tidy:
	@scripts/check-tidy

check: check-format check-tidy

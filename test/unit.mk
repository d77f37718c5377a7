# Unit tests: each test/unit/test_*.c is a cmocka program over the shared layers; those of the guard
# (test_guard*.c) also get src/guard, with a driver of their own in vg_driver.

UNIT_TESTS := $(patsubst test/unit/%.c,$(BUILD)/test/unit/%,$(wildcard test/unit/test_*.c))
UNIT_LINK   = -lcmocka -ldw -lelf -pthread

$(BUILD)/test/unit/%: test/unit/%.c $(BUILD)/libvramguard_core.a $(call object,$(wildcard src/guard/*.c))
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itest $< $(if $(findstring test_guard,$@),$(call object,$(wildcard \
	  src/guard/*.c))) $(BUILD)/libvramguard_core.a $(UNIT_LINK) -o $@

.PHONY: check-unit
check-unit: $(UNIT_TESTS)
	@for test in $^; do echo "== $$test"; $$test || exit 1; done

# Who may include whom; what the library exports and needs.
.PHONY: check-layers
check-layers:
	@scripts/check-layers

.PHONY: check
check: check-layers check-unit

.PHONY: check-readme
check-readme: all
	@scripts/update-readme --check

check: check-readme

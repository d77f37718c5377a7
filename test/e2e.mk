# The end-to-end tests: scripts and programs from outside, bare and guarded.

$(BUILD)/test/e2e/%: test/e2e/%.c $(BUILD)/libvramguard_core.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $< $(BUILD)/libvramguard_core.a -o $@

.PHONY: check-e2e
check-e2e: all $(BUILD)/test/e2e/show_stacks
	@BUILD=$(BUILD) test/e2e/run

check: check-e2e

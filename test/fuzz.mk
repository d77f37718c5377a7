# `make fuzz`: each target for FUZZ_SECONDS under libFuzzer, with addresses and undefined behaviour
# checked (clang). What it finds stays in $(FUZZ_OUT)/found; inputs worth keeping go into
# test/fuzz/corpus, which `make check-fuzz` replays with any compiler.

FUZZ_OUT     := $(BUILD)/fuzz
FUZZ_TARGETS := $(patsubst test/fuzz/%.c,%,$(wildcard test/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 60
FUZZ_CLANG   := $(firstword $(foreach name,clang clang-14,$(shell command -v $(name) 2>/dev/null)))
FUZZ_FLAGS   := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -w \
                -fno-sanitize-recover=all
FUZZ_SOURCES := $(CORE_SOURCES) $(filter-out src/cli/main.c,$(CLI_SOURCES))
FUZZ_OBJECTS := $(FUZZ_SOURCES:src/%.c=$(FUZZ_OUT)/obj/%.o)
FUZZ_LINK    := -ldw -lelf -ljansson $(LIBC_LIBS)

$(FUZZ_OUT)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(FUZZ_CLANG) -std=c11 -D_GNU_SOURCE -Isrc -Iinclude -MMD -MP $(FUZZ_FLAGS) -c $< -o $@

$(FUZZ_OUT)/code.a: $(FUZZ_OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $^

$(FUZZ_OUT)/fuzz_%: test/fuzz/fuzz_%.c test/fuzz/fuzz.h $(FUZZ_OUT)/code.a
	$(FUZZ_CLANG) -std=c11 -D_GNU_SOURCE -Isrc -Iinclude $(FUZZ_FLAGS) -fsanitize=fuzzer $< \
	  $(FUZZ_OUT)/code.a $(FUZZ_LINK) -o $@

# The same with the ordinary compiler, for the inputs that are kept.
REPLAY_CODE := $(BUILD)/sanitize/address
REPLAY_CLI  := $(patsubst src/%.c,$(REPLAY_CODE)/obj/%.o,$(filter-out src/cli/main.c,$(CLI_SOURCES)))
$(FUZZ_OUT)/replay_%: test/fuzz/fuzz_%.c test/fuzz/replay.c test/fuzz/fuzz.h $(REPLAY_CLI) \
                      $(REPLAY_CODE)/core.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(SANITIZE_FLAGS) $(SANITIZE_FLAGS_address) $(filter %.c,$^) $(REPLAY_CLI) \
	  $(REPLAY_CODE)/core.a $(FUZZ_LINK) -o $@
.SECONDARY: $(REPLAY_CLI) $(FUZZ_OBJECTS)

$(FUZZ_OUT)/bases/made: test/fuzz/make-bases $(BUILD)/libvramguard.so $(BUILD)/test/hostile/fill \
                        $(BUILD)/test/hostile/threads
	@mkdir -p $(@D)
	@rm -f $(@D)/*
	@test/alone test/fuzz/make-bases $(BUILD) $(@D)
	@touch $@

.PHONY: build-fuzz check-fuzz fuzz check-long-fuzz
build-fuzz: $(FUZZ_TARGETS:fuzz_%=$(FUZZ_OUT)/replay_%) $(FUZZ_OUT)/bases/made
check-fuzz: build-fuzz
	@FUZZ_BASES=$(FUZZ_OUT)/bases test/fuzz/replay $(FUZZ_OUT) $(FUZZ_TARGETS:fuzz_%=%)

fuzz: $(if $(FUZZ_CLANG),$(FUZZ_TARGETS:%=$(FUZZ_OUT)/%) $(FUZZ_OUT)/bases/made)
	@FUZZ_BASES=$(FUZZ_OUT)/bases FUZZ_CLANG=$(FUZZ_CLANG) test/fuzz/run $(FUZZ_OUT) $(FUZZ_SECONDS) \
	  $(FUZZ_TARGETS)

check-long-fuzz:
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=600

build-tests: build-fuzz
check: check-fuzz
check-long: check-long-fuzz

# The unit tests of the core once more, under gcc's sanitizers: addresses and undefined behaviour for
# all, data races for those that use threads.

SANITIZE_OUT     := $(BUILD)/sanitize
SANITIZE_ADDRESS := advice advice_torch checkpoint elf_address elf_symbol elf_symtab guard guard_concurrency guard_limit \
                    guard_python_code guard_spill guard_spill_free inject shared_quota limit lock mark native_names \
                    option policy process recorder recorder_disk registry run_file signal_block size spilled text \
                    live_index trim
SANITIZE_THREAD  := guard guard_concurrency guard_limit guard_spill guard_spill_free shared_quota lock recorder \
                    recorder_disk registry run_file spilled live_index trim
# Warnings are the ordinary build's; under sanitizers gcc guesses some that are none.
SANITIZE_FLAGS := -O1 -fno-omit-frame-pointer -w
SANITIZE_FLAGS_address := -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZE_FLAGS_thread  := -fsanitize=thread

# Waiting in line.
SANITIZE_ADDRESS += wait_graph queue_wait queue
SANITIZE_THREAD  += queue_wait queue

sanitize_programs = $(patsubst %,$(SANITIZE_OUT)/$1/test_%,$2)
sanitize_objects  = $(patsubst src/%.c,$(SANITIZE_OUT)/$1/obj/%.o,$2)

define sanitize_rules
$(SANITIZE_OUT)/$1/obj/%.o: src/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) $$(SANITIZE_FLAGS) $$(SANITIZE_FLAGS_$1) -c $$< -o $$@

$(SANITIZE_OUT)/$1/core.a: $(call sanitize_objects,$1,$(CORE_SOURCES))
	@rm -f $$@
	$$(AR) rcs $$@ $$^

$(SANITIZE_OUT)/$1/test_%: test/unit/test_%.c $(UNIT_FILTER) $(SANITIZE_OUT)/$1/core.a \
                           $(call sanitize_objects,$1,$(wildcard src/guard/*.c))
	$$(CC) $$(ALL_CFLAGS) $$(SANITIZE_FLAGS) $$(SANITIZE_FLAGS_$1) -Itest $$< \
	  $$(if $$(findstring test_guard,$$@),$(call sanitize_objects,$1,$(wildcard src/guard/*.c))) \
	  $(SANITIZE_OUT)/$1/core.a $$(UNIT_LINK) -o $$@
endef
$(foreach kind,address thread,$(eval $(call sanitize_rules,$(kind))))

SANITIZE_PROGRAMS := $(call sanitize_programs,address,$(SANITIZE_ADDRESS)) \
                     $(call sanitize_programs,thread,$(SANITIZE_THREAD))

.SECONDARY: $(foreach kind,address thread,$(call sanitize_objects,$(kind),$(CORE_SOURCES) \
              $(wildcard src/guard/*.c)))

.PHONY: build-sanitize check-sanitize
build-sanitize: $(SANITIZE_PROGRAMS)
check-sanitize: build-sanitize
	@test/each $(SANITIZE_PROGRAMS)

check: check-sanitize

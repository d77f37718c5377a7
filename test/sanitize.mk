# The unit tests of the core once more, under gcc's sanitizers: addresses and undefined behaviour for
# all, data races for those that use threads; and the whole preload library with a program of many
# threads on the simulator, all of them built to look for data races.

SANITIZE_OUT     := $(BUILD)/sanitize
# The model does for long what the tests of the queue do.
SANITIZE_ADDRESS := $(filter-out queue_model,$(patsubst test/unit/test_%.c,%,$(wildcard test/unit/test_*.c)))
SANITIZE_THREAD  := guard guard_concurrency guard_limit guard_limit_shared guard_spill guard_spill_free shared_quota \
                    quota_group lock recorder recorder_disk registry run_file spilled live_index \
                    live_index_threads trim queue_wait queue_wait_signals queue
# Warnings are the ordinary build's; under sanitizers gcc guesses some that are none.
SANITIZE_FLAGS := -O1 -fno-omit-frame-pointer -w
SANITIZE_FLAGS_address := -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZE_FLAGS_thread  := -fsanitize=thread

# Who holds what.
SANITIZE_THREAD  += machine pools vmm

# A test that has been renamed or split is missed here, and said so.
sanitize_missed  := $(filter-out $(SANITIZE_ADDRESS),$(SANITIZE_THREAD))
$(if $(sanitize_missed),$(info test/sanitize.mk names tests that do not exist: $(sort $(sanitize_missed))))
sanitize_programs = $(patsubst %,$(SANITIZE_OUT)/$1/test_%,$(filter-out $(sanitize_missed),$2))
sanitize_objects  = $(patsubst src/%.c,$(SANITIZE_OUT)/$1/obj/%.o,$2)

define sanitize_rules
$(SANITIZE_OUT)/$1/obj/%.o: src/%.c test/sanitize.mk
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) -fPIC -pthread -ftls-model=initial-exec $$(SANITIZE_FLAGS) \
	  $$(SANITIZE_FLAGS_$1) -c $$< -o $$@

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

TSAN_OUT     := $(SANITIZE_OUT)/thread
TSAN_PRELOAD := $(call sanitize_objects,thread,$(PRELOAD_SOURCES))
TSAN_SIMGPU  := $(call sanitize_objects,thread,$(SIMGPU_DRIVER_SOURCES))
TSAN_LINK     = $(CC) $(SANITIZE_FLAGS) $(SANITIZE_FLAGS_thread) -pthread

# The sanitizer looks libc's functions up when it starts, and so calls our dlsym before it can itself be
# called: what that leads to is not instrumented.
TSAN_EARLY := $(call sanitize_objects,thread,src/hook/dlsym.c src/hook/dlsym_entry.c src/hook/nvml.c \
                src/hook/bypass.c src/os/startup_order.c $(wildcard src/os/elf_*.c))
$(TSAN_EARLY): SANITIZE_FLAGS_thread :=

$(TSAN_OUT)/libvramguard.so: $(TSAN_PRELOAD) $(TSAN_OUT)/core.a $(BUILD)/exports.map
	$(TSAN_LINK) -shared -Wl,-soname,libvramguard.so -Wl,--version-script=$(BUILD)/exports.map \
	  -Wl,-Bsymbolic -Wl,-z,nodelete $(filter %.o %.a,$^) -o $@

$(TSAN_OUT)/simgpu/libcuda.so.1: $(TSAN_SIMGPU)
	@mkdir -p $(@D)
	$(TSAN_LINK) -shared -Wl,-soname,libcuda.so.1 -Wl,-Bsymbolic -Wl,-z,nodelete $^ -o $@

$(TSAN_OUT)/many_threads: test/sanitize/many_threads.c $(TSAN_OUT)/simgpu/libcuda.so.1
	$(TSAN_LINK) $(ALL_CFLAGS) $^ -ldl -o $@

TSAN_ALL := $(TSAN_OUT)/libvramguard.so $(TSAN_OUT)/many_threads

SANITIZE_PROGRAMS := $(call sanitize_programs,address,$(SANITIZE_ADDRESS)) \
                     $(call sanitize_programs,thread,$(SANITIZE_THREAD))

.SECONDARY: $(foreach kind,address thread,$(call sanitize_objects,$(kind),$(CORE_SOURCES) \
              $(PRELOAD_SOURCES) $(SIMGPU_DRIVER_SOURCES)))

.PHONY: build-sanitize check-sanitize
build-sanitize: all $(SANITIZE_PROGRAMS) $(TSAN_ALL)
check-sanitize: build-sanitize
	@test/each $(SANITIZE_PROGRAMS)
	@BUILD=$(BUILD) test/sanitize/run

check: check-sanitize

# vramguard: `make` builds everything, `make check` runs all tests, `make help` lists the rest.
# Each part of src/simgpu brings its own rules in a *.mk file beside its sources.

CC       ?= gcc
BUILD    ?= build
PREFIX   ?= /usr/local
LIBDIR   ?= $(PREFIX)/lib
WERROR   ?= 0
WARN     := -Wall -Wextra -Wpedantic $(if $(filter 1,$(WERROR)),-Werror) -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wvla -Wpointer-arith -Wcast-qual
CFLAGS   ?= -O2 -g
OWN_CPPFLAGS := -D_GNU_SOURCE -Isrc -Iinclude# CPPFLAGS, as CFLAGS and LDFLAGS, is the caller's
ALL_CFLAGS = -std=c11 $(WARN) -fvisibility=hidden -fno-semantic-interposition -MMD -MP \
             $(OWN_CPPFLAGS) $(CPPFLAGS) $(CFLAGS)

.PHONY: all
all: $(BUILD)/libvramguard.so $(BUILD)/vramguard

# The floors that the preload library, the tool and the unit tests share.
CORE_FLOORS  := base os driver record shared heap unwind machine limit analyze view wait oom
CORE_SOURCES := $(wildcard $(CORE_FLOORS:%=src/%/*.c))
PRELOAD_SOURCES := $(wildcard src/guard/*.c src/hook/*.c)
CLI_SOURCES := $(wildcard src/cli/*.c)
object = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

# Says which packages are missing before the compiler stumbles over a header.
NEEDS := $(BUILD)/needs-met
$(NEEDS): scripts/install-deps
	@mkdir -p $(@D)
	@CC="$(CC)" scripts/install-deps --check build
	@touch $@

$(BUILD)/obj/src/%.o: src/%.c | $(NEEDS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fPIC -ffunction-sections -fdata-sections -ftls-model=initial-exec \
	  -c $< -o $@

$(BUILD)/libvramguard_core.a: $(call object,$(CORE_SOURCES))
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/exports.map: src/hook/exports.map.in src/driver/cuda_table.h src/driver/nvml_table.h src/hook/torch_table.h
	@mkdir -p $(@D)
	$(CC) -E -P -x c $(OWN_CPPFLAGS) $(CPPFLAGS) $< -o $@

# Of glibc before 2.34, which has them apart; empty since.
LIBC_LIBS := -ldl -pthread

# Needs libc only; its own references are bound to itself; never unloaded, since exit handlers and
# functions that programs hold point into it. Bound lazily and in few segments: looking ninety libc
# functions up and mapping two segments more would be a third of what it adds to every program's start.
$(BUILD)/libvramguard.so: $(call object,$(PRELOAD_SOURCES)) $(BUILD)/libvramguard_core.a \
                          $(BUILD)/exports.map
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libvramguard.so -Wl,--version-script=$(BUILD)/exports.map \
	  -Wl,-Bsymbolic -Wl,-z,defs -Wl,-z,lazy -Wl,-z,noseparate-code -Wl,-O1 -Wl,-z,nodelete -Wl,--gc-sections -Wl,--as-needed \
	  $(filter %.o %.a,$^) $(LIBC_LIBS) -o $@

# Packages must run where jansson is not installed, so it is linked in; CLI_LIBS=-ljansson where the
# distribution has no static one.
CLI_LIBS ?= -Wl,-Bstatic -ljansson -Wl,-Bdynamic

$(BUILD)/vramguard: $(call object,$(CLI_SOURCES)) $(BUILD)/libvramguard_core.a
	$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--gc-sections $^ $(CLI_LIBS) $(LIBC_LIBS) -o $@

include $(wildcard src/simgpu/*/*.mk) $(wildcard test/*.mk) scripts/install.mk

.PHONY: clean
clean:
	rm -rf $(BUILD)

# Not those of whole distributions (test/roots.mk).
-include $(shell find $(BUILD) -path $(BUILD)/roots -prune -o -type f -name '*.d' -print 2>/dev/null)

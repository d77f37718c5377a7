# vramguard: `make` builds everything, `make check` runs all tests, `make bench` measures.
# Each part of test/simgpu brings its own rules in a *.mk file beside its sources.

CC       ?= gcc
BUILD    ?= build
WARN     := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wvla -Wpointer-arith -Wcast-qual
CFLAGS   ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -Isrc -Iinclude
ALL_CFLAGS = -std=c11 $(WARN) -fvisibility=hidden -fno-semantic-interposition -MMD -MP \
             $(CPPFLAGS) $(CFLAGS)

.PHONY: all
all:

include $(wildcard test/simgpu/*/*.mk)

.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

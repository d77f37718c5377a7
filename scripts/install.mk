# Installing and packaging. The tool finds the libraries from where it lies itself, so a tree may be
# moved as a whole; the preload library lies where the loader looks, so that its name alone is enough.

VERSION := $(shell sed -n 's/^\#define VG_VERSION_TEXT *"\(.*\)"/\1/p' src/base/version.h)
DOCS    := $(BUILD)/doc
SHARE   := $(DESTDIR)$(PREFIX)/share
LIBS    := $(DESTDIR)$(LIBDIR)
# Of what is linked into the tool, as Debian's package tells it.
JANSSON_LICENSE := /usr/share/doc/libjansson-dev/copyright
SIMGPU  := libcuda.so.1 libnvidia-ml.so.1 libcudart.so.11.0 libcudart.so.12 libcudart.so.13 \
           libsimgpu_device_files.so

# The tool says what stands in them: man pages and completions. It looks at the library beside it, which
# must not be in the making then.
$(DOCS)/made: $(BUILD)/vramguard scripts/make-docs | $(BUILD)/libvramguard.so
	scripts/make-docs $(BUILD)/vramguard $(DOCS)
	@touch $@

.PHONY: docs
docs: $(DOCS)/made
all: docs

.PHONY: install
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(LIBS)/pkgconfig \
	  $(LIBS)/vramguard/simgpu $(SHARE)/man/man1 \
	  $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions
	install $(BUILD)/vramguard $(DESTDIR)$(PREFIX)/bin/
	install -m 644 include/vramguard.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(BUILD)/libvramguard.so $(LIBS)/
	install -m 644 $(SIMGPU:%=$(BUILD)/simgpu/%) $(LIBS)/vramguard/simgpu/
	ln -sf libcuda.so.1 $(LIBS)/vramguard/simgpu/libcuda.so
	ln -sf libcudart.so.13 $(LIBS)/vramguard/simgpu/libcudart.so
	install -m 644 $(DOCS)/man1/*.1 $(SHARE)/man/man1/
	install -m 644 $(DOCS)/bash/vramguard $(SHARE)/bash-completion/completions/
	install -m 644 $(DOCS)/zsh/_vramguard $(SHARE)/zsh/site-functions/
	install -d $(SHARE)/doc/vramguard
	rm -rf $(SHARE)/doc/vramguard/recipes
	cp -r scripts/recipes $(SHARE)/doc/vramguard/
	[ ! -e $(JANSSON_LICENSE) ] || install -m 644 $(JANSSON_LICENSE) $(SHARE)/doc/vramguard/jansson.license
	sed 's|@VERSION@|$(VERSION)|; s|@PREFIX@|$(PREFIX)|' scripts/vramguard.pc.in > $(LIBS)/pkgconfig/vramguard.pc
	@[ -n "$(DESTDIR)" ] || scripts/after-install "$(LIBDIR)"

.PHONY: uninstall
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/vramguard $(DESTDIR)$(PREFIX)/include/vramguard.h \
	  $(LIBS)/libvramguard.so $(LIBS)/pkgconfig/vramguard.pc $(SHARE)/man/man1/vramguard.1 \
	  $(SHARE)/man/man1/vramguard-*.1 $(SHARE)/bash-completion/completions/vramguard \
	  $(SHARE)/zsh/site-functions/_vramguard
	rm -rf $(LIBS)/vramguard $(SHARE)/doc/vramguard/recipes $(SHARE)/doc/vramguard/jansson.license
	[ ! -d $(SHARE)/doc/vramguard ] || rmdir --ignore-fail-on-non-empty $(SHARE)/doc/vramguard
	@[ -n "$(DESTDIR)" ] || scripts/after-install --removed

# What is packaged: as installed, without debug information.
STAGE := $(BUILD)/stage
# The compiler's, which may build for another machine: its tools bear the machine's name before their own.
MACHINE := $(shell $(CC) -dumpmachine)
ARCH    := $(firstword $(subst -, ,$(MACHINE)))
STRIP   ?= $(if $(filter $(ARCH),$(shell uname -m)),strip,$(MACHINE)-strip)

.PHONY: stage
stage: all
	rm -rf $(STAGE)
	$(MAKE) -s install DESTDIR=$(abspath $(STAGE)) PREFIX=/usr LIBDIR=/usr/lib
	$(STRIP) --strip-unneeded -R .comment -R .note $(STAGE)/usr/bin/vramguard \
	  $(STAGE)/usr/lib/libvramguard.so $(SIMGPU:%=$(STAGE)/usr/lib/vramguard/simgpu/%)

.PHONY: wheel
wheel: stage
	scripts/build-wheel $(STAGE)/usr $(BUILD)

.PHONY: deb
deb: stage
	CC="$(CC)" scripts/build-deb $(STAGE) $(BUILD)

# Unpack it anywhere: bin/vramguard finds the rest.
TARBALL := vramguard-$(VERSION)-linux-$(ARCH)
.PHONY: tarball
tarball: stage
	rm -rf $(BUILD)/$(TARBALL)
	cp -a $(STAGE)/usr $(BUILD)/$(TARBALL)
	cp README.md LICENSE $(BUILD)/$(TARBALL)/
	tar -C $(BUILD) --owner=0 --group=0 --sort=name -czf $(BUILD)/$(TARBALL).tar.gz $(TARBALL)
	rm -rf $(BUILD)/$(TARBALL)
	@echo $(BUILD)/$(TARBALL).tar.gz

.PHONY: help
help:
	@printf '%s\n' 'make              build everything into $(BUILD)' \
	  'make check        build and run all tests (scripts/test also installs what they need)' \
	  'make bench        measure what the guard costs' \
	  'make install      install under PREFIX ($(PREFIX)); DESTDIR is put before it' \
	  'make uninstall    remove what make install has put there' \
	  'make wheel        a wheel for pip, in $(BUILD)' \
	  'make deb          a Debian package, in $(BUILD)' \
	  'make tarball      an archive to unpack anywhere, in $(BUILD)' \
	  'make clean        remove $(BUILD)' \
	  '' \
	  'CC, CFLAGS, CPPFLAGS, LDFLAGS, PREFIX, LIBDIR, DESTDIR and BUILD are heeded.' \
	  'WERROR=1 makes warnings errors.'

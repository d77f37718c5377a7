# Real PyTorch, transformers and accelerate (scripts/install-torch), bare and guarded. Takes minutes, so
# it is no part of `make check`: scripts/test --torch runs it.

.PHONY: build-torch check-torch
build-torch: all simgpu-driver $(addprefix $(BUILD)/test/torch/,census_probe.so measure plug_in.so)
check-torch: build-torch
	@BUILD=$(BUILD) test/torch/run

# With another PyTorch (scripts/install-torch VERSION): what needs nothing beside it.
TORCH_ALONE := test_runtimes.py test_names.py test_blocks.py test_giving_up.py test_causes.py test_peak.py test_tables.py test_plug_in.py \
               test_census.py test_census_variables.py test_census_hostile.py
check-torch-%: build-torch
	@BUILD=$(BUILD) TORCH_VERSION=$* test/torch/run $(TORCH_ALONE)

# The tables of lines of other programs: make check-tables TABLE_PROGRAMS=FOLDER (test_tables.py).
.PHONY: check-tables
check-tables: build-torch
	@[ -n "$(TABLE_PROGRAMS)" ] || { echo 'make check-tables: no TABLE_PROGRAMS=FOLDER'; exit 1; }
	@BUILD=$(BUILD) TABLE_PROGRAMS='$(abspath $(TABLE_PROGRAMS))' test/torch/run -rA test_tables.py -k more_programs

# The census alone, for tests that load it into a program with ctypes.
$(BUILD)/test/torch/census_probe.so: test/torch/census_probe.c $(BUILD)/libvramguard_core.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fPIC -shared -Wl,-Bsymbolic -Wl,-z,defs -Wl,--gc-sections $(filter %.c %.a,$^) $(LIBC_LIBS) -o $@

# What the tool would compute of PyTorch's memory, from a run file.
$(BUILD)/test/torch/measure: test/torch/measure.c $(BUILD)/libvramguard_core.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(filter %.c %.a,$^) $(LIBC_LIBS) -o $@

# An allocator that is plugged into PyTorch; the program has the runtime that it calls.
$(BUILD)/test/torch/plug_in.so: test/torch/plug_in.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fPIC -shared $< -o $@

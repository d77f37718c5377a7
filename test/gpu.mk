# What scripts/gpu-check runs on a real GPU. The parts are made in a make of their own, since the
# transparency suite's list of them may be read after this file.

.PHONY: gpu-programs
gpu-programs: all behaviour
	@$(MAKE) --no-print-directory $(addprefix $(TR_OUT)/,$(TR_PROGRAMS) $(TR_LINKED) \
	  $(TR_LIBRARIES) $(TR_OTHERS))

# gpu-check itself, on the simulated GPU.
.PHONY: check-gpu-check
check-gpu-check: gpu-programs
	@BUILD=$(BUILD) CC="$(CC)" test/gpu/run

check: check-gpu-check

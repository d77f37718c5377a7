# Our declarations of the driver's binary interface against a toolkit's headers, where there are
# any. CUDA12=1 (or CUDA13=1, CUDA11=1 for the runtime's alone) first gets those of that release from
# PyPI.

.PHONY: build-abi check-abi
build-abi:
check-abi: build-abi
	@$(if $(CUDA11),BUILD=$(BUILD) test/abi/fetch-toolkit 11)
	@$(if $(CUDA12),BUILD=$(BUILD) test/abi/fetch-toolkit 12)
	@$(if $(CUDA13),BUILD=$(BUILD) test/abi/fetch-toolkit 13)
	@BUILD=$(BUILD) CC="$(CC)" test/abi/run

check: check-abi

# `make mutants`: would the tests notice? MUTANTS="words" chooses some by their names or files.

.PHONY: mutants check-mutants
mutants:
	@BUILD=$(BUILD) python3 test/mutants/run $(MUTANTS)

check-mutants:
	@test/mutants/run --fits
check: check-mutants

# make run     train LeNet on the digits that ship with the package
# make test    everything that has to hold: ruff, mypy, import-linter, pytest with the doctests
# make smoke   the quick part of the tests, under a minute
# make bench   the budgets of DESIGN.md, as ratios to PyTorch in the same run (15 minutes)
# make bench-quick  the same with fewer workloads, sides and rounds (2 minutes)
# make docs    check that the code in the documents runs and that their links lead somewhere
# make stubs   write the type stubs (*.pyi) from the operator records
# make format  let ruff lay out the code
# make clean   remove the virtual environment and what the tools left behind
#
# Each target installs what it needs into $(VENV), once; a change of pyproject.toml installs again.

VENV ?= .venv
# The first of these that runs and is new enough.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
ORACLE ?= torch==2.13.0
WORKERS ?= 2
ARGS ?=

BIN := $(VENV)/bin
STAMPS := $(VENV)/installed
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq

.PHONY: run test lint smoke bench bench-quick docs stubs format clean oracle
.DELETE_ON_ERROR:

run: $(STAMPS)/run
	$(BIN)/python examples/digits_lenet.py $(ARGS)

test: lint oracle
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

lint: $(STAMPS)/test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

smoke: $(STAMPS)/test
	$(BIN)/python -m pytest tests/smoke $(ARGS)

bench: $(STAMPS)/test oracle
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(STAMPS)/test oracle
	$(BIN)/python -m benchmarks --quick --output runs/benchmarks/quick $(ARGS)

docs: $(STAMPS)/test
	$(BIN)/python -m pytest tests/rules/test_documents.py $(ARGS)

stubs: $(STAMPS)/test
	OMP_NUM_THREADS=1 $(BIN)/python -m tools.generate_stubs $(ARGS)

format: $(STAMPS)/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
ifeq ($(strip $(PYTHON)),)
	@echo 'rushlight needs Python 3.11 or newer: name one with make PYTHON=/path/to/python' >&2; exit 1
endif
	@echo 'Making a virtual environment in $(VENV)'
	@$(PYTHON) -m venv $(VENV)

$(STAMPS)/run: pyproject.toml | $(BIN)/python
	@echo 'Installing rushlight and what the examples need'
	@$(PIP) -e '.[vision]'
	@mkdir -p $(@D) && touch $@

$(STAMPS)/test: pyproject.toml | $(BIN)/python
	@echo 'Installing rushlight and what the tests need'
	@$(PIP) -e '.[vision,tensorboard,distributed,test]'
	@mkdir -p $(@D) && touch $@

# Where PyTorch cannot be had the comparisons with it are skipped, and the next call tries again.
oracle: $(STAMPS)/test
	@if [ ! -e $(STAMPS)/oracle ]; then \
		echo 'Installing $(ORACLE), which tests and benchmarks compare with'; \
		if $(PIP) '$(ORACLE)'; then touch $(STAMPS)/oracle; \
		else echo '$(ORACLE) cannot be had here: going on without the comparisons with it'; fi; \
	fi

# make run and make test need Python >= 3.11 and make; they set up .venv on first use. `make` alone lists the rest.
SHELL := /bin/sh
BIN := .venv/bin
READY := .venv/.ready
TRL_READY := .venv-trl/.ready
RIVALS_READY := .venv-rivals/.ready
SOURCES := src tests bench scripts
TESTS ?=
ADAPTERS ?=

.PHONY: help run test test-slow test-all test-adapters check format docs docs-check bench record wheel clean
.DEFAULT_GOAL := help

help:  ## list these commands
	@grep -E '^[a-z-]+:.*##' Makefile | sed -e 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-13s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt scripts/venv.sh
	@sh scripts/venv.sh .venv -e '.[train,dev]'
	@touch $@

$(TRL_READY): constraints.txt scripts/venv.sh bench/trl-requirements.txt
	@sh scripts/venv.sh .venv-trl -r bench/trl-requirements.txt -e .
	@touch $@

$(RIVALS_READY): scripts/venv.sh bench/rivals/requirements.txt
	@TORCH=no sh scripts/venv.sh .venv-rivals -r bench/rivals/requirements.txt
	@touch $@

run: $(READY)  ## the main job: a pocket model learns the tamper game, flawed and secure side by side
	@$(BIN)/gamekeeper run tamper

# One thread: two torch threads on a busy two-core machine are many times slower than one. A process for each core: a
# file's tests stay together, as some share what takes long to make. The slow tests measure, so they run one by one.
test: $(READY)  ## the default tests: quick, no network
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile $(TESTS)

test-slow: $(READY)  ## the slow tests and the browser tests (these need Chromium)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow or browser" $(TESTS)

test-all: $(READY)  ## every test
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "" $(TESTS)

test-adapters: $(READY)  ## each adapter against its real library, each in an environment of its own (ADAPTERS="..." for some)
	@$(BIN)/python scripts/adapters.py $(ADAPTERS)

check: $(READY)  ## formatting, lint, types
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy

format: $(READY)  ## format the code and repair what lint can repair
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

docs: $(READY)  ## write the generated parts of README.md and docs/
	@$(BIN)/python scripts/make_docs.py

docs-check: $(READY)  ## fail if a generated part is out of date
	@$(BIN)/python scripts/make_docs.py --check

bench: $(READY) $(TRL_READY) $(RIVALS_READY)  ## measure speed and memory, against other libraries in the same run
	@$(BIN)/python bench/run.py

record: $(READY)  ## run the README's commands and record what they print (docs/records/)
	@$(BIN)/python scripts/record.py run
	@$(BIN)/python scripts/make_docs.py
	@$(BIN)/python scripts/record.py test
	@$(BIN)/python scripts/make_docs.py

wheel: $(READY)  ## the package as a wheel, in dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:  ## remove environments, caches and build products (not runs/)
	rm -rf .venv .venv-trl .venv-rivals .venv-adapters build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

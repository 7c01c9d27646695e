# Everything a reader needs:  make book · make test · make quick · make lab · make data CHAPTER=1
# Only Python >= 3.11 and make are expected; the environment is made here, from the lock.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
CHAPTER ?=
UPDATE ?=
PAGE ?=
SWEEP ?= workflow/sweep.yaml
ARGS ?=

# asked before anything is installed
ifeq ($(filter data,$(MAKECMDGOALS))$(CHAPTER),data)
$(error no chapter given; expected a number: make data CHAPTER=1)
endif

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
BATCH := $(VENV)/batch
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUTF8 := 1

.PHONY: help book test quick lab data batch readme check lint clean

help:  ## list what make can do
	@echo "make book             run every page and build _build/html/index.html"
	@echo "make test             unit tests, and every page at preset smoke"
	@echo "make quick            the tests that need no page and are not slow"
	@echo "make lab              open a copy of the notebooks in JupyterLab (work/)"
	@echo "make data CHAPTER=1   regenerate a chapter's production data (hours; resumes)"
	@echo "make batch SWEEP=…    run many pages with many parameters ($(SWEEP))"
	@echo "make check            open the built pages in headless Chromium"
	@echo "make lint             ruff on code and notebooks"
	@echo "make clean            remove what was built (data and environment stay)"
	@echo
	@echo "PYTHON=$(PYTHON) and VENV=$(VENV) can be set, for example: make book PYTHON=python3.12"

book: $(STAMP)  ## run every page and build the book
	$(BIN)/python -m glasslib.cli book --workers $(WORKERS) $(if $(UPDATE),--update)

# one thread a test process: the processes share the cores
test: $(STAMP)  ## test everything
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

quick: $(STAMP)  ## test what takes seconds
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not page"

lab: $(STAMP)  ## open a copy of the notebooks
	$(BIN)/python -m glasslib.cli lab $(PAGE)

data: $(STAMP)  ## regenerate a chapter's data
	$(BIN)/python -m glasslib.cli data $(CHAPTER)

batch: $(BATCH)/.stamp  ## run a sweep
	$(BATCH)/bin/python -m glasslib.cli batch $(SWEEP) $(ARGS)

# Snakemake wants older versions of some packages than the lock has: an environment of its own,
# on top of the book's
$(BATCH)/.stamp: pyproject.toml | $(STAMP)
	$(BIN)/python -m venv --clear $(BATCH)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > $$($(BATCH)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/book.pth
	$(BATCH)/bin/python -m pip install --quiet -e '.[batch]'
	touch $@

readme: $(STAMP)  ## bring the generated tables up to date
	$(BIN)/python -m glasslib.cli readme
	$(BIN)/python -m glasslib.cli data --readme

check: $(STAMP)  ## look at the built pages with a browser
	$(BIN)/python -m glasslib.cli check --workers $(WORKERS)

lint: $(STAMP)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:  ## forget what was built
	rm -rf _build .pytest_cache .ruff_cache glasslib.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# The environment is made again whenever the lock changes. The stamp holds the lock it was made
# from, so that a mere change of date does nothing.
$(STAMP): requirements.lock
	@if cmp -s requirements.lock $(STAMP); then touch $(STAMP); exit 0; fi; \
	if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1 || true); expected Python 3.11 or newer: make book PYTHON=python3.11" >&2; exit 2; \
	fi; \
	if [ -n "$${CONDA_PREFIX:-}" ] && [ "$(VENV)" = "$${CONDA_PREFIX:-}" ]; then \
	  $(BIN)/python -m pip install --no-deps --no-build-isolation -e .; \
	else \
	  echo "making $(VENV) from requirements.lock (a few minutes, once)"; \
	  rm -f $(STAMP); \
	  $(PYTHON) -m venv --clear $(VENV); \
	  $(BIN)/python -m pip install --progress-bar on -r requirements.lock; \
	  $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .; \
	fi; \
	cp requirements.lock $(STAMP)

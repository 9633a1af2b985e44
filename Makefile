# make demo and make test each do everything on a fresh machine with Python 3.11+ and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable

.PHONY: help demo test lint format bench docs clean

help:
	@echo "make demo    split the neurons of a small model on photographs that come with the installation"
	@echo "make test    run all tests"
	@echo "make lint    style, types and import contracts"
	@echo "make format  put the style right"
	@echo "make bench   run the benchmarks, each against its alternative (an hour and a half)"
	@echo "make docs    write the reference pages anew"
	@echo "make clean   remove the environment and what the demo made"

demo: $(VENV)/.demo
	$(BIN)/monoseme demo --out demo

test: $(VENV)/.test $(VENV)/.browser
	$(BIN)/python -m pytest

lint: $(VENV)/.test $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

docs: $(VENV)/.test
	$(BIN)/python docs/make_reference.py

clean:
	rm -rf $(VENV) demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "monoseme needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp for each set of extras, renewed when what is to be installed changes.
$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) '.[test]'
	@touch $@ $(VENV)/.demo

# Pages are tested in a browser: the system's, else Debian's where this may install it, else one that Playwright fetches.
$(VENV)/.browser: $(VENV)/.test
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
		|| { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } \
		|| $(BIN)/playwright install chromium
	@touch $@

$(VENV)/.lint: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) '.[lint]'
	@touch $@

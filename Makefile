# For a fresh clone: `make study` or `make test`. `make help` lists the rest.
# pip obeys its own settings, so a mirror or a folder of wheels needs no change here.

PYTHON ?= python3
# Another torch than the pinned one, in a fresh clone: `make env TORCH=2.13.0`. The pins of what
# torch itself chooses do not hold then.
TORCH ?=
PINS := $(if $(TORCH),.venv/.pins,constraints.txt)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
# A process for each core, of neighbouring tests, so that few fixtures are made twice.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses=8 --dist=worksteal

.DEFAULT_GOAL := help
.PHONY: help env study test test-long test-only lint format package clean

# What these name would be found before the packages of the environment.
unexport PYTHONHOME PYTHONPATH

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

env: .venv/.installed ## create .venv with the pinned versions of everything

study: env ## test the paper's claims on embedded data; prints where the report is
	@$(BIN)/etaeff study run paper --preset quick --out runs/paper

test: lint ## run every check, then all tests but the long ones
	@$(PYTEST)

test-long: env ## run all tests, those that take over ten seconds too
	@$(PYTEST) -m "long or not long"

test-only: env ## run the tests without the checks
	@$(PYTEST)

lint: env ## run the checks alone: files, ruff, mypy, import-linter
	@scripts/check

format: env ## rewrite the sources in the house style
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

package: ## build wheel and sdist in dist, and try the wheel in an environment of its own
	@PYTHON=$(PYTHON) scripts/try_wheel

clean: ## remove the environment and all caches, but no results
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# An install that was cut short leaves packages that pip takes for whole. `.installing` stands
# while one runs; found at the start, it means to begin with an empty folder. It goes last.
# torch goes first and by itself, or a package that needs it might choose another build.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo \
		"etaeff needs Python 3.11 or newer, and '$(PYTHON)' is not. Name another:" \
		"make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@[ ! -e .venv/.installing ] || \
		find .venv -mindepth 1 -maxdepth 1 ! -name .installing -exec rm -rf {} +
	@mkdir -p .venv && touch .venv/.installing && rm -f $@
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@echo "Installing torch into .venv. This may take some minutes."
	@[ -z "$(TORCH)" ] || { grep -vE '^(torch|sympy|mpmath|networkx|fsspec)=' constraints.txt; \
		echo "torch==$(TORCH)"; } > .venv/.pins
	@$(PIP) install -c $(PINS) torch
	@echo "Installing etaeff and its tools."
	@$(PIP) install -c $(PINS) -e '.[dev]'
	@rm .venv/.installing && touch $@

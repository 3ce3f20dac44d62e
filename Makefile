# make run    serve on HOST:PORT (127.0.0.1:8000), and learn      make test    ruff, mypy, every test
# make check  ruff and mypy alone                                 make format  rewrite the sources in the house format
# make models build the model pair alone                          make clean   remove what was made, the built pair too
#
# The first run makes .venv, installs the pinned packages and builds the embedded model pair; later ones reuse them.
# PYTHON=... chooses the interpreter (3.11), VENV=... the environment; settings go in .env or in the environment.

SHELL := /bin/bash
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --require-virtualenv

.PHONY: run test check format clean install models
.DELETE_ON_ERROR:

run: models
	exec $(BIN)/python -m app.serve

test: check models
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(VENV)/.runtime

# Says in a second or two whether the pair is still what its sources would give, and builds it where it is not.
models: $(VENV)/.runtime
	$(BIN)/python scripts/build_embedded.py

clean:
	rm -rf $(VENV) models/embedded/build data/prepared .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find app scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environment: each stamp is newer than what was installed from -------------------------------------------------------
$(VENV)/.created:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	  echo "MedModal Fusion needs Python 3.11; '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1 || true). Install it, or say where it is: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.created requirements.txt requirements-embedded.txt
	@echo "Installing the pinned packages into $(VENV) (once; some minutes)"
	$(PIP) install -r requirements.txt
	$(PIP) install --no-deps -r requirements-embedded.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	$(PIP) install -r requirements-dev.txt
	@touch $@

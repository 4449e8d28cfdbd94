# Everything happens in .venv below this folder; nothing outside the checkout is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_NO_CACHE_DIR := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Byte code beside no source file, but kept: the tests start the command some hundred times.
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache
unexport PYTHONDONTWRITEBYTECODE
# pip asks rustc for its version, and a rustc that is rustup's makes a folder in HOME for it.
export RUSTUP_HOME := $(CURDIR)/$(VENV)/rustup

.PHONY: demo test check lock system states clean python

demo: $(VENV)/.demo            ## run the whole pipeline over the sample data
	@$(BIN)/authsunset demo --into demo-output

test: $(VENV)/.test check      ## lint, types and all tests that need nothing but Python
	@$(BIN)/pytest -q -m "not system" -n auto --dist worksteal --basetemp $(VENV)/tmp

check: $(VENV)/.test
	@$(BIN)/ruff format --check --quiet . || { echo "run '$(BIN)/ruff format .' first"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/authsunset rules test

system: $(VENV)/.test          ## the tests that need Debian packages too
	@$(BIN)/pytest -m system --basetemp $(VENV)/tmp

states: $(VENV)/.test          ## two simulated tenants against their truth; about ten minutes
	@$(BIN)/python -m benchmarks.sender_states --seeds 2,5 --step-days 2

lock:                          ## write the lock files anew
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --extra build -o requirements.txt pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --extra build --extra dev -o requirements-dev.txt pyproject.toml

clean:
	rm -rf $(VENV) demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "authsunset needs Python 3.11 or newer; name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing; on Debian and Ubuntu install it with: apt-get install python3-venv"; exit 1; }

$(VENV)/bin/python: | python
	@echo "making $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: requirements.txt pyproject.toml $(VENV)/bin/python
	@echo "installing what authsunset needs into $(VENV) …"
	@$(BIN)/pip install --quiet --require-hashes -r requirements.txt
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: requirements-dev.txt $(VENV)/.demo
	@$(BIN)/pip install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

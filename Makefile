# Everything a newcomer or a developer runs. Only Python 3.11 or newer and make must be there.
.DEFAULT_GOAL := help
.PHONY: help install demo test test-full test-slow faults check docs bench lock clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The newest Python that is there; choose another with: make PYTHON=python3.12 demo
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## make .venv with the locked dependencies and visus

$(STAMP): requirements.lock bootstrap.lock pyproject.toml
	@test -n "$(PYTHON)" || { \
		echo "visus needs Python 3.11 or newer with the venv module; found: $$(python3 --version 2>&1 || echo none)."; \
		echo "Install one (for example: apt install python3.12-venv), or name it: make PYTHON=/path/to/python3.12 demo"; \
		exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bootstrap.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock \
		|| $(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP)  ## train on real handwritten digits, judge, predict and explain; under two minutes on 2 cores
	@$(BIN)/python examples/demo.py

# Compiled code is kept in .venv, wherever else none may be written: without it each import of torch takes twice as long.
TESTS := env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX=$(CURDIR)/$(VENV)/bytecode OMP_NUM_THREADS=1 \
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --durations 25

test: $(STAMP)  ## the tests of every commit; the 25 slowest are named at the end
	$(TESTS) -m "not slow and not full"

test-full: $(STAMP)  ## those, and the battery of models on every network
	$(TESTS) -m "not slow"

test-slow: $(STAMP)  ## the tests that train for minutes
	$(BIN)/python -m pytest -q -m slow --timeout 3600

faults: $(STAMP)  ## plant faults in copies of the source and tell which test finds each
	env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX=$(CURDIR)/$(VENV)/bytecode $(BIN)/python tests/planted_faults.py

check: $(STAMP)  ## lint, format, types and architecture
	$(BIN)/ruff check src tests benchmarks examples docs
	$(BIN)/ruff format --check src tests benchmarks examples docs
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_architecture.py

docs: $(STAMP)  ## build the site into docs/_build/html; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

bench: $(STAMP)  ## benchmarks against peers, as ratios in one run
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/coco_map.py
	$(BIN)/python benchmarks/data.py
	$(BIN)/python benchmarks/networks.py
	$(BIN)/python benchmarks/elastic.py
	$(BIN)/python benchmarks/segmentation.py
	$(BIN)/python benchmarks/detection.py
	$(BIN)/python benchmarks/mask_pasting.py
	$(BIN)/python benchmarks/two_stage.py

lock: $(STAMP)  ## renew the lock files from pyproject.toml
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--python-version 3.11 --extra dev --extra docs pyproject.toml -o requirements.lock --upgrade
	echo uv | $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--python-version 3.11 - -o bootstrap.lock --upgrade

clean:  ## remove what was built, but neither runs/ nor .venv
	rm -rf build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info

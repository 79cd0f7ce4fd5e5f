# Everything runs in .venv, which `make install` makes with plain pip from the versions pinned in constraints.txt.
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/installed
# One thread a process: the tests are small, and pytest runs them in $(JOBS) processes.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -q -n $(JOBS) --dist loadfile
DATA ?= runs/demo/queries-0.05
RESULT ?= runs/bench/raw_text.json

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all coverage check format bench tables clean

help: ## list what make can do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(STAMP) ## make .venv and install fewtag with everything it needs to train and be tested

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "fewtag needs Python 3.11 or newer, and there is no $(PYTHON) on the PATH" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "fewtag needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11" >&2; exit 1; }
	@echo "installing into $(VENV): once, about a minute where packages are near"
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,dev]"
	@touch $@

demo: install ## train on a made corpus of shop queries in twelve languages and tag some; offline
	$(PY) -m fewtag.cli demo

test: install ## the test suite
	$(PYTEST)

test-all: install ## the test suite with its slow tests
	$(PYTEST) -m "slow or not slow"

coverage: install ## the test suite, and which lines it never reached
	$(PYTEST) --cov --cov-report=term

check: install ## lint, types, and the floors between the rooms
	$(PY) -m ruff check src tests benchmarks
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_floors.py tests/test_repository.py

format: install ## put imports in order and mend what ruff can mend
	$(PY) -m ruff check --fix src tests benchmarks

bench: install ## what raw text is worth on DATA (default: the demo's corpus): five seeds, paired
	@test -d $(DATA) || $(PY) -m fewtag.cli corpus $(DATA) --scale 0.05
	$(PY) benchmarks/raw_text.py $(DATA) --labeled 1% --seeds 5 --methods supervised-multi,metats,pretrained-ensemble,supervised-full -o $(RESULT)

tables: install ## make every table of the documents anew from benchmarks/results
	$(PY) benchmarks/tables.py

clean: ## remove caches, build leftovers and the demo's output; .venv and other runs stay
	rm -rf build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov runs/demo
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

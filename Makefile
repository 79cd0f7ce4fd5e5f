.PHONY: install demo test check
PY := .venv/bin/python

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	python3 -m venv .venv
	$(PY) -m pip install --disable-pip-version-check -q -c constraints.txt -e ".[train,dev]"
	touch $@

demo: install
	$(PY) -m fewtag demo

test: install
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2

check: install
	.venv/bin/ruff check src tests
	.venv/bin/mypy

# make demo    install what is needed into .venv, and watch the whole of it work
# make test    lint, types, and every test, file by file on JOBS cores; with CI=true nothing may be skipped
PYTHON ?= python3
JOBS ?= auto
BIN := .venv/bin

.PHONY: demo test lint lab bench format clean

demo: .venv
	$(BIN)/pdsno demo

test: lint
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lab: .venv
	$(BIN)/python -m pytest tests/lab

bench: .venv
	for bench in tests/bench/bench_*.py; do echo "== $$bench"; PYTHONPATH=. $(BIN)/python $$bench || exit 1; done

format: .venv
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.venv: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "PDSNO needs Python 3.11 or newer; name one with make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

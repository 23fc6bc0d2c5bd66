# `make demo` and `make test` each do all their set-up on a machine that has Python 3.11 or newer and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export MPLBACKEND = Agg

.PHONY: help demo hero test check wheel install clean

help:
	@echo "make demo   install, then make sounds, train, score, evaluate and draw (in demo/)"
	@echo "make hero   install, then draw the picture of the README"
	@echo "make test   install, then run every test"
	@echo "make wheel  build dist/soundness-*.whl, to install elsewhere"
	@echo "make check  install, then check style, types and imports"

demo: install
	$(BIN)/soundness demo --out demo --overwrite

hero: install
	$(BIN)/python benchmarks/hero.py

test: export OMP_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1
test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder  # the order of tests/conftest.py

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel:
	$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	rm -rf build

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'soundness needs Python 3.11 or newer')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,export,media,formats,monitor,test,check]'
	touch $@

clean:
	rm -rf $(VENV) demo dist out

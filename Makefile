# Every target works on a fresh machine: it makes its own virtual environment first.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

GPU_PYTHON ?= 3.12
GPU_WHEELS := transformer-lens==3.9.0 better-abc beartype typeguard tyro docstring-parser datasets dill==0.4.1 \
	multiprocess platformdirs hypothesis plotly circuitsvis

.PHONY: help demo test test-transformer-lens-4 check bench gpu gpu-bundle docs fix clean

help:  ## list these targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: .venv/installed  ## train the mini copier, analyze it, write runs/demo/report.html
	$(BIN)/grok-interp demo

test: .venv/developing  ## the whole test suite, on two cores
	$(BIN)/pytest --numprocesses 2 --dist loadfile

test-transformer-lens-4: .venv/developing .tl4/installed  ## models and analyses against TransformerLens 4.3
	PYTHONPATH=.tl4 $(BIN)/pytest tests/models tests/analysis

check: .venv/developing  ## lint, format, spelling and types; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/pyright

bench: .venv/developing  ## the short benchmarks, side by side with their peers, into benchmarks/RESULTS.md
	$(BIN)/python benchmarks/results.py

gpu: .venv/developing  ## on a machine with a GPU: its tests, benchmarks and trainings, into the folder gpu; resumes
	$(BIN)/python benchmarks/gpu.py --out gpu

gpu-bundle:  ## wheels into gpu-wheels, for a GPU machine without network that has torch: see benchmarks/gpu.py
	$(PYTHON) -m pip download --quiet --no-deps --only-binary=:all: --python-version $(GPU_PYTHON) --dest gpu-wheels \
		--platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 $(GPU_WHEELS)

docs: .venv/documenting  ## this site into docs/_build/html/index.html, offline; warnings are errors
	$(BIN)/sphinx-build -W --keep-going --quiet --conf-dir docs --doctree-dir docs/_build/doctrees . docs/_build/html

fix: .venv/developing  ## repair what the linter and the formatter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environments and the built site; runs stay
	rm -rf .venv .tl4 docs/_build

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) torch
	$(INSTALL) --editable .
	touch $@

.venv/developing: .venv/installed
	$(INSTALL) --editable '.[dev,hub]'
	touch $@

.venv/documenting: .venv/installed
	$(INSTALL) --editable '.[docs]'
	touch $@

.tl4/installed: .venv/developing
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target .tl4 transformer-lens==4.3.0
	touch $@

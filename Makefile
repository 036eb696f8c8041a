# Every target works on a fresh machine: it makes its own virtual environment first.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

GPU_PYTHON ?= 3.12
GPU_WHEELS := transformer-lens==3.9.0 better-abc beartype typeguard tyro docstring-parser datasets dill==0.4.1 \
	multiprocess platformdirs hypothesis plotly circuitsvis

# What `make test` leaves out, each with a target of its own
COMMANDS := tests/analysis/test_emergence.py tests/data/test_corpus.py tests/data/test_duplicates.py \
	tests/plots/test_ablation_picture.py tests/plots/test_every_picture.py tests/plots/test_modular_page.py \
	tests/runs/test_killed_training.py tests/statistics/test_change_point_coverage.py tests/studies tests/test_commands.py \
	tests/test_example_study.py tests/test_global_state.py tests/test_kept_report.py tests/test_many_damages.py \
	tests/test_places_to_change.py tests/test_reference.py tests/training/test_compiled_step.py
MODELS := tests/models/test_families.py tests/models/test_interchange.py tests/models/test_weights_of.py
RAY := tests/engines/test_ray.py
ENGINES := tests/engines/test_checkpoint_groups.py tests/engines/test_slurm.py \
	tests/runs/test_real_faults.py tests/runs/test_run_ensemble.py tests/runs/test_signals.py \
	tests/studies/test_sweep.py tests/studies/test_workers.py tests/training/test_cuda.py \
	tests/training/test_ensemble.py tests/training/test_parallel.py tests/training/test_processes.py \
	tests/test_gpu_script.py
NOTEBOOKS := tests/test_jupyterlab.py tests/test_notebooks.py
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile
LEFT_OUT := $(addprefix --ignore=,$(MODELS) $(ENGINES) $(RAY) $(NOTEBOOKS))
LOWEST := tests/test_configs.py tests/test_cli.py tests/test_commands.py tests/data tests/models tests/plots \
	tests/results tests/runs tests/statistics

.PHONY: help demo test test-commands test-models test-engines test-notebooks test-random-order test-three \
	test-transformer-lens-4 test-lowest fuzz coverage mutants check bench gpu gpu-bundle docs notebook fix clean

help:  ## list these targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: .venv/installed  ## train the mini copier, analyze it, write runs/demo/report.html
	$(BIN)/grok-interp demo

test: .venv/developing  ## the tests, on two cores, but those of the next four targets
	$(PYTEST) $(LEFT_OUT) $(addprefix --ignore=,$(COMMANDS))

test-commands: .venv/developing  ## whole commands and studies, from training to report; simulations
	$(PYTEST) $(LEFT_OUT) $(COMMANDS)

test-models: .venv/developing  ## the families of language models
	$(PYTEST) $(MODELS)

test-engines: .venv/developing .venv/clustered  ## several runs or processes at once, signals, GPUs
	$(PYTEST) $(ENGINES)
	$(BIN)/pytest --numprocesses 1 $(RAY)

test-notebooks: .venv/developing .venv/reading  ## each notebook from top to bottom, one of them in JupyterLab
	$(PYTEST) $(NOTEBOOKS)

test-random-order: .venv/developing  ## `make test` and `make test-commands` in another order each time; it prints the seed
	$(PYTEST) --random-order $(LEFT_OUT)

test-three: .venv/developing  ## three copies of `make test` and `make test-commands` at once; keeps the logs if one fails
	@logs=$$(mktemp -d) copies= failed=; \
	for copy in 1 2 3; do \
		$(PYTEST) $(LEFT_OUT) --basetemp $$logs/$$copy >$$logs/$$copy.log 2>&1 & copies="$$copies $$!"; \
	done; \
	for copy in $$copies; do wait $$copy || failed=yes; done; \
	for copy in 1 2 3; do grep -E '^(FAILED|ERROR) ' $$logs/$$copy.log; tail -n 1 $$logs/$$copy.log; done; \
	if [ -n "$$failed" ]; then echo "logs: $$logs"; exit 1; fi; \
	rm -r $$logs

test-transformer-lens-4: .venv/developing .tl4/installed  ## models and analyses against TransformerLens 4.3
	PYTHONPATH=.tl4 $(BIN)/pytest tests/models tests/analysis

test-lowest: .lowest/installed  ## with the lowest versions that pyproject.toml admits; their deprecation warnings are no errors
	.lowest/bin/pytest --override-ini filterwarnings=default $(LOWEST)

fuzz: .venv/developing  ## odd arguments, runs, configs, corpora and results, for SECONDS=600 with SEED=0
	$(BIN)/python tests/fuzz.py --seconds $(or $(SECONDS),600) --seed $(or $(SEED),0)

coverage: .venv/developing .venv/clustered  ## of the package by all tests; fails below 95%
	$(PYTEST) --cov --cov-report=term-missing:skip-covered --cov-fail-under=95

mutants: .venv/developing  ## mutation testing, into the folder mutants; resumes
	$(INSTALL) --editable '.[dev,hub,mutants]'
	$(BIN)/python tests/mutants.py

check: .venv/developing .venv/clustered  ## lint, format, spelling, words and types; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/pytest --numprocesses 0 --quiet tests/test_prose.py
	$(BIN)/pyright

bench: .venv/developing  ## the short benchmarks, side by side with their peers, into benchmarks/measured.md
	$(BIN)/python benchmarks/results.py

gpu: .venv/developing  ## on a machine with a GPU: its tests, benchmarks and trainings, into the folder gpu; resumes
	$(BIN)/python benchmarks/gpu.py --out gpu

gpu-bundle:  ## wheels into gpu-wheels, for a GPU machine without network that has torch: see benchmarks/gpu.py
	$(PYTHON) -m pip download --quiet --no-deps --only-binary=:all: --python-version $(GPU_PYTHON) --dest gpu-wheels \
		--platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 $(GPU_WHEELS)

docs: .venv/documenting  ## this site into docs/_build/html/index.html, offline; warnings are errors
	$(BIN)/sphinx-build -W --keep-going --quiet --conf-dir docs --doctree-dir docs/_build/doctrees . docs/_build/html

notebook: .venv/reading  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

fix: .venv/developing  ## repair what the linter and the formatter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environments and the built site; runs stay
	rm -rf .venv .tl4 .lowest mutants docs/_build

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) torch
	$(INSTALL) --editable .
	touch $@

.venv/developing: .venv/installed
	$(INSTALL) --editable '.[dev,hub]'
	touch $@

.venv/reading: .venv/installed
	$(INSTALL) --editable '.[notebook]'
	touch $@

.venv/clustered: .venv/installed
	$(INSTALL) --editable '.[cluster]'
	touch $@

.venv/documenting: .venv/installed
	$(INSTALL) --editable '.[docs]'
	touch $@

.tl4/installed: .venv/developing
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target .tl4 transformer-lens==4.3.0
	touch $@

.lowest/installed: pyproject.toml constraints-lowest.txt
	test -x .lowest/bin/python || $(PYTHON) -m venv .lowest
	.lowest/bin/pip install --quiet --disable-pip-version-check $(shell grep ^torch== constraints.txt)
	.lowest/bin/pip install --quiet --disable-pip-version-check --constraint constraints-lowest.txt --editable '.[dev,hub]'
	touch $@

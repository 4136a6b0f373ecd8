# `make demo` and `make test` do everything on a fresh machine with Python 3.11 to 3.13.
# A line of help is the comment behind a target.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := search_spaces/quickstart.yaml
CONSTRAINTS ?= constraints.txt
# Tests of one group (Ray) run in one process.
ALONGSIDE ?= --numprocesses auto --maxprocesses 4 --dist loadgroup

# Libraries are installed uncompiled: without bytecode every process of a test compiles them anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test slow bench table docs mutants gpu clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(STAMP) ## search the built-in data for a few minutes, up to the report
	$(BIN)/hrnet-search run $(DEMO)

test: $(STAMP) ## lint, format, types and the tests but those that `slow` and `bench` run
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest $(ALONGSIDE)

slow: $(STAMP) ## the slow tests: kills, servers, browsers, clusters, for 15 minutes
	$(BIN)/pytest $(ALONGSIDE) -m 'slow and not bench'

bench: $(STAMP) ## the long comparisons: hours
	$(BIN)/pytest -m bench
	$(BIN)/python benchmarks/driver.py overhead
	$(BIN)/python benchmarks/driver.py own
	$(BIN)/python benchmarks/driver.py scale
	$(BIN)/python benchmarks/cost.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/screening.py
	$(BIN)/python benchmarks/inversions.py --step 4 --size 256 512
	$(BIN)/python benchmarks/shapes_differ.py
	$(BIN)/python -m benchmarks.search run --problems interactions dtlz2 --samplers pareto local \
		--seeds 3 --trials 120 --results results/bench-search.jsonl

table: $(STAMP) ## go on training the table of equal MACs: days
	$(BIN)/python -m benchmarks.tables.fill

docs: $(VENV)/.docs ## build the documentation site into build/site; a warning is an error
	$(BIN)/mkdocs build --strict

mutants: $(VENV)/.mutants ## change the statistics in every small way: which change does no test see?
	$(BIN)/mutmut run
	$(BIN)/mutmut results

gpu: $(STAMP) ## prove on a GPU what needs one, and goes on where it was: GPU='--minutes 25'
	$(BIN)/python benchmarks/gpu.py $(GPU)

clean: ## remove the environment
	rm -rf $(VENV)

$(STAMP): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	# Not compiled: that takes as long as all the rest, for modules of which a third are ever read.
	$(BIN)/pip install --quiet --no-compile --constraint $(CONSTRAINTS) --editable '.[dev]'
	touch $@

$(VENV)/.mutants: $(STAMP)
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable '.[mutants]'
	touch $@

$(VENV)/.docs: $(STAMP)
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable '.[docs]'
	touch $@

# `make demo` and `make test` do everything on a fresh machine with Python 3.11 to 3.13.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := search_spaces/quickstart.yaml

.PHONY: demo test check bench table clean

demo: $(STAMP)
	$(BIN)/hrnet-search run $(DEMO)

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -m 'not bench and not slow'

bench: $(STAMP)
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

table: $(STAMP)
	$(BIN)/python -m benchmarks.tables.fill

clean:
	rm -rf $(VENV)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

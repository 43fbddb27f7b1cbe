# make reproduce: set up and run the study on this machine. make test: set up and run the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out/table1

.PHONY: reproduce test check bench clean

reproduce: $(VENV)/.lab
	$(BIN)/stratagem reproduce table1 --out $(OUT)

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 POLARS_MAX_THREADS=2 $(BIN)/pytest -n 2 --dist worksteal

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/intervals.py --studies 200
	$(BIN)/python benchmarks/mechanisms.py
	$(BIN)/python benchmarks/labelling.py
	$(BIN)/python benchmarks/lens.py
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/engine_curves.py
	$(BIN)/python benchmarks/engine_profile.py
	$(BIN)/python benchmarks/calibration.py $(BASE)

# What the study needs, and with it what the tests of everything need.
$(VENV)/.lab: EXTRAS := lab
$(VENV)/.dev: EXTRAS := lab,llm,dev
$(VENV)/.lab $(VENV)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Stratagem needs Python 3.11 or newer; set PYTHON="'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf $(VENV) out

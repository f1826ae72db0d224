# `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
SOAK_MINUTES ?= 30
# tests/scheduling.py says what stays together and in which order it comes
# two wait for servers often enough for a third to use what they leave of two cores
THREE_AT_ONCE := -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: help install demo test test-all trust soak docs peers bench audit check format lock down clean

help: ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: .venv/installed ## Make .venv and install the locked versions.

# The stamp holds the place of the checkout: an environment that was moved is made anew.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python >= 3.11 is needed; set PYTHON=python3.12 or the like'; exit 1; }
	@echo 'installing the locked versions into .venv (about 2.2 GB, some minutes the first time)'
	@$(PYTHON) -m venv --clear .venv
	@set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]' 2>&1 \
	  | tee .venv/install.log | { grep --line-buffered -E '^(Collecting|Installing|Successfully|ERROR)' || true; } \
	  || { tail -20 .venv/install.log; exit 1; }
	@touch $@

demo: install ## Everything once: stack, simulated sky, collection, training, report.
	@$(BIN)/astrid-training demo

test: install ## The default test suite.
	@$(BIN)/pytest -q $(THREE_AT_ONCE) -m 'not slow and not s3 and not bench'

test-all: install ## The slow tests too.
	@$(BIN)/pytest -q $(THREE_AT_ONCE) -m 'not bench'

trust: install ## Faults, corruption, bad input, load: 20 minutes; the figures go to docs/explanation/trust.md.
	@$(BIN)/pytest -q $(THREE_AT_ONCE) -m trust --trust --trust-page

soak: install ## 30 minutes of reviews, faults and collections (SOAK_MINUTES=); docs/explanation/soak.md.
	@$(BIN)/python -m tests.load.soak --minutes $(SOAK_MINUTES) --page

check: install ## Lint, format, types, direction of imports, then the tests.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

docs: install ## The documentation as a site, in site/; a warning fails it.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: install ## Format the code and fix what can be fixed.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

peers: .peers/installed ## Other people's tools to measure beside, in .peers; ours stay as they are.

.peers/installed: benchmarks/peers.txt .venv/installed
	@rm -rf .peers && mkdir .peers
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --target .peers -r $<
	@touch $@

AUDIT_URL ?= https://api.osv.dev/v1/query
AUDIT := .audit/bin/pip-audit --no-deps --disable-pip --progress-spinner off -s osv --osv-url $(AUDIT_URL)

audit: .audit/installed ## Known vulnerabilities of the locked versions; asks osv.dev for each. AUDIT_OPTIONS='--ignore-vuln ID' passes one over.
	@$(AUDIT) $(AUDIT_OPTIONS) -r constraints.txt > .audit/found 2> .audit/said || true; cat .audit/found; tail -n 1 .audit/said
	@grep -qE '^(Found|No known vulnerabilities)' .audit/said \
	  || { echo 'nothing was audited: $(AUDIT_URL) gave no answer; it takes the network, or AUDIT_URL of a mirror'; exit 1; }
	@! grep -q '^Found' .audit/said

.audit/installed: Makefile
	@rm -rf .audit && $(PYTHON) -m venv .audit
	@.audit/bin/python -m pip install --disable-pip-version-check --quiet pip-audit==2.10.1 # a tree of its own: it shall not shape ours
	@touch $@

bench: install ## Measure, print, and write benchmarks/RESULTS.md.
	@$(MAKE) --no-print-directory peers || echo 'without peers: their rows will say so'
	@$(BIN)/python -m benchmarks.run

lock: ## Make constraints.txt anew: the newest versions that pyproject.toml allows.
	rm -rf .lock-venv && $(PYTHON) -m venv .lock-venv
	.lock-venv/bin/python -m pip install --quiet -e '.[dev]' async-timeout # what Pythons before 3.11.3 need beside
	.lock-venv/bin/python -m pip check
	.lock-venv/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt # the build is pip's choice
	rm -rf .lock-venv

down: ## Stop the embedded stack.
	@$(BIN)/astrid-training down

clean: ## Remove .venv and caches; data in the home folder stay.
	rm -rf .venv .peers .audit .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

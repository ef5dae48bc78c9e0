# Clary: one word a task. Python 3.11 and make are all that must be there; the rest is set up here.
#
#   make demo       set everything up and run the main job on real data, through the SageMaker SDK
#   make test       set everything up and pass: unit, suites, contract through boto3 and the SDK
#   make check      the quick half: lint, types, unit tests
#   make test-all   everything, with PostgreSQL, SDK v3, Chromium, the slow tests
#   make lint       ruff, mypy, import floors, size, spelling      make fix    what ruff can mend
#   make bench      what is promised, measured (bench-<name>: one of them)
#   make docs       the site, warnings as errors                   make clean  remove what was built

PYTHON ?= $(shell command -v python3.11 || command -v python3)
JOBS   ?= 2
DIST   ?= loadscope --no-loadscope-reorder
TORCH  ?= torch==2.13.0
RAY    ?= ray[client]==2.60.0
SEED   ?= 1
PYTEST ?=

VENV := .venv
SDK2 := .venvs/sdk2
SDK3 := .venvs/sdk3
LAB  := .venvs/notebooks
NETS := .venvs/torch
RAYS := .venvs/ray
BIN  := $(VENV)/bin
PY   := $(BIN)/python
SET_UP := $(PYTHON) requirements/environment.py

# Stamps: an environment is renewed when its lock, or what the project asks for, is newer.
RUN      := $(VENV)/.ready-run
DEV      := $(VENV)/.ready-dev
BROWSER  := $(VENV)/.ready-browser
SITE     := $(VENV)/.ready-docs
CLIENT2  := $(SDK2)/.ready
AWS      := $(SDK2)/.ready-aws
EXAMPLES := $(SDK2)/.ready-examples
CLIENT3  := $(SDK3)/.ready
LABS     := $(LAB)/.ready
TORCHED  := $(NETS)/.ready
CLUSTERS := $(RAYS)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test check test-all lint fix bench docs screenshots lock clean distclean

help:
	@sed -n 's/^#   //p' Makefile

$(RUN): requirements/clary.lock requirements/environment.py pyproject.toml
	@$(SET_UP) $(VENV) clary.lock --project
	@touch $@

$(DEV): $(RUN) requirements/dev.lock
	@$(SET_UP) $(VENV) dev.lock
	@touch $@

$(BROWSER): $(DEV) requirements/browser.lock
	@$(SET_UP) $(VENV) browser.lock
	@touch $@

$(SITE): $(DEV) requirements/docs.lock
	@$(SET_UP) $(VENV) docs.lock
	@touch $@

$(CLIENT2): requirements/sdk2.lock requirements/environment.py
	@$(SET_UP) $(SDK2) sdk2.lock
	@touch $@

$(AWS): $(CLIENT2) requirements/aws.lock
	@$(SET_UP) $(SDK2) aws.lock
	@touch $@

# What opens the models of examples/algorithms without Clary, and their data.
$(EXAMPLES): $(AWS) requirements/examples.lock
	@$(SET_UP) $(SDK2) examples.lock
	@touch $@

$(LABS): requirements/notebooks.lock requirements/environment.py
	@$(SET_UP) $(LAB) notebooks.lock
	@touch $@

# On Linux a plain torch brings CUDA along; point pip at PyTorch's CPU wheels for the small one.
$(CLIENT3): requirements/sdk3.lock requirements/environment.py
	@$(SET_UP) $(SDK3) sdk3.lock --first "$(TORCH)"
	@touch $@

# Clary and its tests beside torch: for the algorithms that stand on it.
$(TORCHED): requirements/clary.lock requirements/dev.lock requirements/torch.lock requirements/environment.py pyproject.toml
	@$(SET_UP) $(NETS) clary.lock dev.lock torch.lock --first "$(TORCH)" --project
	@touch $@

# Clary and its tests beside Ray, and PyTorch for what hosts on several machines learn together.
$(CLUSTERS): requirements/clary.lock requirements/dev.lock requirements/torch.lock requirements/environment.py pyproject.toml
	@$(SET_UP) $(RAYS) clary.lock dev.lock torch.lock --first "$(TORCH)" --first "$(RAY)" --project
	@touch $@

demo:
	@$(MAKE) --no-print-directory -j2 $(RUN) $(CLIENT2)
	@$(PY) demo --client $(SDK2)/bin/python

# One order of the tests for all runs of a commit, so that a red one can be had again; `test-all` shuffles anew.
test:
	@$(MAKE) --no-print-directory -j2 $(DEV) $(AWS)
	@rm -rf build/coverage
	@CLARY_COVERAGE_DIR=$(CURDIR)/build/coverage $(PY) -m pytest -q -n $(JOBS) --dist $(DIST) -m "not slow and not postgres and not sdk_v3" \
	  --randomly-seed=$(SEED) $(PYTEST)

test-all: lint
	@$(MAKE) --no-print-directory -j2 $(DEV) $(BROWSER) $(EXAMPLES) $(CLIENT3) $(LABS) $(TORCHED) $(CLUSTERS)
	@rm -rf build/coverage
	@CLARY_COVERAGE_DIR=$(CURDIR)/build/coverage $(PY) -m pytest -q -n $(JOBS) --dist $(DIST) --hypothesis-profile=wide $(PYTEST)
	@$(NETS)/bin/python -m pytest -q -n $(JOBS) --dist $(DIST) -m torch $(PYTEST)
	@$(RAYS)/bin/python -m pytest -q -m ray $(PYTEST)

check: lint
	@$(PY) -m pytest -q -n $(JOBS) tests/unit $(PYTEST)

lint: $(DEV)
	@echo "· ruff" && $(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .
	@echo "· mypy" && $(BIN)/mypy --no-error-summary
	@MYPYPATH=src:demo $(BIN)/mypy --no-error-summary --explicit-package-bases --allow-untyped-defs --allow-incomplete-defs --allow-untyped-calls tests
	@$(BIN)/mypy --no-error-summary --ignore-missing-imports demo requirements docs/_tools
	@echo "· import floors" && out=$$($(BIN)/lint-imports 2>&1) || { echo "$$out"; exit 1; }
	@echo "· sizes and names" && $(PY) -m pytest -q -p no:randomly tests/unit/test_size.py tests/unit/test_naming.py
	@echo "· spelling" && $(BIN)/codespell --skip "*/vendor/*" -L te,rabit,mape,atmost,postgressql,ecret,caf src tests demo examples docs bench changelog.d README.md CONTRIBUTING.md Makefile 2> /dev/null

fix: $(DEV)
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

bench: bench-control

bench-ray: $(CLUSTERS)
	@$(RAYS)/bin/python -m bench.ray

bench-%: $(DEV)
	@$(PY) -m bench.$*

docs: $(SITE)
	@$(PY) docs/_tools/coverage.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "· the site is in site/index.html"

screenshots: $(BROWSER) $(LABS)
	@$(PY) docs/_tools/screenshots.py

# Writes requirements/*.lock anew; needs pip-tools in the environment.
lock: $(DEV)
	@$(PY) -m pip install --quiet pip-tools
	@TORCH="$(TORCH)" $(PY) requirements/lock.py

clean:
	@rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests demo examples bench docs -name __pycache__ -type d -prune -exec rm -rf {} + 2> /dev/null || true

distclean: clean
	@rm -rf $(VENV) .venvs demo-output

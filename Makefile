# Every target sets up what it needs. ARGS passes anything on: make train ARGS="backbone=dense trainer.epochs=3"

VENV := .venv
READY := $(VENV)/.ready
PEERS := .venv-peers
SERVE := .venv-serve
SERVE_TEST := .venv-serve-test
SERVE_TESTS := tests/photos tests/prediction tests/commands/test_predict.py tests/server tests/serve_env
SLOW_TOO := -m "not browser and not cluster and not image"
SITE_PACKAGES := 'import sysconfig; print(sysconfig.get_path("purelib"))'
# The first interpreter that really starts and is one that the lock was made for.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)
ARGS ?=
MINUTES ?= 60
# Real garments where they are, else drawn patterns.
SMOKE = data=$(if $(wildcard data/FashionMNIST/raw/t10k*),fashion_mnist,generated) data.val_size=500 \
	data.limit_train=1000 trainer.epochs=1 tracking=offline
export PYTHONUNBUFFERED = 1

.DEFAULT_GOAL := help
.PHONY: help train shop test test-all check torture mutation audit lint types smoke serve-env test-serve docs bench bench-peers ui lock clean

help: ## Lists these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

train: $(READY) ## Trains, scores and records a model; ARGS="…" takes any Hydra override
	@$(VENV)/bin/prenda train $(ARGS)

shop: $(READY) ## Trains the model that a shop starts with, on photos of garments; fetches photos and weights
	@$(VENV)/bin/prenda train experiment=shop $(ARGS)

test: $(READY) ## Runs the tests that are quick; ARGS="…" goes to pytest
	$(VENV)/bin/pytest -n auto --dist worksteal $(ARGS)
	$(if $(ARGS),,@echo 'Left out: slow tests, which CI runs too: make test-all')

test-all: $(READY) ## Runs the slow tests too, about 15 minutes on two cores; ARGS="…" goes to pytest
	$(VENV)/bin/pytest -n auto --dist worksteal $(SLOW_TOO) $(ARGS)

check: lint types test ## Lint, types and the quick tests

torture: $(READY) ## Kills commands at random moments for MINUTES=60, and checks that nothing is lost; ARGS="--seed 1"
	$(VENV)/bin/python -m tests.reliability.torture --minutes $(MINUTES) $(ARGS)

mutation: $(READY) ## Changes the code in thousands of places and lists the changes that no test notices; an hour or more
	$(PYTHON) -m pip --python $(VENV)/bin/python --disable-pip-version-check install --quiet \
		--constraint requirements.lock mutmut==3.8.1
	$(VENV)/bin/mutmut run $(ARGS)
	$(VENV)/bin/mutmut results | sed "/not checked/d"
	$(VENV)/bin/mutmut export-cicd-stats

# High entropy is that of checksums, and ruff's S rules look for passwords in code. The excluded ones are examples.
audit: $(READY) ## Looks for known vulnerabilities of the locked packages, and for secrets in the files of the repository
	$(PYTHON) -m pip --python $(VENV)/bin/python --disable-pip-version-check install --quiet \
		--constraint requirements.lock pip-audit==2.10.1 detect-secrets==1.5.0
	git ls-files -z | xargs -0 $(VENV)/bin/detect-secrets-hook --no-verify --disable-plugin HexHighEntropyString \
		--disable-plugin Base64HighEntropyString --disable-plugin KeywordDetector \
		--exclude-secrets '^(PASSWORD|secret|\{SECRET\}%40)$$'
	$(VENV)/bin/pip-audit --strict --requirement requirements.lock --no-deps --disable-pip

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-logo --no-cache

types: $(READY)
	$(VENV)/bin/mypy

smoke: $(READY) ## The shortest real run of every backbone, under a minute
	@folder=$$(mktemp -d) && trap "rm -rf $$folder" EXIT && $(VENV)/bin/prenda train -m \
		backbone=dense,cnn,resnet,resnet9,torchvision,timm $(SMOKE) hydra.sweep.dir=$$folder $(ARGS)

serve-env: $(SERVE)/.ready ## Sets up .venv-serve for `prenda predict` and `prenda serve`, without torch

test-serve: $(SERVE_TEST)/.ready ## Runs the tests of predict and serve in .venv-serve; ARGS="…" goes to pytest
	$(SERVE_TEST)/bin/python -m pytest $(SLOW_TOO) $(SERVE_TESTS) $(ARGS)

docs: $(READY) ## Builds the documentation as a site in site/, which opens without a server
	$(PYTHON) -m pip --python $(VENV)/bin/python --disable-pip-version-check install --quiet \
		--constraint requirements.lock --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build

bench: $(READY) ## Times an epoch, and a run around its epochs; ARGS="--rounds 1" goes to benchmarks/epochs.py
	$(VENV)/bin/python benchmarks/epochs.py $(ARGS)
	$(VENV)/bin/python benchmarks/around.py

bench-peers: ## Sets up Keras on TensorFlow beside the project, for `make bench` to compare with
	$(call environment,$(PEERS))
	$(PYTHON) -m pip --python $(PEERS)/bin/python --disable-pip-version-check install --quiet \
		--requirement benchmarks/peers-requirements.txt

ui: $(READY) ## Opens MLflow's UI on this project's runs; ARGS="--port 5001"
	@$(VENV)/bin/prenda ui $(ARGS)

lock: $(READY) ## Renews requirements.lock from the ranges in pyproject.toml
	$(VENV)/bin/pip install --upgrade --upgrade-strategy eager setuptools --editable '.[dev,ci]'
	@head -2 requirements.lock > $(VENV)/lock && $(VENV)/bin/pip freeze --all --exclude pip --exclude-editable >> $(VENV)/lock
	@mv $(VENV)/lock requirements.lock

clean: ## Removes the environments and caches; data/, outputs/ and mlruns/ stay
	rm -rf $(VENV) $(PEERS) $(SERVE) $(SERVE_TEST) .mypy_cache .pytest_cache .ruff_cache dist site

define found_python
@test -n "$(PYTHON)" || { echo "make: no Python from 3.11 to 3.13 found: install one, or give make PYTHON=…" >&2; exit 1; }
endef

# Where venv lacks its own pip (Debian without python3-venv), the system's pip installs into it from outside.
define environment
$(found_python)
@test -x $(1)/bin/python || $(PYTHON) -m venv $(1) 2>/dev/null || $(PYTHON) -m venv --without-pip --clear $(1)
endef

# A constraints file is the lock: exact versions of everything, of which each platform takes what it needs.
$(READY): pyproject.toml requirements.lock
	$(call environment,$(VENV))
	$(PYTHON) -m pip --python $(VENV)/bin/python --disable-pip-version-check install --quiet \
		--constraint requirements.lock --editable '.[dev]'
	@touch $@

# No pip inside, which would be a part of every image; the lock, as above.
$(SERVE)/.ready: pyproject.toml requirements.lock
	$(found_python)
	@test -x $(SERVE)/bin/python || $(PYTHON) -m venv --without-pip $(SERVE)
	$(PYTHON) -m pip --python $(SERVE)/bin/python --disable-pip-version-check install --quiet \
		--constraint requirements.lock --editable .
	@touch $@

# On top of .venv-serve, which stays as it is; this environment holds only what tests need besides.
$(SERVE_TEST)/.ready: $(SERVE)/.ready
	@test -x $(SERVE_TEST)/bin/python || $(PYTHON) -m venv --without-pip $(SERVE_TEST)
	@$(SERVE)/bin/python -c $(SITE_PACKAGES) > "$$($(SERVE_TEST)/bin/python -c $(SITE_PACKAGES))/serve.pth"
	$(PYTHON) -m pip --python $(SERVE_TEST)/bin/python --disable-pip-version-check install --quiet \
		--constraint requirements.lock --editable '.[test]'
	@touch $@

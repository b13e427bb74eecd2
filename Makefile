# Two environments, as two processes live apart: .venv serves and has no torch, .venv-train trains and has no fastapi.
PYTHON ?= python3
INSTALL = -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: run test lint types serve-tests train-tests clean

run: .venv/.serve
	@.venv/bin/seqcast serve

test: lint types serve-tests train-tests

lint: .venv/.dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/lint-imports --no-logo
	.venv/bin/hadolint Dockerfile docker/train.Dockerfile

types: .venv/.dev
	.venv/bin/mypy

serve-tests: .venv/.dev .venv-train/.train
	.venv/bin/python -m pytest tests/contract tests/service tests/rules tests/docker tests/browser

train-tests: .venv-train/.dev .venv/.dev
	.venv-train/bin/python -m pytest tests/contract tests/model tests/parity tests/system

.venv/.serve: pyproject.toml constraints.txt
	@echo "setting up .venv, once: the serving packages" >&2
	@$(PYTHON) -m venv .venv
	@.venv/bin/python $(INSTALL) '.[serve]'
	@touch $@

.venv/.dev: .venv/.serve
	@.venv/bin/python $(INSTALL) '.[serve,dev]'
	@touch $@

.venv-train/.train: pyproject.toml constraints.txt
	@echo "setting up .venv-train, once: torch and the training packages" >&2
	@$(PYTHON) -m venv .venv-train
	@.venv-train/bin/python $(INSTALL) '.[train]'
	@touch $@

.venv-train/.dev: .venv-train/.train
	@.venv-train/bin/python $(INSTALL) '.[train,test]'
	@touch $@

# beside the two, for one test: KServe's client asks for older packages than the service has
.venv-kserve/.client: tests/service/kserve-requirements.txt
	@$(PYTHON) -m venv .venv-kserve
	@.venv-kserve/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

clean:
	rm -rf .venv .venv-train .venv-kserve

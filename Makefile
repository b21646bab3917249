# Every target works from a fresh clone with python3.13, make and the Python registry, nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.13

VENVS := .venvs
UV := $(or $(shell command -v uv),$(VENVS)/uv/bin/uv)
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
# Let Python keep what it compiles: half of a short run is imports.
unexport PYTHONDONTWRITEBYTECODE
export SAM_CLI_TELEMETRY := 0
# SAM may ask for a region even where it only builds. What goes to AWS takes that of the operator.
check build: export AWS_DEFAULT_REGION ?= eu-central-1

dev := $(VENVS)/dev/bin
cli := PYTHONPATH=. $(VENVS)/cli/bin/python -m cli
sam := PATH="$(CURDIR)/$(VENVS)/dev/bin:$$PATH" $(VENVS)/sam/bin/sam

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: cloud ## deploy and run ecr-rescan in a local AWS account; options: ARGS='--help'
	@$(VENVS)/local/bin/python -m local.demo $(ARGS)

.PHONY: test
test: test-fast cloud $(VENVS)/oldest-sdk/installed ## run the suite, without what test-scale runs
	$(dev)/pytest -m "(cloud or slow) and not scale"

.PHONY: test-fast
test-fast: $(VENVS)/dev/installed ## run what needs no local cloud: unit, integration, workflow, contract
	$(dev)/pytest --cov -m "not cloud and not slow and not scale"

.PHONY: test-scale
test-scale: $(VENVS)/dev/installed ## run the fleets and samples of the size of an account; takes minutes
	$(dev)/pytest -m scale

.PHONY: bench
bench: build $(VENVS)/lambda-runtime/installed ## simulate runs, measure starts, and write docs/performance.md; takes minutes
	PYTHONPATH=functions:. $(dev)/python -m benchmarks $(ARGS)

.PHONY: mutants
mutants: $(VENVS)/mutants/installed ## measure how many faults the tests of the pure rules find; options: ARGS=decision
	$(VENVS)/mutants/bin/python -m tests.support.mutants $(ARGS)

.PHONY: check
check: $(VENVS)/dev/installed $(VENVS)/sam/installed $(VENVS)/checkov/installed ## lint, types, template, definitions
	$(dev)/ruff format --check
	$(dev)/ruff check
	$(dev)/mypy
	$(sam) validate --lint
	PYTHONPATH=. $(VENVS)/sam/bin/python -m tests.support.expanded .aws-sam/expanded.json
	$(VENVS)/checkov/bin/checkov --framework cloudformation --skip-download --quiet --compact \
	  --file template.yaml .aws-sam/expanded.json
	$(dev)/pytest --numprocesses=0 tests/contract

.PHONY: audit
audit: $(VENVS)/audit/installed ## look up known vulnerabilities of all pinned packages, where a database answers
	@$(VENVS)/audit/bin/python -m operations.audit

.PHONY: build
build: $(VENVS)/dev/installed $(VENVS)/sam/installed ## build the application for deployment
	$(sam) build
	$(dev)/python -m operations.lean_packages .aws-sam/build

.PHONY: deploy
deploy: $(VENVS)/cli/installed ## deploy to AWS; asks at the first time; options: ARGS='--help'
	@$(cli) deploy $(ARGS)

.PHONY: undeploy
undeploy: $(VENVS)/cli/installed ## delete the stack, and say what is kept; options: ARGS='--help'
	@$(cli) undeploy $(ARGS)

.PHONY: package
package: build ## write what AWS takes without SAM into dist/: the expanded template, and its files
	rm -rf dist/ecr-rescan
	@PYTHONPATH=. $(VENVS)/sam/bin/python -m operations.package .aws-sam/build dist

.PHONY: publish
publish: build ## publish a release: S3_BUCKET=, HOME_PAGE_URL=, SOURCE_CODE_URL=
	@$(dev)/python -m operations.publishable .aws-sam/build/template.yaml .aws-sam/build/release.json \
	  '$(HOME_PAGE_URL)' '$(SOURCE_CODE_URL)'
	$(sam) package --template-file .aws-sam/build/release.json --s3-bucket '$(S3_BUCKET)' \
	  --output-template-file .aws-sam/release.yaml
	$(sam) publish --template .aws-sam/release.yaml

.PHONY: redeliver
redeliver: $(VENVS)/cli/installed ## send the messages in the dead-letter queue Undelivered again; options: ARGS='--help'
	@$(cli) undelivered send $(ARGS)

.PHONY: prove
prove: $(VENVS)/dev/installed ## let AWS judge the state machines, without a deployment; options: ARGS='--help'
	@$(dev)/python -m operations.prove $(ARGS)

.PHONY: docs
docs: $(VENVS)/dev/installed ## write the generated parts of the documents: pictures, tables
	PYTHONPATH=functions:. $(dev)/python -m tests.support.documents

.PHONY: lock
lock: $(UV) ## compile requirements/ from pyproject.toml
	for group in audit checkov cli dev mutants local sam lambda-runtime oldest-sdk; do \
	  $(UV) pip compile pyproject.toml --group $$group --upgrade --generate-hashes --no-header \
	    --no-annotate --python-version 3.13 --quiet --output-file requirements/$$group.txt; \
	done
	$(UV) pip compile pyproject.toml --group lambda --upgrade --generate-hashes --no-header \
	  --no-annotate --python-version 3.13 --quiet --output-file functions/requirements.txt

.PHONY: clean
clean: ## remove everything that these targets made
	rm -rf $(VENVS) .aws-sam .demo dist .coverage .hypothesis .mutants .mypy_cache .prove .pytest_cache .ruff_cache

.PHONY: cloud
cloud: ## install what the local cloud needs
cloud: $(VENVS)/cli/installed $(VENVS)/lambda-runtime/installed $(VENVS)/local/installed $(VENVS)/sam/installed

define require_python
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || { \
  echo "Python 3.13 is required, and '$(PYTHON)' is not it: install Python 3.13, or name one with 'make PYTHON=/path/to/python3.13 ...'." >&2; exit 1; }
endef

define require_cache
@cache=$$($(UV) cache dir); mkdir -p "$$cache" 2>/dev/null && test -w "$$cache" || { \
  echo "The cache directory of uv, '$$cache', is not writable: make it writable, or set UV_CACHE_DIR to a directory that is." >&2; exit 1; }
endef

$(VENVS)/uv/bin/uv:
	$(require_python)
	$(PYTHON) -m venv $(VENVS)/uv
	$(VENVS)/uv/bin/pip install --quiet uv

$(VENVS)/%/installed: requirements/%.txt | $(UV)
	$(require_python)
	$(require_cache)
	$(UV) venv --quiet --clear --python $(PYTHON) $(VENVS)/$*
	$(UV) pip sync --quiet --python $(VENVS)/$*/bin/python --require-hashes $<
	@# localemu finds its plugins by the entry points of local/pyproject.toml.
	$(if $(filter local,$*),$(UV) pip install --quiet --python $(VENVS)/local/bin/python --no-deps --no-build-isolation --editable local)
	@touch $@

$(VENVS)/local/installed: local/pyproject.toml

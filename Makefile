# Everything that a newcomer or a contributor types. Needs Python >= 3.11, make and the package index, nothing else;
# once the environment stands, `make demo` needs no network either.
#
#   make demo    two notebooks become a served, registered, proven model
#   make test    the whole suite           make quick   the same without the slow ones
#   make integrity   100,000 operations with kills, and what dangles after them; half an hour
#   make fuzz    a million streams of bytes that are nearly HTTP, and a million bodies; twenty minutes
#   make api     10,000 requests of the HTTP API that its own document allows or forbids; a quarter of an hour
#   make kills   200 kills of an endpoint under load, and what it answered and did not keep; ten minutes
#   make event-kills   200 kills of those who tell of events, and what was not told; five minutes
#   make workflows   all workflow files of all CI systems, run here with everything that they call; five minutes
#   make check   what must be green before a change is merged
#   make clean   remove all that was made here

SHELL := /bin/bash -euo pipefail
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test quick integrity api kills event-kills fuzz workflows check lint package format clean

# A virtual environment that happens to be active, or a path to somebody's packages, must not steer ours.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
# Without compiled files every process compiles all that it imports again, and the suite starts a thousand.
unexport PYTHONDONTWRITEBYTECODE
export UV_PYTHON_DOWNLOADS := never

BIN := .venv/bin
UV := $(BIN)/uv
READY := .venv/.ready

help:
	@sed -n 's/^#   //p' Makefile

# What the system trusts, uv is to trust too: a company's proxy signs what it passes on.
ifneq (,$(wildcard /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem /etc/pki/tls/certs/ca-bundle.crt))
export UV_SYSTEM_CERTS := 1
endif

# uv comes from the index into the environment that it then fills, in the version that uv.lock names. The stamp is
# written last: after Ctrl-C the next make goes on here.
$(READY): uv.lock pyproject.toml hatch_build.py src/modelwright/_native.c
	@if ! { $(BIN)/python -c '' && $(UV) --version; } >/dev/null 2>&1; then \
	  for candidate in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	    if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	      found="$$candidate"; break; \
	    fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then \
	    echo 'Modelwright needs Python 3.11 or later, with its venv module. Name one: make PYTHON=/path/to/python3' >&2; \
	    exit 1; \
	  fi; \
	  version=$$(sed -n '/^name = "uv"$$/{n;s/^version = "\(.*\)"$$/\1/p;}' uv.lock); \
	  echo "making .venv with $$("$$found" --version)"; \
	  "$$found" -m venv --clear .venv; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$$version"; \
	fi
	@$(UV) sync --quiet --frozen --python $(BIN)/python
	@$(BIN)/python hatch_build.py
	@touch $@

# In a folder and a workspace of its own, from the beginning every time.
demo: $(READY)
	@if [ -d demo/.wright ]; then $(BIN)/wright --workspace demo/.wright down; fi
	@rm -rf demo && mkdir demo
	cd demo && ../$(BIN)/wright --workspace .wright ship ../examples/diabetes/training.ipynb ../examples/diabetes/scoring.ipynb

# Files in their own order: sorted by their number of tests, those with a few long tests would come last, and alone.
test: $(READY)
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

quick: $(READY)
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder -m "not slow"

# schemathesis brings a dozen packages that nothing else needs: it gets an environment of its own.
api: $(READY)
	$(UV) venv --quiet --allow-existing --python $(BIN)/python build/schemathesis
	$(UV) pip install --quiet --python build/schemathesis "schemathesis==4.32.5"
	PYTHONPATH=tests $(BIN)/python -P tests/api/fuzzing.py $(CURDIR)/build/schemathesis/bin/schemathesis 60

kills: $(READY)
	PYTHONPATH=tests $(BIN)/python tests/integrity/capture_kills.py 200

event-kills: $(READY)
	PYTHONPATH=tests $(BIN)/python tests/integrity/event_kills.py 200

integrity: $(READY)
	PYTHONPATH=tests $(BIN)/python tests/integrity/machine.py 100000

fuzz: $(READY)
	PYTHONPATH=tests $(BIN)/python tests/serving/fuzzing.py 1000000
	PYTHONPATH=tests $(BIN)/python tests/serving/near_json.py 1000000

workflows: $(READY)
	$(BIN)/python -m pytest tests/lifecycle/ci/real_systems.py

check: test lint package

lint: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(UV) lock --check --quiet

# The wheel, alone in an environment of its own, with the versions of uv.lock: what a user gets must start.
package: $(READY)
	rm -rf build/package
	$(UV) build --quiet --wheel --out-dir build/package/wheel
	$(UV) export --quiet --frozen --no-dev --no-emit-project --no-hashes --output-file build/package/constraints.txt
	$(UV) venv --quiet --python $(BIN)/python build/package/environment
	$(UV) pip install --quiet --python build/package/environment --constraints build/package/constraints.txt build/package/wheel/*.whl
	cd build/package && environment/bin/wright --version

format: $(READY)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# The demo's services run in the background; a removed folder would not stop them.
clean:
	for place in .wright demo/.wright; do \
	  if [ -x $(BIN)/wright ] && [ -d $$place ]; then $(BIN)/wright --workspace $$place down; fi; \
	done
	rm -rf .venv .wright demo build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -f src/modelwright/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The jobs of this repository, the same on every machine and in CI. All that they set up lies in .venv and node_modules.

PYTHON ?= python3
VENV ?= .venv
PORT ?= 5000
PYTEST ?=
BENCH ?=
TARGET ?=
SECONDS ?=

.DEFAULT_GOAL := help
.PHONY: help run ready-to-run test check bench fuzz soak clean node
.SUFFIXES:
MAKEFLAGS += --no-print-directory

help: ## list the jobs
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)
	@echo 'Variables: PYTHON=$(PYTHON) VENV=$(VENV) PORT=$(PORT) PYTEST="-k rooms" BENCH="--scenarios broadcast"' \
	'TARGET=json SECONDS=300'

run: ## start the example chat on this machine (PORT=5000, or a free one when that is taken)
	@$(REQUIRE_PYTHON)
	@port=$$($(PYTHON) -c "$$FREE_PORT" $(PORT)) && \
	echo "Carboy's chat: http://127.0.0.1:$$port/   (Ctrl-C stops it; the first start installs what it needs)" && \
	$(MAKE) ready-to-run && \
	PORT=$$port exec $(VENV)/bin/python examples/chat/app.py

ready-to-run: $(VENV)/.for-run node
	@:

test: $(VENV)/.for-test node ## run all tests; PYTEST="-k rooms -x" is handed to pytest
	$(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(PYTEST)

check: $(VENV)/.for-check ## lint, check the format and the types
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy --python-executable $(VENV)/bin/python
	$(VENV)/bin/basedpyright --pythonpath $(VENV)/bin/python

bench: ## measure Carboy beside other servers (docs/benchmarks.md); BENCH="--scenarios broadcast" is handed on
	@$(REQUIRE_PYTHON)
	@$(PYTHON) bench/run.py $(BENCH)

fuzz: $(VENV)/.for-fuzz ## fuzz every decoder for SECONDS (60); TARGET="json msgpack" for some of them
	$(VENV)/bin/python fuzz/fuzzer.py --seconds $(or $(SECONDS),60) $(TARGET)

soak: $(VENV)/.for-run ## load one server with everything at once for SECONDS (600), and see that nothing leaks or is lost
	$(VENV)/bin/python soak/soak.py --seconds $(or $(SECONDS),600)

clean: ## remove everything that was set up, built or cached
	rm -rf $(VENV) node_modules build dist .cache bench/results soak/results .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests examples bench fuzz soak -name __pycache__ -type d -prune -exec rm -rf {} +

# The interpreter's name is part of the stamp: with another one the environment is made anew.
MADE := $(VENV)/.made-by-$(subst /,-,$(PYTHON))

$(MADE):
	@$(REQUIRE_PYTHON)
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@touch $@

# .for-run has what applications need; .for-test and .for-check add the dependency group of that name.
$(VENV)/.for-%: pyproject.toml $(MADE)
	$(VENV)/bin/python -m pip install --quiet --editable '.[$(if $(filter-out run,$*),all,redis)]' $(if $(filter-out run,$*),--group $*)
	@touch $@

ifneq ($(and $(shell command -v node),$(shell command -v npm)),)
node: node_modules/.stamp
	@:
else
node:
	@echo '!!! No node and npm here: the page of the chat cannot load its client, and the JavaScript tests are' \
	'skipped. Install Node 18 or later (apt-get install nodejs npm).' >&2
endif

node_modules/.stamp: package.json
	npm install --no-audit --no-fund --no-package-lock --loglevel=error
	@touch $@

define PYTHON_CHECK
import sys
if sys.version_info < (3, 10):
    sys.exit("Carboy needs Python 3.10 or later, and %s is %d.%d. Name another one: make PYTHON=python3.12 ..."
             % ((sys.executable,) + sys.version_info[:2]))
try:
    import ensurepip, venv
except ImportError:
    sys.exit("%s cannot make virtual environments. On Debian and Ubuntu: apt-get install python%d.%d-venv"
             % ((sys.executable,) + sys.version_info[:2]))
endef
export PYTHON_CHECK

define REQUIRE_PYTHON
command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here. Install Python 3.10 or later (apt-get install" \
"python3 python3-venv), or name one: make PYTHON=/path/to/python ..." >&2; exit 1; }; $(PYTHON) -c "$$PYTHON_CHECK"
endef

define FREE_PORT
import socket, sys
for port in (int(sys.argv[1]), 0):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(listener.getsockname()[1])
        break
endef
export FREE_PORT

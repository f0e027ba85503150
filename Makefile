# `make run` and `make test` do all set-up themselves and are quick when nothing changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Processes of `make test`: more than cores, for they wait most of the time.
WORKERS ?= 4
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready
BENCH_TOOLS := wrk nginx haproxy

.PHONY: run test test-slow bench sim fuzz attack lint clean

.DELETE_ON_ERROR:

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "prana needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)

run: $(READY)
	@$(BIN)/prana demo $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -m 'not slow and not alone' --numprocesses $(WORKERS) --dist loadscope --cov --cov-report=
	$(BIN)/coverage report --include='loadbalancer/*,prana/resilience/*' --fail-under=95
	$(BIN)/pytest -m 'alone and not slow' # without --cov, for tracing makes what is measured five times slower

test-slow: $(READY)
	$(BIN)/pytest -m slow

# Peers of the comparison. What cannot be installed is left out, and the report says so.
$(BENCH_READY): tests/bench/requirements.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check -r $< && touch $@ || true

bench: $(READY) $(BENCH_READY)
	@missing=; for tool in $(BENCH_TOOLS); do PATH="$$PATH:/usr/sbin" command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	  if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $$missing || true; fi
	@$(BIN)/python -m tests.bench --tools $(BENCH_VENV) $(ARGS)

# Runs to take the mean of in every cell: make sim ARGS='--seeds 10'
sim: $(READY)
	@$(BIN)/python -m tests.sim $(ARGS)

$(VENV)/.fuzz: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,fuzz]'
	@touch $@

# Seconds for each target: make fuzz ARGS=600
fuzz: $(VENV)/.fuzz
	$(BIN)/python -m tests.fuzz.fuzz $(ARGS)

# ATTACK_CONNECTIONS=100 ATTACK_COUNT=1000 ATTACK_MIB=10 make attack: a smaller one
attack: $(READY)
	@if ! command -v slowhttptest >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends slowhttptest || true; fi
	$(BIN)/pytest tests/attack -m slow $(ARGS)

clean:
	rm -rf $(VENV) $(BENCH_VENV) build .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis tests/eureka/*/target tests/interop/java/target tests/interop/java/*/target tests/interop/websocket/target

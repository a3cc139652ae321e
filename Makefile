# Everything runs from .venv, which the first target that needs it builds from the hashed requirements files.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
QUICK  := $(VENV)/.kafka-starts-quickly
PEERS  := .venv-peers
# The tests start some 150 Python processes, each of which would else compile all of this anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check format requirements docs bench bench-peers simulate kills mutants clean

demo: $(READY)  ## the whole path on this machine: real Kafka, sandbox Fuse, ingress, two consumers, and a verdict
	@$(BIN)/python -m sandbox demo

test: $(READY) $(QUICK)  ## every test, those on a real Kafka included; files side by side, since most of them wait
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: $(READY)  ## style, types and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

requirements: $(READY)  ## pin anew what pyproject.toml asks for
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	    pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-package fuse-sync --extra dev pyproject.toml -c requirements/run.txt -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	    --extra peers pyproject.toml -c requirements/run.txt -o requirements/peers.txt
	printf 'hatchling>=1.27\n' | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	    --no-header -c requirements/dev.txt - -o requirements/build.txt

docs: $(READY)  ## write the generated pages and contracts anew
	$(BIN)/python -m schemas settings > docs/settings.md
	$(BIN)/python -m consumer failures > docs/failures.md
	$(BIN)/python -m schemas contract docs/contract

bench: $(READY)  ## measure, and write docs/performance.md: everything, or one part: make bench NAME=ingress
	@mkdir -p docs/performance
	for name in $(or $(NAME),ingress consumer latency memory engine parked audit); do \
	    $(BIN)/python -m benchmarks.$$name --output docs/performance/$$name.json || exit 1; \
	done
	$(BIN)/python -m benchmarks.report

bench-peers: $(READY) $(PEERS)/.ready  ## what others' libraries reach beside ours, in an environment of their own
	@mkdir -p docs/performance
	$(BIN)/python -m benchmarks.peers --output docs/performance/peers.json
	$(BIN)/python -m benchmarks.report

simulate: $(READY)  ## the engine under crashes, frozen members and late writes: make simulate SEEDS=100000
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),100000)

kills: $(READY)  ## members killed and frozen at fifty random moments, with both group protocols, on a real Kafka
	$(BIN)/python -m pytest tests/scenarios/test_consumer_killed.py --moments 25 -s

mutants: $(READY)  ## bugs planted one by one; fails if the simulation misses one
	$(BIN)/python -m tests.mutants

$(READY): pyproject.toml requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(QUICK): $(READY) broker/embedded/kafka-jars.lock.toml
	$(BIN)/python -m broker.embedded.aot
	@touch $@

$(PEERS)/.ready: requirements/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/peers.txt
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# make demo: a sample export into a local Klaviyo     make test: every check
# make versions: the fast tests with the newest and with the oldest dependencies
# make ci: both, as CI runs it
PYTHON ?= python3
export PIP_CONSTRAINT := $(CURDIR)/.ci/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test fast versions newest oldest ci bench soak clean

demo: $(READY)
	@$(BIN)/backfill demo

test: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -n auto

fast: $(READY)
	$(BIN)/pytest -n auto -m "not slow"

ci: test versions

versions: newest oldest

newest oldest: $(READY)
	rm -rf .venv-$@
	$(BIN)/uv venv --quiet --python $(BIN)/python .venv-$@
	$(BIN)/uv pip install --quiet --system-certs --python .venv-$@/bin/python $(UV_$@) --editable '.[dev]'
	.venv-$@/bin/python -m pytest -n auto -m "not slow" -p no:cacheprovider

UV_newest := --upgrade
UV_oldest := --resolution lowest-direct

bench: $(READY)
	$(BIN)/python -m benchmarks

soak: $(READY)
	$(BIN)/python -m tests.faults --count 1000

$(READY): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "backfill needs Python 3.11 or newer; say make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv .venv-newest .venv-oldest .mypy_cache .pytest_cache .ruff_cache .hypothesis

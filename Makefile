# Everything a newcomer needs: `make demo` and `make test`. Each target sets up what it needs, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint format clean demo-data browser gpu-check

demo: $(READY)
	$(BIN)/milannotations demo --out demo-out

# Two processes of one thread each: faster on two cores than one process of two threads. Files keep
# the order that tests/conftest.py gives them: by default the longest of few tests would come last.
test: $(READY) browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo-data: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[data]'
	$(BIN)/python scripts/build_demo_data.py

# Compares results and speed on a GPU with the CPU; without a GPU a smaller form runs on the CPU.
gpu-check: $(READY)
	$(BIN)/python perf/gpu.py

clean:
	rm -rf $(VENV) demo-out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .grimp_cache .hypothesis

# The page is also tested in a real browser. Where Debian's chromium is missing and can be
# installed it is; elsewhere those tests are skipped, but in CI they fail.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium poppler-utils >/dev/null; } || \
	  echo "no chromium here: tests of the page in a browser are skipped"

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --editable '.[demo,test]'
	@touch $@

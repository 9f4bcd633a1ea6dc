# Every target builds .venv on first use. `. .venv/bin/activate` gives a shell in which the plain dagster commands work:
# some of them read no workspace file and are told by a variable each. (The variable for all of them,
# DAGSTER_MODULE_NAME, makes `dagster dev` hang: its web server is then given two code locations and says nothing.)
MODULE := ta_assets.definitions
NEED_MODULE := JOB_EXECUTE ASSET_MATERIALIZE ASSET_LIST
$(foreach command,$(NEED_MODULE),$(eval export DAGSTER_CLI_$(command)_MODULE_NAME := $(MODULE)))
export DAGSTER_DISABLE_TELEMETRY := yes
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: release test lint validate pytest dev docs screenshots benchmark prove clean

release: $(READY)
	$(BIN)/dagster job execute -j release

test: $(READY)  # lint takes one core for a minute, so it runs beside the tests
	$(MAKE) --no-print-directory -j2 pytest lint validate

pytest: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

validate: $(READY)
	$(BIN)/dagster definitions validate

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

dev: $(READY)
	$(BIN)/dagster dev --host 127.0.0.1

docs: $(READY)
	$(BIN)/python -m tests.docs

screenshots: $(READY)  # of the last release; needs Chromium
	$(BIN)/python -m tests.page.screenshots

benchmark: $(READY)
	$(BIN)/python -m tests.benchmarks

prove: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.proof

clean:
	rm -rf .venv .dagster artifacts *.egg-info .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	$(foreach command,$(NEED_MODULE),echo 'export DAGSTER_CLI_$(command)_MODULE_NAME=$(MODULE)' >> $(BIN)/activate;)
	touch $@

# Two commands do everything on a fresh machine with Python 3.11 and git: `make demo` and `make test`.
# Both set up their own virtual environment in .venv first.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# Tests that kill, fill, storm and attack, or start many programs; they take longer than all the others together.
# Those that hold what a run may never lose are always tried. Of the others CI takes one half on even days and one on odd
# ones (TURN), so that it ends within its time; without a turn all are tried.
e2e = $(patsubst %,tests/e2e/test_e2e_%.py,$(1))
ALWAYS := tests/chaos tests/e2e/test_control.py $(call e2e,gates results together worktrees)
TURN_0 := tests/test_acp_driver.py tests/test_completion.py $(call e2e,acp completion demo edits edits_in_git export looks tui)
TURN_1 := tests/test_web_process.py \
  $(call e2e,consent gate_proof ground hostile_git mcp notices quota sessions storm traces watchers)
HARD := $(ALWAYS) $(TURN_0) $(TURN_1)
# Those that are about the founding modules.
ABOUT := $(patsubst %,tests/test_%.py,agent_choices agent_programs approval checks config conflicts edited experience \
  findings gate_waits holds homecoming_views inputs lock_table lock_text models places plan_views pools proof questions \
  replay resource_keys resource_manager resources results resumption schedule scheduler sessions simulation store summary \
  translators unattended usage watch wishes)

# The programs of `test-agents`: where they are, which are tried (all four by default), and which of the tests.
export WAVECREW_AGENTS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/wavecrew/agent-programs
AGENTS ?= claude codex gemini opencode
AGENT_TESTS ?= tests/agents
# The folder of the browser that `test-web` fetches where none is installed, and which of its tests.
export WAVECREW_BROWSER ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/wavecrew/browser
WEB_TESTS ?= tests/web

.PHONY: demo test test-agents test-web durability chaos check format lint types imports cover lock bench clean help

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "wavecrew needs Python 3.11 or later; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## build a small project in parallel and in sequence, and compare (no key, no network)
	@$(BIN)/wavecrew demo

test: $(STAMP) ## all tests but the hard ones
	@$(BIN)/pytest -q -n 4 --dist worksteal $(HARD:%=--ignore=%) --ignore=tests/agents --ignore=tests/web

test-agents: $(STAMP) ## the real agent programs, against a scripted model on loopback; installs them with npm
	@$(BIN)/python tests/agents/install.py "$(WAVECREW_AGENTS)" $(AGENTS)
	@WAVECREW_TEST_AGENTS="$(AGENTS)" $(BIN)/pytest -q -n 3 --dist worksteal $(AGENT_TESTS)

test-web: $(STAMP) ## the web page in a real browser: a Chromium that is there, else one that npm fetches
	@$(BIN)/python tests/web/get_browser.py "$(WAVECREW_BROWSER)"
	@$(BIN)/pytest -q -n 2 --dist worksteal $(WEB_TESTS)

durability: $(STAMP) ## the hard tests in their short form: kills, full disks, storms, hostile repositories
	@$(BIN)/pytest -q -n 4 --dist worksteal $(if $(TURN),$(ALWAYS) $(TURN_$(TURN)),$(HARD))

check: format lint types imports test durability cover ## everything that CI looks at

format: $(STAMP)
	$(BIN)/ruff format --check .

lint: $(STAMP)
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP) ## the floors of the house
	$(BIN)/lint-imports

cover: $(STAMP) ## the coverage that the founding modules must have by the tests that are about them
	$(BIN)/pytest -q -n 3 --dist worksteal $(ABOUT) --cov --cov-report=
	$(BIN)/coverage report --show-missing --skip-covered --fail-under=100 \
	  --include='src/wavecrew/models/*,src/wavecrew/config/*,src/wavecrew/core/resource_manager.py,src/wavecrew/core/lock_registry.py'

chaos: $(STAMP) ## the long form of the durability tests, about an hour; writes docs/fault-matrix.md
	WAVECREW_CHAOS=long $(BIN)/python tests/chaos/report.py

bench: $(STAMP) ## measure; see docs/benchmarks.md
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/analysis.py
	$(BIN)/python benchmarks/corpus.py
	$(BIN)/python benchmarks/locks.py 3
	$(BIN)/python benchmarks/recovery.py
	$(BIN)/python benchmarks/gate.py
	$(BIN)/python benchmarks/views.py

lock: ## pin all dependencies again (needs uv)
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate pyproject.toml -o requirements/runtime.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate pyproject.toml --group dev -o requirements/dev.txt

clean: ## remove what the targets above made
	rm -rf .venv build dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Everything runs in .venv, which tools/bootstrap.py makes on the first call and keeps up to date.
#   PYTHON=python3.12   the Python that .venv is to have       PYTEST_ARGS="-k loading -x"
#   DEMO_ARGS=...  BENCH_ARGS=...  REPRODUCE_ARGS=...  passed on to the commands

PYTHON ?= python3
RUN := .venv/bin/python
unexport VIRTUAL_ENV CONDA_PREFIX PYTHONHOME PYTHONPATH
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup browser registry demo test lint examples bench results online reproduce reproduce-pulling docs lock clean distclean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 26

setup: ## make .venv, or bring it up to date
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "set-up: there is no $(PYTHON): install Python 3.11 to 3.13 or name it with PYTHON=..." >&2; \
	  exit 1; }
	@"$(PYTHON)" tools/bootstrap.py $(if $(filter command,$(origin PYTHON)),--this-python)

browser: ## Debian's Chromium for the tests of the status page, which are skipped without (as root)
	@command -v chromium >/dev/null || { \
	  command -v apt-get >/dev/null || { echo "browser: no apt-get here: install Chromium" >&2; exit 1; }; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	  apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 chromium >/dev/null; }

registry: ## Debian's docker-registry and skopeo for the tests of push and pull, skipped without (as root)
	@command -v docker-registry >/dev/null && command -v skopeo >/dev/null || { \
	  command -v apt-get >/dev/null || { echo "registry: no apt-get here: install docker-registry" >&2; exit 1; }; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	  apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
	    docker-registry skopeo >/dev/null && \
	  { systemctl disable --quiet --now docker-registry 2>/dev/null || :; }; } # no service: tests start it

demo: setup ## whole-model against partial loading on this machine, with a table and pictures
	@$(RUN) -m trunkline demo $(DEMO_ARGS)

# what hardly looks at a clock
SIDE_BY_SIDE = $(addprefix tests/,cli loading pulling streaming experiments pictures store sites)

test: lint ## style and types, then all tests, the examples' and the README's among them
ifneq ($(PYTEST_ARGS),)
	@$(RUN) -m pytest $(PYTEST_ARGS)
else
	@$(RUN) -m pytest -n 2 $(SIDE_BY_SIDE)
	@$(RUN) -m pytest $(SIDE_BY_SIDE:%=--ignore=%)
endif

lint: setup ## style and types
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

examples: setup ## run every example
	@for example in examples/*.py; do \
	  [ -e "$$example" ] || continue; \
	  echo "$$example"; $(RUN) "$$example" || exit 1; \
	done

bench: setup ## compare with peers, side by side
	@$(RUN) -m benchmarks $(BENCH_ARGS)

results: setup ## measure what the documentation shows (benchmarks, demo) anew, on this machine
	@$(RUN) -m benchmarks --save docs/results
	@$(RUN) -m trunkline demo > docs/results/demo.txt
	@mkdir -p docs/pictures
	@cp demo/accuracy.png demo/sharing.png demo/timelines.png demo/timelines-cold.png docs/pictures/
	@$(RUN) tools/readme.py run

online: setup ## play the online learners for the documentation
	@mkdir -p docs/pictures/pulling
	@$(RUN) -m trunkline simulate pulling --environment stationary --rounds 20000 --seeds 30 \
	  -o online/stationary > docs/results/pulling-online-stationary.txt
	@$(RUN) -m trunkline simulate pulling --environment edge --rounds 5000 --seeds 10 \
	  -o online/edge > docs/results/pulling-online-edge.txt
	@$(RUN) -m trunkline simulate pulling --environment edge --rounds 5000 --seeds 10 --no-sharing \
	  --learners exp4-rc,tsrc,eps-greedy,ucb1,vaw,lru,lfu,never-pull,oracle \
	  -o online/apart > docs/results/pulling-online-apart.txt
	@for one in stationary edge; do \
	  cp online/$$one/pulling-online.png docs/pictures/pulling/online-$$one.png; done

reproduce: setup ## redraw the paper's evaluation for the documentation, 1,000 realisations
	@$(RUN) -m trunkline reproduce loading --dir reproduction $(REPRODUCE_ARGS)
	@mkdir -p docs/results/loading docs/pictures/loading
	@cp reproduction/*.csv docs/results/loading/
	@cp reproduction/*.png docs/pictures/loading/
	@$(RUN) tools/reproduction.py
	@$(RUN) -m trunkline reproduce streaming --dir reproduction > docs/results/reproduce-streaming.txt
	@mkdir -p docs/pictures/streaming
	@cp reproduction/streaming-*.png docs/pictures/streaming/

reproduce-pulling: setup ## sweep the pulling planners on EUA for the documentation, 30 realisations
	@$(RUN) -m trunkline reproduce pulling --dir reproduction/pulling $(REPRODUCE_ARGS)
	@$(RUN) -m trunkline reproduce pulling --print-scenario > reproduction/pulling/scenario.json
	@mkdir -p docs/results/pulling docs/pictures/pulling
	@cp reproduction/pulling/*.csv reproduction/pulling/setting.json docs/results/pulling/
	@cp reproduction/pulling/*.png docs/pictures/pulling/
	@$(RUN) -m trunkline plan reproduction/pulling/scenario.json -m greedy --picture docs/pictures/pulling/map.png
	@$(RUN) -m tools.pulling_page

docs: setup ## the documentation, into docs/_build/html
	@$(RUN) -m sphinx -W --keep-going -q -b html docs docs/_build/html

lock: setup ## write requirements.lock after a change of dependencies (UPGRADE=1: newer versions)
	@"$(PYTHON)" tools/bootstrap.py lock $(if $(UPGRADE),--upgrade)

clean: ## remove what builds and runs leave; .venv stays and is checked by the next call
	@rm -rf build dist demo online reproduction docs/_build .setup .benchmarks .hypothesis
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .venv/.trunkline-setup
	@find . -path ./.venv -prune -o -path ./.git -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## remove .venv too
	@rm -rf .venv

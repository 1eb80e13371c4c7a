# Every target sets up what it needs: a fresh machine with Python 3.11+, make and a package index.
#
#   make demo    the main example, from raw messages to a served spam filter
#   make loop    years of real data against a running server: drift is found, the model learns anew
#   make test    all tests; those of Ray, Spark, MLflow and object stores are skipped until
#   make engines has installed what they need (Spark needs Java, too)
#   make lint    formatting, lint, types, import contract
#   make bench   all benchmarks, then the table in the README   (QUICK=1 for a quick look;
#                LABEL_SETS=folder adds the label models on the sets in that folder,
#                TAXI=folder profiles and checks the taxi data there, not made data;
#                SERVE_PEERS=folder has an environment for each of serving's peers,
#                VIDEOS="clip clip" has networks watch these videos,
#                LARGE=20 runs stages over so many GB on an engine)
#   make docs    the documentation, as HTML in docs/_build
#   make clean   remove what the others made

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
PROCESSES ?= auto
BENCHMARKS := startup rerun store monitor_rates label_apply label_speed weak_weight sms_spam \
  train_schedule train_models train_parallel train_spilling train_small train_simulator train_search \
  train_memory train_real train_gpu \
  serve_http serve_hop serve_ragged serve_offline serve_overload serve_select serve_watch serve_soak \
  incremental_occlusion

.PHONY: demo loop test engines lint bench docs clean

demo: .venv/demo.done
	@$(BIN)/gristmill run examples/sms_spam/pipeline.py
	@$(BIN)/python examples/sms_spam/whereabouts.py

loop: .venv/demo.done
	@$(BIN)/python examples/drift_loop/replay.py us_accidents
	@$(BIN)/python examples/drift_loop/replay.py acs

test: .venv/dev.done
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup

engines: .venv/engines.done

lint: .venv/dev.done
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: .venv/dev.done
	for name in $(BENCHMARKS); do \
	  $(BIN)/python benchmarks/$$name.py $(if $(QUICK),--quick) --json benchmarks/results/$$name.json || exit 1; \
	done
	$(if $(LABEL_SETS),$(BIN)/python benchmarks/label_models.py $(LABEL_SETS) $(if $(QUICK),--quick) --json benchmarks/results/label_models.json)
	for name in validate_profile validate_rows; do \
	  $(BIN)/python benchmarks/$$name.py $(TAXI) $(if $(QUICK),--quick) --json benchmarks/results/$$name.json || exit 1; \
	done
	$(BIN)/python benchmarks/validate_findings.py $(if $(TAXI),--folder $(TAXI)) $(if $(QUICK),--quick) --json benchmarks/results/validate_findings.json
	$(BIN)/python benchmarks/engines.py $(if $(QUICK),--quick) $(if $(LARGE),--large $(LARGE)) --json benchmarks/results/engines.json
	$(if $(VIDEOS),$(BIN)/python benchmarks/incremental_video.py $(VIDEOS) $(if $(QUICK),--quick) --json benchmarks/results/incremental_video.json)
	$(BIN)/python benchmarks/table.py

docs: .venv/docs.done
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:
	rm -rf .venv docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis examples/*/.gristmill examples/*/out

# One stamp for each set of extras; installed anew when what is pinned changes.
.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Gristmill needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv

.venv/demo.done: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[train,serve]'
	@touch $@

.venv/dev.done: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	@touch $@

.venv/engines.done: .venv/dev.done
	$(PIP) --editable '.[dev,ray,spark,s3,mlflow]' 'ray[serve]'
	@touch $@

.venv/docs.done: .venv/dev.done
	$(PIP) --editable '.[dev,docs]'
	@touch $@

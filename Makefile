# `make demo` and `make test` set everything up by themselves; PYTHON chooses the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-quick test-bitwise test-slow test-faults test-nodes lint types bench bench-growth \
	bench-doctor examples gpu-check docs docs-check clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/sngan train --data digits --method sn --out runs/demo --steps 4000 --overwrite \
		--set n_critic=1 width=0.5 evaluation.every=1000
	$(BIN)/sngan generate runs/demo --n 100 --out runs/demo/grid.png
	@echo "samples: runs/demo/grid.png    report: runs/demo/report.html"

# one process a core; the tests of a file stay together, because they share fixtures
test: $(READY)
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder --durations=10

# the same without the packages whose tests train whole runs or start processes of several ranks
NOT_QUICK := distributed engine examples runs tasks

test-quick: $(READY)
	@echo "test-quick leaves out: $(addprefix tests/,$(NOT_QUICK))"
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder \
		$(addprefix --ignore=tests/,$(NOT_QUICK))

# equality bit for bit must not depend on the processor: once more without AVX-512
test-bitwise: $(READY)
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 $(BIN)/pytest -m "bitwise and not slow"

# slow tests, and all examples of the tests that draw their cases
test-slow: $(READY)
	$(BIN)/pytest -m "slow or (hypothesis and not faults)" --hypothesis-profile=full

# kills, failing disks, flipped bits, hostile files and two commands at once, in full number, with
# their counts in one table: some ten minutes
test-faults: $(READY)
	$(BIN)/pytest -m "" tests/faults

# two machines: on loopback, in two network namespaces (root only), as SLURM starts them
test-nodes: $(READY)
	$(BIN)/pytest -m "" tests/distributed/test_nodes.py

# all scripts of examples/, as a user runs them, with their answers checked: 10 CPU minutes, weekly
examples: $(READY)
	$(BIN)/pytest -m "" tests/examples

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/pyright

bench: $(READY)
	$(BIN)/python -m benchmarks.spectral
	$(BIN)/python -m benchmarks.operator_norms
	$(BIN)/python -m benchmarks.transport
	$(BIN)/python -m benchmarks.lipschitz
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.data
	$(BIN)/python -m benchmarks.streaming
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.ranks

bench-growth: $(READY)
	$(BIN)/python -m benchmarks.operator_norms --growth
	$(BIN)/python -m benchmarks.lipschitz --growth
	$(BIN)/python -m benchmarks.transport --growth
	$(BIN)/python -m benchmarks.metrics --growth

# healthy and ill runs, and whether `sngan doctor` tells them apart: 25 CPU minutes, resumable
bench-doctor: $(READY)
	$(BIN)/python -m benchmarks.doctor

# a machine with an NVIDIA GPU, in under 8 minutes; `make gpu-check DATA=FOLDER` trains on CIFAR-10
gpu-check: $(READY)
	$(BIN)/python -m benchmarks.gpu_check --out gpu-check.json $(if $(DATA),--data $(DATA))

# the site, into build/site: `python -m http.server --directory build/site` shows it
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# a walk through all pages of the built site in headless Chromium
docs-check: docs
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[browser]'
	$(BIN)/pytest -m browser tests/website

clean:
	rm -rf $(VENV)

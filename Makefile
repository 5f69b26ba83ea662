# `make help` lists the targets. Everything runs in .venv, which `make install` creates.
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
export PATH := $(BIN):$(PATH)
STAMP := $(VENV)/.installed

.PHONY: help install demo check test test-big lint format docs bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## create .venv with the pinned packages

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; install Python 3.11 or newer, or name yours: make PYTHON=python3 ..." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install ## the pipeline on drawn images: 11 networks, report (25 min)
	dvc repro
	@echo
	@harness compare mafn rmsin
	@echo "Report: $(CURDIR)/reports/html/index.html"

check: install ## what `make demo` made against reports/reference
	harness check --junit out/check/junit.xml --markdown out/check/summary.md

test: install ## the ordinary tests, in parallel
	OMP_NUM_THREADS=1 pytest -m "not big and not nightly" -n auto

test-big: install ## parity, kills, clusters, browsers, a pipeline (15 GB, 20 min)
	pytest -m big -n 2 --dist loadfile --durations 15

lint: install ## ruff and mypy
	ruff check .
	ruff format --check .
	mypy

format: install ## let ruff put things right
	ruff check --fix .
	ruff format .

docs: install ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

bench: install ## speed and memory, as ratios measured in one run
	python -m benchmarks

clean: ## remove what the pipeline made (not .venv)
	find out -type f ! -name .gitkeep -delete
	rm -rf site reports/html reports/rrsisd reports/seeds .pytest_cache .mypy_cache .ruff_cache

# `make help` lists the targets. Everything runs in .venv, which `make install` creates.
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
export PATH := $(BIN):$(PATH)
STAMP := $(VENV)/.installed

# `make install TORCH=cpu` takes another build of torch than PyPI's; it stays until another is named.
TORCH_BUILDS ?= pypi cpu cu126 cu128 cu129 cu130
TORCH_INDEX ?= https://download.pytorch.org/whl
INSTALLED := $(or $(shell cat $(STAMP) 2>/dev/null),pypi)
BUILD := $(or $(strip $(TORCH)),$(INSTALLED))
ifneq ($(filter-out $(TORCH_BUILDS),$(BUILD))$(word 2,$(BUILD)),)
$(error TORCH=$(TORCH) is no build of torch; one of $(TORCH_BUILDS), or name new ones: TORCH_BUILDS=...)
endif
OTHER_BUILD := $(filter-out $(INSTALLED),$(BUILD))
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PIP_TORCH := $(PIP) $(if $(filter-out pypi,$(BUILD)),--index-url $(TORCH_INDEX)/$(BUILD)) \
	$(if $(OTHER_BUILD),--force-reinstall) --no-deps $(shell grep -E '^torch(vision)?==' constraints.txt)

.PHONY: FORCE help install demo check test test-big coverage fuzz lint format docs bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## .venv with the pinned packages; TORCH=cpu, cu130: that build

$(STAMP): pyproject.toml constraints.txt $(if $(OTHER_BUILD),FORCE)
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; install Python 3.11 or newer, or name yours: make PYTHON=python3 ..." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(OTHER_BUILD)$(filter-out pypi,$(BUILD)),$(PIP_TORCH))
	$(PIP) --constraint constraints.txt --editable '.[dev]'
	@echo $(BUILD) >$@

demo: install ## the pipeline on drawn images: 11 trainings, report (25 min)
	dvc repro
	@echo
	@harness compare mafn rmsin
	@echo "Report: $(CURDIR)/reports/html/index.html"

check: install ## what `make demo` made against reports/reference
	harness check --junit out/check/junit.xml --markdown out/check/summary.md

test: install ## the ordinary tests, in parallel
	OMP_NUM_THREADS=1 pytest -m "not big and not nightly" -n auto

test-big: install ## parity, kills, clusters, browsers, a pipeline (15 GB, 30 min)
	OMP_NUM_THREADS=1 pytest -m big -n 2 --dist loadfile --durations 15

coverage: install ## the ordinary tests, and what they leave out
	OMP_NUM_THREADS=1 pytest -m "not big and not nightly" -n auto --cov --cov-report= --cov-fail-under=0
	@echo && echo "Least covered:" && coverage report --fail-under=0 | sed -n 1,22p
	@echo "Total, percent:" && coverage report --format total

MINUTES ?= 5
fuzz: install ## every reader of files, MINUTES=5 each; tests/fuzz
	OMP_NUM_THREADS=1 python -m tests.fuzz --minutes $(MINUTES)

lint: install ## ruff and mypy
	ruff check .
	ruff format --check .
	mypy

format: install ## let ruff put things right
	ruff check --fix .
	ruff format .

docs: install ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

bench: install ## speed and memory, as ratios, into docs/benchmarks.md
	python -m benchmarks --write

clean: ## remove what the pipeline made (not .venv)
	find out -type f ! -name .gitkeep -delete
	rm -rf site .coverage* reports/html reports/rrsisd reports/seeds .pytest_cache .mypy_cache .ruff_cache

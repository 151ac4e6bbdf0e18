# SPDX-License-Identifier: Apache-2.0
# Every target runs the set-up first, which takes under a second if everything is installed.
.PHONY: help setup spinlock matrix isolated nightly test lint unit docs browser doctor bench fuzz trial trial-distro real-use

# mkdocs-material prints an advertisement otherwise
export NO_MKDOCS_2_WARNING = 1

help:
	@echo "make setup      install Debian packages and .venv (the other targets do this first)"
	@echo "make spinlock   set up, then judge the vendor modules on DEBUG_SPINLOCK kernels (pytest -k spinlock)"
	@echo "make matrix     set up, then judge on the five features, on a board of each architecture"
	@echo "make isolated   set up, then judge on isolated kernels: the five features alone and together, both models"
	@echo "make nightly    set up, then judge on every feature, board and preemption model (hours the first time)"
	@echo "make test       set up, then run linters, unit tests, the five features on x86_64, and system tests"
	@echo "make unit       set up, then run the tests that need no QEMU"
	@echo "make docs       set up, then build the documentation as a site into site/"
	@echo "make trial      set up, then judge third-party modules on another production kernel (three to four hours)"
	@echo "make trial-distro  set up, then judge the same modules on isolated kernels with the feature distro"
	@echo "make real-use   set up, then use modules of Debian for real on its own kernel and on distro (root; an hour)"
	@echo "make browser    set up, install Chromium, then test report.html in it"
	@echo "make bench      set up, then measure the restore of a guest, and the parts of a cell"
	@echo "make fuzz       set up, then fuzz the report detector for ten minutes (FUZZ_SECONDS=3600 for an hour)"
	@echo "make doctor     set up, then print what is installed and what a first run needs"

setup:
	@scripts/setup.sh

spinlock: setup
	.venv/bin/pytest -n 2 -k spinlock

matrix: setup
	.venv/bin/modcompat matrix default

isolated: setup
	.venv/bin/modcompat matrix isolated

nightly: setup
	.venv/bin/pytest tests/nightly
	.venv/bin/pytest -m "slow or not slow" tests/isolation
	.venv/bin/pytest -m slow tests/system
	.venv/bin/modcompat matrix nightly

test: lint
	.venv/bin/pytest -n 2 tests/unit tests/isolation/test_style.py
	.venv/bin/modcompat matrix ci
	.venv/bin/pytest -n 2 --dist loadfile tests/system

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/reuse lint --lines
	.venv/bin/mkdocs build --strict

# Build the site into site/; a broken link or anchor is an error.
docs: setup
	.venv/bin/mkdocs build --strict

unit: setup
	.venv/bin/pytest -n 2 tests/unit

# Findings of check are not a failure here: stock kernels always have some.
TRIALS = x86_64 x86_64-tracing arm arm-tracing
TRIAL_FEATURES = --feature spinlock --feature slub --feature ftrace --feature kprobes --feature perf --feature all
trial: setup
	.venv/bin/python trial/prepare.py $(TRIALS)
	for part in $(TRIALS); do \
		rm -rf runs/trial-$$part; \
		.venv/bin/modcompat check --manifest trial/build/$$part/modcompat.toml --timeout-scale 2 $(TRIAL_FEATURES) \
			--run-dir runs/trial-$$part; \
		test -f runs/trial-$$part/matrix.json || exit 2; done
	.venv/bin/python trial/page.py $(TRIALS:%=runs/trial-%/matrix.json)
	.venv/bin/modcompat report runs/trial-x86_64 --format html -o docs/results/trial-report.html
	sed -i "s|$(CURDIR)/||g" docs/results/trial-report.html

# What distributions' debug kernels have, on production with PREEMPT
trial-distro: setup
	.venv/bin/python trial/prepare.py x86_64-preempt arm64-preempt
	status=0; for part in x86_64 arm64; do \
		.venv/bin/modcompat check --manifest trial/build/$$part-preempt/modcompat.toml --feature distro \
			--flavour isolated --timeout-scale 4 --run-dir runs/trial-distro-$$part || status=$$?; done; exit $$status

real-use: setup
	.venv/bin/python -m trial.real_use

browser: setup
	scripts/browser.sh
	.venv/bin/pytest tests/system/test_report_in_browser.py

bench: setup
	.venv/bin/python benchmarks/restore.py
	.venv/bin/python benchmarks/cell.py
	.venv/bin/python benchmarks/cells_then_and_now.py

FUZZ_SECONDS ?= 600
fuzz: setup
	test -x .venv-fuzz/bin/python || python3 -m venv .venv-fuzz
	.venv-fuzz/bin/python -c "import atheris" 2>/dev/null || .venv-fuzz/bin/pip install -q atheris
	mkdir -p runs/fuzz && for case in tests/unit/golden/console/*; do \
		head -c 6000 $$case/console.log >runs/fuzz/$$(basename $$case); \
		for prefix in '[10:11:12.100] ' 'host-1 12345 [4: sh:536] ' '{"time":100,"log":"'; do \
			{ echo "$$prefix"; head -c 4000 $$case/console.log; } >runs/fuzz/$$(basename $$case)-$${#prefix}; done; done
	PYTHONPATH=. .venv-fuzz/bin/python tests/fuzz/scan_logs.py -max_total_time=$(FUZZ_SECONDS) -max_len=8000 \
		-timeout=60 -artifact_prefix=runs/ runs/fuzz

doctor: setup
	.venv/bin/modcompat doctor

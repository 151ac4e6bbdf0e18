# Every target sets up what it needs first; with everything there that takes under a second.
.PHONY: help setup spinlock test lint unit doctor bench

help:
	@echo "make spinlock   set up, then judge the shipped module on DEBUG_SPINLOCK kernels (pytest -k spinlock)"
	@echo "make test       set up, then lint, types and every test"
	@echo "make unit       set up, then the tests that need no QEMU"
	@echo "make bench      set up, then measure: restore against cold boot"
	@echo "make doctor     set up, then say what is present and what a first run takes"

setup:
	@scripts/setup.sh

spinlock: setup
	.venv/bin/pytest -k spinlock

test: lint
	.venv/bin/pytest

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

unit: setup
	.venv/bin/pytest tests/unit

bench: setup
	.venv/bin/python benchmarks/restore.py

doctor: setup
	.venv/bin/modcompat doctor

# SPDX-License-Identifier: Apache-2.0
"""The trial: its exercises load, and its page has every cell and names those that lack an explanation."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.kernel.kconfig import in_fragments
from harness.lab.plan.exercise import load_exercise
from harness.support.paths import PROJECT
from trial.page import MEASURED, PAGE, page, taken, unexplained
from trial.prepare import HERE, PRODUCTIONS, manifest


@pytest.mark.parametrize("file", sorted((PROJECT / "trial/exercises").glob("*.py")), ids=lambda path: path.stem)
def test_the_exercises_load(file: Path) -> None:
    assert load_exercise(file).path == file


def test_the_report_in_docs_links_nothing_that_is_not_there() -> None:
    links = set(re.findall(r'href="([^"]*)"', (PROJECT / "docs/results/trial-report.html").read_text()))
    assert links
    assert all(link.startswith("#") for link in links)


def test_the_productions_have_no_debug_feature() -> None:
    for production in PRODUCTIONS.values():
        requested = in_fragments(HERE / f"{name}.config" for name in production.fragments)
        assert not {"DEBUG_SPINLOCK", "SLUB_DEBUG", "FUNCTION_TRACER", "PERF_EVENTS"} & set(requested)


@pytest.mark.parametrize("name", PRODUCTIONS)
def test_each_production_has_a_manifest(name: str) -> None:
    production = PRODUCTIONS[name]
    text = manifest(production)
    assert '"build/' not in text
    content = tomllib.loads(text)
    assert content["config"] == {production.arch.name: "production.config"}
    assert all(production.arch.name in module for module in content["module"])
    known = {*production.own, *(module for vendor in production.vendors for module in vendor.modules)}
    assert {Path(module[production.arch.name]).stem for module in content["module"]} <= known


NOTHING: dict[str, Any] = {"kernel": "", "compilers": {}, "qemu": {}, "sources": {}, "cells": []}


def cell(flavour: str, verdict: str, predicted: str) -> dict[str, Any]:
    return {
        "id": f"tun-{flavour}", "arch": "x86_64", "board": "q35", "module": "tun",
        "flavour": flavour, "feature": "spinlock",
        "verdict": verdict, "reason": "a|b; then HUNG: more",
        "steps": [{"verdict": verdict, "phase": "load", "reason": "a|b"},
                  {"verdict": "HUNG", "phase": "load", "reason": "more"}],
        "prediction": {"verdict": predicted, "reason": "why", "agrees": predicted == verdict},
    }  # fmt: skip


def measured(*cells: dict[str, Any], date: str = "2026-11-23") -> dict[str, Any]:
    run = {"date": date, "kernel": "6.1", "compilers": {"x86_64": "gcc 12"}, "qemu": {}, "cells": cells}
    return taken(NOTHING, [run], {"vpoll-dkms": "0.1-3"})


def test_the_page_has_every_cell_and_asks_for_what_is_not_explained() -> None:
    facts = measured(cell("stock", "INERT", "INERT"), cell("isolated", "SPLAT", "CLEAN"))
    text = "\n".join(page(facts, []))
    assert "| tun | INERT | SPLAT ≠ |" in text
    assert "| x86_64 | stock-spinlock | INERT | a\\|b | INERT: why | yes | tun |" in text
    assert "| all | all | 2 | 0 | 1 INERT, 1 SPLAT | 1 of 2 (50.0 %) |" in text
    assert "Not run here: stock-slub, stock-ftrace, stock-kprobes, stock-perf, stock-all, isolated-slub" in text
    assert "NOT EXPLAINED YET" in text
    assert [row["flavour"] for row in unexplained(facts["cells"], [])] == ["isolated"]
    told = "\n".join(page(facts, [{"module": "tun", "kernel": "isolated-*", "text": "a bug of ours"}]))
    assert "- `tun` on x86_64 isolated-spinlock: a bug of ours" in told


def test_a_run_takes_the_place_of_what_it_has_again_and_leaves_the_rest() -> None:
    known = measured(cell("stock", "INERT", "INERT"), cell("isolated", "SPLAT", "CLEAN"))
    run = {
        "date": "2026-11-24",
        "kernel": "6.1",
        "compilers": {},
        "qemu": {},
        "cells": [cell("isolated", "CLEAN", "CLEAN")],
    }
    facts = taken(known, [run], {})
    assert [(row["date"], row["verdict"]) for row in facts["cells"]] == [
        ("2026-11-23", "INERT"),
        ("2026-11-24", "CLEAN"),
    ]
    assert "reason" not in facts["cells"][1]
    assert (facts["compilers"], facts["sources"]) == (known["compilers"], known["sources"])
    assert taken(facts, [], {}) == facts


def test_the_page_in_docs_is_made_of_what_was_measured() -> None:
    explanations = tomllib.loads((HERE / "explanations.toml").read_text())["explanation"]
    facts = json.loads(MEASURED.read_text())
    assert PAGE.read_text() == "\n".join(page(facts, explanations)) + "\n"
    assert unexplained(facts["cells"], explanations) == []

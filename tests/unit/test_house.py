# SPDX-License-Identifier: Apache-2.0
"""The layout of the tree: each name has one meaning, and there are at most twelve rooms."""

import ast
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import harness
from harness.support.paths import PROJECT

HARNESS = Path(harness.__file__).parent
_SOURCES = sorted(HARNESS.rglob("*.py"))
_GENERATED = "__pycache__"


def _public_classes() -> dict[str, list[str]]:
    """Public top-level class -> the modules that define it."""
    found: dict[str, list[str]] = defaultdict(list)
    for source in _SOURCES:
        for node in ast.parse(source.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(source.relative_to(HARNESS)))
    return found


def _stems() -> dict[str, list[str]]:
    """Stem of a Python file's name -> the files that share it."""
    found: dict[str, list[str]] = defaultdict(list)
    for source in _SOURCES:
        if source.stem not in ("__init__", "__main__"):
            found[source.stem].append(str(source.relative_to(HARNESS)))
    return found


@pytest.mark.parametrize("names", [_public_classes(), _stems()], ids=["classes", "files"])
def test_a_name_has_one_meaning(names: Mapping[str, Sequence[str]]) -> None:
    assert len(names) > 50, "the tree was not found"
    assert {name: places for name, places in names.items() if len(places) > 1} == {}


def test_no_two_test_files_have_one_name() -> None:
    """pytest imports them by their names, and could not collect both in one run."""
    names = [path.name for path in PROJECT.joinpath("tests").rglob("test_*.py")]
    assert len(names) > 50
    assert sorted(names) == sorted(set(names))


def test_the_house_has_at_most_twelve_entries() -> None:
    entries = sorted(entry.name for entry in HARNESS.iterdir() if entry.name != _GENERATED)
    assert len(entries) <= 12, entries
    assert [name for name in entries if name.endswith(".py")] == ["__init__.py", "__main__.py"], "no loose modules"

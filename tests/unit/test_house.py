# SPDX-License-Identifier: Apache-2.0
"""The layout of the tree: one name has one meaning, and the rooms stay few."""

import ast
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import harness

HARNESS = Path(harness.__file__).parent
_SOURCES = sorted(HARNESS.rglob("*.py"))
_GENERATED = "__pycache__"

# Names that still have two meanings, with the reason. The list only shrinks: an entry that is not needed fails below.
_TWO_CLASSES: Mapping[str, str] = {
    "Check": "an answer of an exercise, and the comparison of two kernels' ABIs, which is to become AbiComparison",
}
_TWO_FILES: Mapping[str, str] = {}


def _public_classes() -> dict[str, list[str]]:
    """Public class at the top of a module -> the modules that define it."""
    found: dict[str, list[str]] = defaultdict(list)
    for source in _SOURCES:
        for node in ast.parse(source.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(source.relative_to(HARNESS)))
    return found


def _stems() -> dict[str, list[str]]:
    """Stem of a Python file -> the files with it."""
    found: dict[str, list[str]] = defaultdict(list)
    for source in _SOURCES:
        if source.stem not in ("__init__", "__main__"):
            found[source.stem].append(str(source.relative_to(HARNESS)))
    return found


@pytest.mark.parametrize(
    ("names", "known"), [(_public_classes(), _TWO_CLASSES), (_stems(), _TWO_FILES)], ids=["classes", "files"]
)
def test_a_name_has_one_meaning(names: Mapping[str, Sequence[str]], known: Mapping[str, str]) -> None:
    assert len(names) > 50, "the tree was not found"
    twice = {name: places for name, places in names.items() if len(places) > 1}
    assert {name: places for name, places in twice.items() if name not in known} == {}
    assert [name for name in known if name not in twice] == [], "these have one meaning now: remove them above"


def test_the_house_has_at_most_twelve_entries() -> None:
    entries = sorted(entry.name for entry in HARNESS.iterdir() if entry.name != _GENERATED)
    assert len(entries) <= 12, entries
    assert [name for name in entries if name.endswith(".py")] == ["__init__.py", "__main__.py"], "no loose modules"

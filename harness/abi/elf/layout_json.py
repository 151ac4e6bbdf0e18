# SPDX-License-Identifier: Apache-2.0
"""Layouts as JSON, for the cache: a list of values for each structure and member, as there are a hundred thousand.

If this format changes, raise the version of each cache entry that uses it (_LAYOUTS_CACHE_VERSION in
harness/abi/headers/layouts.py, and _CHANGE_CACHE_VERSION in harness/abi/predict/predictor.py).
"""

from collections.abc import Iterable
from dataclasses import astuple
from typing import Any

from harness.abi.elf.dwarf import Layout, Member


def layouts_as_json(layouts: Iterable[Layout]) -> list[Any]:
    """Layouts in plain types: the values of their fields, in the order of the dataclasses."""
    return [astuple(layout) for layout in layouts]


def layouts_from_json(rows: Iterable[Any]) -> dict[str, Layout]:
    """Layouts by name, from what layouts_as_json() returned."""
    return {row[0]: _layout(*row) for row in rows}


def _layout(name: str, size: int, members: Iterable[Any], alias: str | None, alignment: int) -> Layout:
    return Layout(name, size, tuple(_member(values) for values in members), alias, alignment)


def _member(values: list[Any]) -> Member:
    name, offset, size, kind, embeds, bits = values
    return Member(name, offset, size, kind, embeds, (bits[0], bits[1]) if bits else None)

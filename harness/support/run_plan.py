# SPDX-License-Identifier: Apache-2.0
"""What a run depends on, noted in its folder: a run that was interrupted goes on only with the same."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.support.errors import ModcompatError
from harness.support.folders import write_file

_FILE = "plan.json"


def note_plan(folder: Path, plan: Mapping[str, Any], what: str) -> None:
    """Note what the content of a folder depends on, in JSON values.

    what: the content, for people: "a sweep".
    Raises ModcompatError if the folder has content that depends on something else, or a file of that name.
    """
    note, text = folder / _FILE, json.dumps(plan, indent=1, sort_keys=True)
    if not note.exists():
        write_file(note, text)
    elif note.read_bytes() != text.encode():
        known, plan = _read(note, what), json.loads(text)
        differing = sorted(key for key in {*plan, *known} if plan.get(key) != known.get(key))
        raise ModcompatError(
            f"{folder} has {what} that differs in {', '.join(differing)}",
            next_step="choose another --run-dir; or repeat the options of that one, to go on with it",
        )


def _read(note: Path, what: str) -> dict[str, Any]:
    try:
        known = json.loads(note.read_bytes())
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise ModcompatError(f"{note} is not the plan of {what}", next_step="choose another --run-dir")
    return known

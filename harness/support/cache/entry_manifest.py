# SPDX-License-Identifier: Apache-2.0
"""The manifest of an entry: what it was made from, and every file in it with its size and digest."""

import json
import re
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from harness.support import digest
from harness.support.cache.ownership import MANIFEST

_KEY_CHARS = 16
_UNSAFE = re.compile(r"[^\w.,:+~=@-]", re.ASCII)  # characters that are replaced in names of folders
_MAX_LABEL_CHARS = 120  # the name of a lock has the kind and the key in addition
# Kinds whose files are verified by their sizes alone: a kernel source has tens of thousands of files, and a
# distribution's kernel has thousands of modules.
SIZES_ONLY = frozenset({"source", "shipped"})


def entry_name(label: str, inputs: Mapping[str, Any]) -> str:
    """The name of the entry for these inputs.

    label: for people. It may come from a user's file: characters that are unsafe in a name are replaced.
    """
    safe = _UNSAFE.sub("_", label)[:_MAX_LABEL_CHARS] or "_"
    return f"{safe}-{digest.of_value(inputs)[:_KEY_CHARS]}"


def write_manifest(folder: Path, kind: str, label: str, inputs: Mapping[str, Any]) -> None:
    """Write the manifest of a folder that a build has filled."""
    files = {
        str(path.relative_to(folder)): (path.lstat().st_size, "" if kind in SIZES_ONLY else digest.of_member(path))
        for path in digest.files_below(folder)
    }
    facts = {"kind": kind, "label": label, "inputs": dict(inputs), "digest": digest.DIGEST, "files": files}
    (folder / MANIFEST).write_text(json.dumps(facts, indent=1, sort_keys=True))


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of an entry; None if it is missing or damaged in any way."""
    try:
        facts = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError, RecursionError):
        return None
    expected = {"kind": str, "inputs": dict, "files": dict, "digest": str}
    if not isinstance(facts, dict) or any(not isinstance(facts.get(k), t) for k, t in expected.items()):
        return None
    if facts["digest"] != digest.DIGEST or facts["kind"] != folder.parent.name:
        return None
    return facts if all(_is_a_file(name, content) for name, content in facts["files"].items()) else None


def is_described(folder: Path) -> bool:
    """Whether the manifest of an entry is that of the entry with its name, and lists all of its files."""
    facts = read_manifest(folder)
    if facts is None or entry_name(str(facts.get("label")), facts["inputs"]) != folder.name:
        return False
    found = {str(path.relative_to(folder)) for path in digest.files_below(folder)}
    return found == {MANIFEST, *facts["files"]}


def changed_file(folder: Path, files: Mapping[str, tuple[int, str]]) -> str | None:
    """The first file of a manifest that is missing or changed; None if all are as it says."""
    return next((name for name, facts in files.items() if not _is_intact(folder / name, *facts)), None)


def _is_a_file(name: str, content: Any) -> bool:
    """Whether a manifest may list this file: a path inside the entry, with its size and digest."""
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts
    return inside and isinstance(content, list) and [type(value) for value in content] == [int, str]


def _is_intact(file: Path, size: int, content: str) -> bool:
    try:
        found = file.lstat()
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISLNK(found.st_mode):
            return False
        return found.st_size == size and (not content or digest.of_member(file) == content)
    except (OSError, ValueError):  # ValueError: the name has a null character
        return False

# SPDX-License-Identifier: Apache-2.0
"""Whether a JSON file is what its schema says, in one line for people."""

import functools
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from harness.support.errors import ModcompatError
from harness.support.inputs import content_of

_FOLDER = Path(__file__).parent / "templates"
_LARGEST = 64 << 20  # bytes; the matrix of 500 cells has 0.4 MB


def load(path: Path, schema: str) -> dict[str, Any]:
    """A JSON file that fits a schema of this folder ("matrix", "evidence").

    Raises ModcompatError with what is wrong, and where, for a file that is not there or is something else.
    """
    try:
        facts: dict[str, Any] = json.loads(content_of(path, _LARGEST), parse_constant=_refuse)
    except OSError as error:
        raise ModcompatError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ModcompatError(f"{path} is not JSON: {error}") from None
    version = facts.get("schema", 1) if isinstance(facts, dict) else 1
    if isinstance(version, int) and version > 1:
        raise ModcompatError(f"{path} has schema {version}, which a later modcompat wrote; this one reads schema 1")
    if found := next(Draft202012Validator(named(schema)).iter_errors(facts), None):
        raise ModcompatError(f"{path} is not the {path.name} of a run: {_told(found)}")
    return facts


@functools.cache
def named(schema: str) -> dict[str, Any]:
    """A schema of this folder."""
    facts: dict[str, Any] = json.loads((_FOLDER / f"{schema}.schema.json").read_text())
    return facts


def filled(facts: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The facts with an empty value for every property of the schema that they leave out."""
    return {name: _empty(rule) for name, rule in schema["properties"].items()} | facts


def _empty(rule: dict[str, Any]) -> Any:
    kind = rule.get("type", "null")
    return {"array": [], "object": {}, "string": "", "boolean": False}.get(kind) if isinstance(kind, str) else None


def _told(error: ValidationError) -> str:
    """What does not fit, with the place as in `cells[3].verdict`; short, whatever is in there."""
    place = error.json_path.removeprefix("$").removeprefix(".") or "the file"
    if error.validator == "required":
        return f"in {place}, {error.message}"
    return f"{place} is {_shown(error.instance)}, whose {error.validator} has to be {json.dumps(error.validator_value)}"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")

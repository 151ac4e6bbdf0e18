# SPDX-License-Identifier: Apache-2.0
"""Read JSON files of a run, check them against their schemas, and bring those of older versions up to date."""

import functools
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry, Resource

from harness.support.errors import ModcompatError
from harness.support.inputs import content_of

_FOLDER = Path(__file__).parent / "templates"
_MAX_BYTES = 64 << 20  # the matrix of 500 cells has 0.4 MB
_VERSIONS = {"matrix": 1, "evidence": 2, "sweep": 1}  # `schema` of the files that this version writes
# evidence.json of schema 1, which has no `schema`: old name -> new name
_RENAMED = {
    "obstacles": "blockers",
    "weak": "caveats",
    "works": "liveness_checks",
    "in_use": "feature_checks",
    "used": "features_in_use",
    "listed": "loaded",
    "gone": "removed",
}


def load(path: Path, schema: str) -> dict[str, Any]:
    """Read a JSON file that fits a schema: "matrix", "evidence", "sweep". Fields of older versions get current names.

    Raises ModcompatError, with the problem and its place, for a file that is missing or does not fit.
    """
    try:
        facts: dict[str, Any] = json.loads(content_of(path, _MAX_BYTES), parse_constant=_refuse)
    except OSError as error:
        raise ModcompatError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ModcompatError(f"{path} is not JSON: {error}") from None
    version = facts.get("schema", 1) if isinstance(facts, dict) else 1
    known = _VERSIONS[schema]
    if isinstance(version, int) and version > known:
        raise ModcompatError(
            f"{path} has schema {version}, which a later modcompat wrote; this one reads schema {known}"
        )
    if schema == "evidence" and version == 1:
        facts = _upgraded(facts)
    if found := next(validator(schema).iter_errors(facts), None):
        raise ModcompatError(f"{path} is not the {path.name} of a run: {_description(found)}")
    return facts


def _upgraded(facts: Any) -> Any:
    """Evidence of schema 1, converted to schema 2. Anything else is left for the validation to reject."""
    evidence = facts.get("evidence") if isinstance(facts, dict) else None
    if not isinstance(evidence, dict):
        return facts
    renamed = {_RENAMED.get(name, name): value for name, value in evidence.items()}
    return facts | {"schema": _VERSIONS["evidence"], "evidence": renamed}


@functools.cache
def validator(schema: str) -> Draft202012Validator:
    """The validator of files that have to fit a schema of this folder. Schemas refer to one another."""
    resources = [Resource.from_contents(schema_named(name)) for name in _VERSIONS]
    return Draft202012Validator(schema_named(schema), registry=resources @ Registry())


@functools.cache
def schema_named(schema: str) -> dict[str, Any]:
    """A schema of this folder."""
    facts: dict[str, Any] = json.loads((_FOLDER / f"{schema}.schema.json").read_text())
    return facts


def with_defaults(facts: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The facts, with an empty value for every property of the schema that they lack."""
    return {name: _empty(rule) for name, rule in schema["properties"].items()} | facts


def _empty(rule: dict[str, Any]) -> Any:
    kind = rule.get("type", "null")
    return {"array": [], "object": {}, "string": "", "boolean": False}.get(kind) if isinstance(kind, str) else None


def _description(error: ValidationError) -> str:
    """A short description of a misfit, with its place: `cells[3].verdict`."""
    place = error.json_path.removeprefix("$").removeprefix(".") or "the file"
    if error.validator == "required":
        return f"in {place}, {error.message}"
    required = json.dumps(error.validator_value)
    return f"{place} is {_shown(error.instance)}, but its {error.validator} must be {required}"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a JSON number")

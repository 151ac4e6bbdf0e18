"""Whether a JSON file is what its schema says, in one line for people.

Reads the part of JSON Schema (2020-12) that the schemas in this folder use. The tests hold it against the
`jsonschema` package, which is not needed to run.
"""

import functools
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import ModcompatError

_FOLDER = Path(__file__).parent
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip


def load(path: Path, schema: str) -> dict[str, Any]:
    """A JSON file that fits a schema of this folder ("matrix", "evidence").

    Raises ModcompatError with what is wrong, and where, for a file that is not there or is something else.
    """
    try:
        facts: dict[str, Any] = json.loads(path.read_bytes(), parse_constant=_refuse)
    except OSError as error:
        raise ModcompatError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ModcompatError(f"{path} is not JSON: {error}") from None
    version = facts.get("schema", 1) if isinstance(facts, dict) else 1
    if isinstance(version, int) and version > 1:
        raise ModcompatError(f"{path} has schema {version}, which a later modcompat wrote; this one reads schema 1")
    if found := next(problems(facts, named(schema)), ""):
        raise ModcompatError(f"{path} is not the {path.name} of a run: {found}")
    return facts


@functools.cache
def named(schema: str) -> dict[str, Any]:
    """A schema of this folder."""
    facts: dict[str, Any] = json.loads((_FOLDER / f"{schema}.schema.json").read_text())
    return facts


def filled(facts: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The facts with an empty value for every property of the schema that they leave out."""
    return {name: _empty(rule) for name, rule in schema["properties"].items()} | facts


def problems(value: Any, root: dict[str, Any]) -> Iterator[str]:
    """What of a value does not fit a schema, a line each, with the place as in `cells[3].verdict`."""
    yield from _problems(value, root, root, "")


def _problems(value: Any, schema: dict[str, Any], root: dict[str, Any], place: str) -> Iterator[str]:
    at = place or "the file"
    if "$ref" in schema:
        yield from _problems(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, place)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{at} is {_shown(value)}, not {' or '.join(kinds)}"
        return
    if "const" in schema and (value != schema["const"] or isinstance(value, bool)):
        yield f"{at} is {_shown(value)}, not {schema['const']}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at} is {_shown(value)}, not one of {', '.join(schema['enum'])}"
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{at} is {_shown(value)}, which does not match {schema['pattern']}"
    if _is(value, "number") and not schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf):
        yield f"{at} is {_shown(value)}, which is out of range"
    if isinstance(value, dict):
        known = schema.get("properties", {})
        for name in schema.get("required", []):
            if name not in value:
                yield f"{at} has no {name}"
        for name, inner in value.items():
            if rule := known.get(name, schema.get("additionalProperties")):
                yield from _problems(inner, rule, root, f"{place}.{name}" if place else name)
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
            yield f"{at} has {len(value)} items"
        if "items" in schema:
            for number, inner in enumerate(value):
                yield from _problems(inner, schema["items"], root, f"{place}[{number}]")


def _empty(rule: dict[str, Any]) -> Any:
    kind = rule.get("type", "null")
    return {"array": [], "object": {}, "string": "", "boolean": False}.get(kind) if isinstance(kind, str) else None


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")

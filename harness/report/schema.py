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
from harness.given import content_of

_FOLDER = Path(__file__).parent
_LARGEST = 64 << 20  # bytes; the matrix of 500 cells has 0.4 MB
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip


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
    if "$ref" in schema:
        yield from _problems(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, place)
    if wrong := _wrong(value, schema):
        yield f"{place or 'the file'} is {_shown(value)}, {wrong}"
    elif isinstance(value, dict):
        yield from (f"{place or 'the file'} has no {name}" for name in schema.get("required", []) if name not in value)
        for name, inner in value.items():
            if rule := schema.get("properties", {}).get(name, schema.get("additionalProperties")):
                yield from _problems(inner, rule, root, f"{place}.{name}" if place else name)
    elif isinstance(value, list) and "items" in schema:
        for number, inner in enumerate(value):
            yield from _problems(inner, schema["items"], root, f"{place}[{number}]")


def _wrong(value: Any, schema: dict[str, Any]) -> str:
    """What is wrong with a value by itself, whatever is in it; "" for nothing."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    rules = (
        (not kinds or any(_is(value, kind) for kind in kinds), f"not {' or '.join(kinds)}"),
        ("const" not in schema or json.dumps(value) == json.dumps(schema["const"]), f"not {schema.get('const')}"),
        ("enum" not in schema or value in schema["enum"], f"not one of {', '.join(schema.get('enum', []))}"),
        (not isinstance(value, str) or re.search(schema.get("pattern", ""), value), "which is no such text"),
        (not _is(value, "number") or _within(value, schema, "imum"), "which is out of range"),
        (not isinstance(value, list) or _within(len(value), schema, "Items"), "which has another length"),
    )
    return next((words for holds, words in rules if not holds), "")


def _within(number: float, schema: dict[str, Any], what: str) -> bool:
    """what: "imum" or "Items", the ends of the keywords."""
    return bool(schema.get(f"min{what}", -math.inf) <= number <= schema.get(f"max{what}", math.inf))


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

"""The one line that a user reads when a parameter is refused: what it was and what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "over",
    "maximum": "at most",
    "exclusiveMaximum": "under",
}


def line(place: str, error: dict[str, Any], schema: dict[str, Any]) -> str:
    """Turn one error of pydantic into one line.

    Arguments: `place` names the notebook or file; `error` is one of `ValidationError.errors()`;
    `schema` is the JSON schema of the model that refused.
    """
    if not error["loc"]:
        return f"{place}: {error['ctx']['error'] if 'ctx' in error else error['msg'].lower()}"
    name, *inside = error["loc"]
    if error["type"] == "extra_forbidden":
        return f"{place}: no parameter {name!r}{closest(str(name), schema['properties'])}"
    where = name + "".join(f"[{part}]" for part in inside)
    words = allowed(schema["properties"][name])
    value = repr(error["input"])[:200]
    return f"{place}: {where} = {value} is refused ({_said(error)}); allowed: {words}"


def first(error: ValidationError) -> str:
    """Return where a file does not fit its model, and why: its first error, in one line."""
    found = error.errors()[0]
    where = ".".join(str(part) for part in found["loc"])
    return " ".join(f"{where}: {found['msg'].lower()}".removeprefix(": ").split())


def closest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the closest name and the whole list."""
    near = difflib.get_close_matches(name, known, n=1)
    return (f"; did you mean {near[0]!r}?" if near else ";") + f" Known: {', '.join(known)}"


def allowed(schema: dict[str, Any]) -> str:
    """Say in words what the JSON schema of one parameter allows."""
    if "anyOf" in schema:
        return " or ".join(allowed(option) for option in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    if schema["type"] == "array":
        empty = "" if schema.get("minItems") else ", may be empty"
        return f"list of [{allowed(schema['items'])}] without repeats{empty}"
    if schema["type"] == "object":
        return f"names to [{allowed(schema['additionalProperties'])}]"
    bounds = [f"{words} {schema[key]}" for key, words in BOUNDS.items() if key in schema]
    return ", ".join([TYPES[schema["type"]], *bounds])


def _said(error: dict[str, Any]) -> str:
    """Say what is wrong with one value; `allowed` follows it in the line."""
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "literal_error":
        known = re.findall(r"'([^']+)'", error["ctx"]["expected"])
        near = difflib.get_close_matches(str(error["input"]), known, n=1)
        return f"did you mean {near[0]!r}?" if near else "no such choice"
    return error["msg"].lower()

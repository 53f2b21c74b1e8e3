"""The cell tagged `parameters` of each notebook, written from the notebook's parameter model.

    python -m medrl.studies.parameter_cells          # rewrites the cells of all notebooks

So types and explanations have one source, and `papermill --help-notebook` shows both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medrl.studies import parameters
from medrl_core.files import write_text

TYPES = {
    "integer": "int", "number": "float", "string": "str", "boolean": "bool", "null": "None",
    "array": "list", "object": "dict",
}  # fmt: skip


def type_name(schema: dict[str, Any]) -> str:
    """Return the Python type that the JSON schema of one parameter means, e.g. list[int]."""
    if "anyOf" in schema:
        return " or ".join(type_name(one) for one in schema["anyOf"])
    if "enum" in schema:
        return type(schema["enum"][0]).__name__
    if schema["type"] == "array":
        return f"list[{type_name(schema['items'])}]"
    if schema["type"] == "object":
        return f"dict[str, {type_name(schema['additionalProperties'])}]"
    return TYPES[schema["type"]]


def cell(notebook: str) -> str:
    """Return the source of a notebook's parameters cell: a line a parameter, with its type."""
    schema = parameters.model_of(notebook).model_json_schema()["properties"]
    lines = []
    for name, value in parameters.defaults(notebook).items():
        kind = type_name(schema[name])
        kind = f'"{kind}"' if " or " in kind else kind
        lines.append(f"{name}: {kind} = {_source(value)}  # {schema[name]['description']}")
    lines.append(f'out: str = "runs/dev/{notebook}"  # folder of the results')
    return "\n".join(lines)


def _source(value: Any) -> str:
    """Return a plain value as Python source with double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(_source, value))}]"
    return repr(value)


def write(notebook: str) -> bool:
    """Write a notebook's parameters cell anew; say whether it changed."""
    path = Path("notebooks") / f"{notebook}.ipynb"
    content = json.loads(path.read_text(encoding="utf-8"))
    (found,) = (
        one for one in content["cells"] if "parameters" in one["metadata"].get("tags", [])
    )
    before, found["source"] = found["source"], cell(notebook).splitlines(keepends=True)
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return before != found["source"]


if __name__ == "__main__":
    for name in parameters.NOTEBOOKS:
        print(f"{name}: {'written' if write(name) else 'as it was'}")

"""How the grader and the process of a student's notebook talk: JSON lines of plain data.

Nothing that a student's process sends is code or is unpickled. What is neither a number, a text nor
a list, mapping, set or array of them arrives as an `Other`, which is right for no task.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

LONGEST = 16 * 2**20  # bytes of a line
DEEPEST = 20
NUMBERS = {"b": bool, "i": np.int64, "u": np.uint64, "f": float}  # by the kind of a dtype


@dataclass(frozen=True)
class Other:
    """A value that is no plain data; `kind` names its type."""

    kind: str


def pack(value: Any, functions: list[Callable] | None = None, depth: int = 0) -> Any:
    """Return a value as what JSON can write.

    Arguments: `value` any; `functions` collects the functions in it, which travel as their number.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if depth > DEEPEST:
        return {"other": type(value).__name__}

    def inner(one: Any) -> Any:
        return pack(one, functions, depth + 1)

    if isinstance(value, np.generic):
        return inner(value.item())
    if isinstance(value, np.ndarray) and value.dtype.kind in NUMBERS:
        return {"array": value.tolist(), "dtype": value.dtype.kind, "shape": value.shape}
    if isinstance(value, np.ndarray):
        return inner(value.tolist())
    if isinstance(value, (pd.Series, pd.Index)):
        return inner(value.to_numpy())
    if isinstance(value, pd.DataFrame):
        columns = {str(name): value[name].to_numpy().tolist() for name in value}
        return {"table": inner(columns), "index": inner(value.index.tolist())}
    if isinstance(value, np.random.Generator):
        return {"generator": int(value.integers(2**62))}
    if isinstance(value, dict):
        return {"pairs": [[inner(key), inner(one)] for key, one in value.items()]}
    for kind in (tuple, list, set, frozenset):
        if isinstance(value, kind):
            return {"items": [inner(one) for one in value], "kind": kind.__name__}
    if callable(value) and functions is not None:
        functions.append(value)
        return {"function": len(functions) - 1}
    return {"other": type(value).__name__}


def unpack(packed: Any, function: Callable[[int], Any] | None = None) -> Any:
    """Return the value that was packed.

    Arguments: `packed` from JSON; `function` gives what a function's number is for.
    Raises: ValueError for what `pack` does not make.
    """
    if packed is None or isinstance(packed, (bool, int, float, str)):
        return packed
    try:
        return _made(packed, lambda one: unpack(one, function), function)
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"no packed value: {error}") from None


def _made(packed: dict, inner: Callable, function: Callable[[int], Any] | None) -> Any:
    if "array" in packed:
        kind = NUMBERS[packed["dtype"]]
        return np.array(packed["array"], dtype=kind).reshape(packed["shape"])
    if "table" in packed:
        return pd.DataFrame(inner(packed["table"]), index=inner(packed["index"]))
    if "generator" in packed:
        return np.random.default_rng(packed["generator"])
    if "pairs" in packed:
        return {inner(key): inner(one) for key, one in packed["pairs"]}
    if "items" in packed:
        kinds = {"tuple": tuple, "list": list, "set": set, "frozenset": set}
        return kinds[packed["kind"]](inner(one) for one in packed["items"])
    if "function" in packed and function is not None:
        return function(packed["function"])
    return Other(str(packed["other"])[:80])


def line(message: dict[str, Any]) -> bytes:
    """Return a message as one line of bytes."""
    return json.dumps(message).encode() + b"\n"


def read(text: bytes) -> dict[str, Any]:
    """Return the message of a line.

    Raises: ValueError if it is none.
    """
    try:
        message = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"too deep: {error}") from None
    if not isinstance(message, dict):
        raise ValueError("a message is an object")
    return message

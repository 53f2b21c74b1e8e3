"""Plain data from YAML text: what studies and `-p name=value` hold. Nothing in it can be code."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from medrl_core.errors import UserError

# Signs and values of a text with its aliases written out. No study comes near; ten aliases of ten
# aliases soon pass it.
MOST = 100_000
MERGE = "tag:yaml.org,2002:merge"
# A sign beyond 16 bits as JSON writes it, in two halves that YAML would not put together again.
PAIR = re.compile(r"(?<!\\)(?P<even>(?:\\\\)*)(?P<pair>\\ud[89ab]\w\w\\ud[c-f]\w\w)")


class _Loader(yaml.SafeLoader):
    """Plain data only; reads 1e-4 as the number it is in YAML 1.2 (PyYAML reads a text)."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Let a mapping take in one other; several would multiply from level to level."""
        merged = [value for key, value in node.value if key.tag == MERGE]
        if len(merged) > 1 or any(isinstance(one, yaml.SequenceNode) for one in merged):
            raise yaml.constructor.ConstructorError(None, None, "a mapping may take in one by <<")
        super().flatten_mapping(node)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+"), list("-+0123456789")
)


def parse_yaml(text: str, where: str) -> Any:
    """Return the plain value of a YAML text.

    Arguments: `where` names the text in a message.
    Raises: UserError, in one line, if it is no YAML, or if its aliases unfold to more than MOST.
    """
    try:
        value = yaml.load(text, _Loader)  # noqa: S506  a SafeLoader
        if _unfolded(value) <= MOST:
            return value
        why = "its aliases unfold to too many values: write out what is needed"
    except RecursionError:
        why = "it is nested too deep"
    # PyYAML lets through what Python says of numbers and dates that are none.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
        why = str(error)
    raise UserError(f"{where[:200]} is not YAML: {' '.join(why.split())}") from None


def line(value: Any) -> str:
    """Return one line of ASCII that YAML reads as the value: JSON but for a few signs."""

    def joined(match: re.Match) -> str:
        sign = json.loads('"' + match["pair"] + '"')
        return f"{match['even']}\\U{ord(sign):08x}"

    return PAIR.sub(joined, json.dumps(value).replace("\x7f", r"\x7f"))


def _unfolded(value: Any) -> int:
    """Count signs and values, each as often as it is used, up to a little over MOST."""
    count, left = 0, [value]
    while left and count <= MOST:
        one = left.pop()
        count += 1
        if isinstance(one, str):
            count += len(one.encode())  # which refuses half a pair of 16 bits: no file holds it
        elif isinstance(one, dict):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set):
            left += one
    return count

"""The layers of the install: which are there, and which one a missing package belongs to.

`layer_of("torch")` is "models", and the remedy `pip install 'medrl[models]'`. What belongs to a
layer stands in pyproject.toml alone and is read from the installed package.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from medrl_core.errors import UserError

BASE = ""
# Modules that are named otherwise than the package they come in.
OTHER_NAMES = {
    "IPython": "ipykernel",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "vl_convert": "vl-convert-python",
    "yaml": "pyyaml",
}
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[([\w.,-]+)\])?.*?(?:extra == ['\"]([\w-]+)['\"])?$")


def normal(name: str) -> str:
    """Return the name of a package as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def layers() -> dict[str, tuple[set[str], set[str]]]:
    """Return of each layer, BASE first, its own packages and the layers that it brings."""
    found: dict[str, tuple[set[str], set[str]]] = {BASE: (set(), set())}
    for requirement in importlib.metadata.requires("medrl") or []:
        found_in = _REQUIREMENT.fullmatch(requirement)
        assert found_in, requirement  # each part of the pattern may be empty
        name, brought, layer = found_in.groups()
        packages, others = found.setdefault(layer or BASE, (set(), set()))
        if normal(name) == "medrl":
            others.update(brought.split(","))
        else:
            packages.add(normal(name))
    return found


def packages_of(layer: str) -> set[str]:
    """Return the packages of a layer and of the layers that it brings."""
    own, brought = layers()[layer]
    return own.union(*map(packages_of, brought))


def missing(layer: str) -> list[str]:
    """Return the packages of a layer that are not installed."""
    return [name for name in sorted(packages_of(layer)) if not _is_installed(name)]


def layer_of(module: str) -> str | None:
    """Return the layer that a module belongs to; None if no layer asks for its package."""
    top = module.partition(".")[0]
    package = normal(OTHER_NAMES.get(top, top))
    return next((layer for layer, (own, _) in layers().items() if package in own), None)


def need(layer: str) -> None:
    """Raise a UserError that names a layer unless it is installed."""
    if lacking := missing(layer):
        raise UserError(_remedy(layer, lacking[0]))


@contextmanager
def told() -> Iterator[None]:
    """Turn the import of what a layer would have brought into a UserError that names the layer."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = error.name or ""
        layer = layer_of(module)
        if layer is None:
            raise
        raise UserError(_remedy(layer, module)) from error


def _remedy(layer: str, name: str) -> str:
    command = f"pip install 'medrl[{layer}]'" if layer else "pip install medrl"
    return f"{name} is not installed, which this command needs: {command}"


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True

"""pyproject.toml, constraints.txt and environment.yml ask for the same things."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib

import yaml

from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {normal(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}


def test_constraints_are_exact_versions_and_no_address():
    for name, version in PINS.items():
        assert re.fullmatch(r"[\w.-]+", name)
        assert re.fullmatch(r"[\w.!]+", version), f"{name}: {version}"


def test_each_package_asked_for_is_pinned():
    extras = PROJECT["optional-dependencies"]
    wanted = names(PROJECT["dependencies"] + extras["book"] + extras["test"])
    assert wanted <= {normal(name) for name in PINS}


def test_what_is_installed_is_what_is_pinned():
    installed = {
        normal(found.metadata["Name"]): found.version.partition("+")[0]
        for found in importlib.metadata.distributions()
    }
    pins = {normal(name): version for name, version in PINS.items()}
    own = {"medrl", "pip"}
    assert {n: v for n, v in installed.items() if n not in own and pins.get(n) != v} == {}


def test_conda_environment_is_in_step_with_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, through_pip = environment["dependencies"]
    assert python == f"python{PROJECT['requires-python']}"
    assert pip == "pip"
    assert through_pip == {"pip": ["-c constraints.txt", "-e .[book,cluster,test]"]}
    assert environment["channels"] == ["conda-forge"]


def test_make_installs_what_the_conda_environment_does():
    makefile = (ROOT / "Makefile").read_text()
    assert "pip install -c constraints.txt -e '.[book,cluster,test]'" in makefile
    low, high = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    assert f"(3, {low}) <= sys.version_info < (3, {high})" in makefile


def test_each_package_that_is_imported_is_asked_for():
    import grimp

    graph = grimp.build_graph(
        "medrl_core", "medrl", include_external_packages=True, cache_dir=None
    )
    ours = ("medrl_core", "medrl")
    outside = {module for module in graph.modules if module.partition(".")[0] not in ours}
    sources = importlib.metadata.packages_distributions()
    outside -= sys.stdlib_module_names
    used = {normal(sources.get(module, [module])[0]) for module in outside}
    assert used <= names(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["gpu"])

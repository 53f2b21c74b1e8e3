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


EXTRAS = PROJECT["optional-dependencies"]
ASKED = [*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)]


def test_each_package_asked_for_is_pinned():
    assert names(ASKED) - {"medrl"} <= {normal(name) for name in PINS}


def test_each_lower_bound_is_the_version_that_was_tested():
    pins = {normal(name): version for name, version in PINS.items()}
    for one in ASKED:
        if not one.startswith("medrl["):
            name, version = re.fullmatch(r"([\w.-]+)(?:\[\w+\])?>=([\w.]+)(?:,<\d+)?", one).groups()
            assert version == pins[normal(name)], one


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
    assert through_pip == {"pip": ["-c constraints.txt", "-e .[cluster,dev]"]}
    assert environment["channels"] == ["conda-forge"]


def test_make_installs_what_the_conda_environment_does():
    makefile = (ROOT / "Makefile").read_text()
    assert "$(INSTALL) -c constraints.txt -e '.[cluster,dev]'" in makefile
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
    outside -= {"deepspeed", "vllm"}  # in an environment of their own, on GPUs; they say so
    used = {normal(sources.get(module, [module])[0]) for module in outside}
    assert used <= names([one for one in ASKED if one not in EXTRAS["dev"]])


def test_all_layers_are_installed_by_the_two_that_make_names():
    brought, wanted = set(), ["cluster", "dev"]
    while wanted:
        brought.add(extra := wanted.pop())
        inner = [re.match(r"medrl\[(\w+)\]", one) for one in EXTRAS[extra]]
        wanted += [found[1] for found in inner if found]
    assert brought == set(EXTRAS)


def test_the_packages_say_that_they_are_typed_and_where_the_paper_is():
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    for package in ("medrl", "medrl_core"):
        assert (ROOT / package / "py.typed").is_file()
        assert "py.typed" in tools["setuptools"]["package-data"][package]
    paper = (ROOT / "CITATION.cff").read_text()
    (number,) = re.findall(r"arXiv:(\d{4}\.\d{5})", paper)
    assert PROJECT["urls"]["Paper"].endswith(f"/{number}")

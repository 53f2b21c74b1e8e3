"""Layers of the install: which one a missing package belongs to, and the line that names it."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib

import pytest
import typer
from typer.testing import CliRunner

from conftest import ROOT
from medrl.commands import layers
from medrl.commands import main as cli
from medrl.commands.endings import one_line
from medrl_core.errors import UserError

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What the base layer does not install; nothing in it may import these.
FOREIGN = (
    "accelerate", "datasets", "huggingface_hub", "ipykernel", "IPython", "jupyter_client",
    "matplotlib", "medmnist", "nbclient", "nbformat", "papermill", "peft", "safetensors", "seaborn",
    "sklearn", "snakemake", "timm", "tokenizers", "torch", "torchvision", "transformers", "trl",
)  # fmt: skip
BLOCKED = f"""
import importlib, pkgutil, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FOREIGN!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture
def made_up(monkeypatch):
    """A distribution medrl of a base and three layers, only some of whose packages are there."""
    asked = [
        "numpy>=1",
        "pandas>=1; python_version > '3'",
        'not-there-models>=1; extra == "models"',
        'scipy; extra == "models"',
        'medrl[models]; extra == "train"',
        "not-there-train<2; extra == 'train'",
        'medrl[train]; extra == "study"',
        'typer; python_version > "3" and extra == "study"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: asked)
    layers.layers.cache_clear()
    yield
    layers.layers.cache_clear()


def test_layers_come_from_what_the_package_asks_for(made_up):
    assert layers.layers() == {
        "": ({"numpy", "pandas"}, set()),
        "models": ({"not-there-models", "scipy"}, set()),
        "train": ({"not-there-train"}, {"models"}),
        "study": ({"typer"}, {"train"}),
    }


def test_a_layer_lacks_what_the_layers_that_it_brings_lack(made_up):
    assert layers.missing("") == []
    assert layers.missing("models") == ["not-there-models"]
    assert layers.missing("study") == ["not-there-models", "not-there-train"]
    layers.need("")
    with pytest.raises(UserError) as refused:
        layers.need("study")
    assert str(refused.value) == (
        "not-there-models is not installed, which this command needs: pip install 'medrl[study]'"
    )


@pytest.mark.parametrize(
    ("module", "layer"),
    [
        ("numpy.random", ""), ("not_there_models.nn", "models"), ("not_there_train", "train"),
        ("json", None), ("medrl_core.nothing", None), ("", None),
    ],
)  # fmt: skip
def test_a_module_belongs_to_the_layer_that_asks_for_its_package(made_up, module, layer):
    assert layers.layer_of(module) == layer


def test_the_layers_are_those_of_pyproject():
    """What is installed beside the tests was made of this pyproject.toml."""
    layers.layers.cache_clear()
    extras = PROJECT["optional-dependencies"]
    assert list(layers.layers()) == ["", *extras]
    for layer, asked in {"": PROJECT["dependencies"], **extras}.items():
        own, brought = layers.layers()[layer]
        assert len(own) + len(brought) == len(asked), layer


def test_each_package_belongs_to_one_layer():
    packages = [name for own, _ in layers.layers().values() for name in own]
    assert len(packages) == len(set(packages))


@pytest.mark.parametrize("module", FOREIGN)
def test_each_module_that_the_base_lacks_is_of_a_layer(module):
    layers.layers.cache_clear()
    assert layers.layer_of(module)


def test_a_missing_layer_ends_a_command_with_one_line(made_up, capsys):
    @one_line
    def command() -> None:
        raise ModuleNotFoundError("No module named 'scipy.nothing'", name="scipy.nothing")

    with pytest.raises(typer.Exit) as ended:
        command()
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == (
        "medrl: scipy.nothing is not installed, which this command needs: "
        "pip install 'medrl[models]'\n"
    )


def test_a_missing_module_of_no_layer_is_an_error_of_ours(made_up):
    @one_line
    def command() -> None:
        raise ModuleNotFoundError("No module named 'medrl_core.nothing'", name="medrl_core.nothing")

    with pytest.raises(ModuleNotFoundError):
        command()


def test_a_command_asks_for_its_layer_before_it_does_anything(made_up, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.app, ["run", "02_support"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.endswith("pip install 'medrl[study]'\n")
    assert list(tmp_path.iterdir()) == []


def test_the_base_imports_nothing_of_a_layer():
    """All of `score`, the commands, and the reading of items, each in the order of its package."""
    code = (
        BLOCKED
        + """
names = ["medrl.studies.execution", "medrl_core.data.items", "medrl_core.data.vqa"]
names += ["medrl_core.data.prompts"]
names += ["medrl_core.sample.rollouts", "medrl_core.sample.completions", "medrl_core.report.tables"]
for package in ("medrl_core.score", "medrl.commands"):
    found = importlib.import_module(package)
    below = pkgutil.walk_packages(found.__path__, package + ".")
    names += [package, *(one.name for one in below)]
assert len(names) > 20
models = {"medrl_core.score." + name for name in ("measure", "rivals", "twin")}
for name in [one for one in names if one not in models]:  # these three measure models
    importlib.import_module(name)
"""
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_blocker_blocks():
    code = BLOCKED + "import medrl_core.sample.sampling"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "No module named 'torch'" in done.stderr

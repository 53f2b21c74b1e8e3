"""What a study runs: its YAML, each run's parameters, its folder and what it is made of.

Nothing runs here: see `medrl/studies/execution.py`. Paths are relative to the clone's top folder.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medrl.studies import parameter_types, parameters
from medrl.studies.clone import read_notebook, read_yaml
from medrl_core import refusal
from medrl_core.errors import UserError
from medrl_core.files import sha256

STUDIES = Path("notebooks/studies")
RUNS = Path(os.environ.get("MEDRL_RUNS", "runs"))  # elsewhere: a volume that pods share
BOOK = Path("_build/html/index.html")
STUDY_PATH = re.compile(r"[\w./][\w ./-]*")
DATA_NAME = re.compile(r"""["'](data/[\w./-]+)\\?["']""")  # in a notebook's JSON: \"data/x\"


class Resources(BaseModel):
    """What one run may need; Snakemake passes it to a cluster's scheduler."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    mem_mb: int = Field(4000, ge=1, description="memory in MB")
    minutes: int = Field(15, ge=1, description="wall time in minutes")
    cores: int = Field(1, ge=1, description="processor cores")
    gpus: int = Field(0, ge=0, description="GPUs")


class Study(BaseModel):
    """One named set of parameters for all notebooks, as its YAML file says.

    `defaults` go to each notebook that has the parameter; `runs` maps a notebook to its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(pattern="^[a-z0-9][a-z0-9-]*$", description="file name without .yaml")
    path: str = Field(min_length=1, description="the YAML file")
    title: str = Field(min_length=1, description="title in the book")
    label: str = Field(min_length=1, description="which data and model, shown with each result")
    defaults: dict[str, Any] = Field({}, description="parameters of several notebooks")
    runs: dict[str, dict[str, Any]] = Field(min_length=1, description="parameters a notebook")
    resources: dict[str, Resources] = Field({}, description="what a notebook may need")


def load_study(name: str) -> Study:
    """Read a study by name or by the path of its YAML file, and check each of its runs.

    Raises: UserError for an unknown study, unreadable YAML, a refused parameter, or runs that need
    each other.
    """
    if not STUDIES.is_dir():
        raise UserError(f"no folder {STUDIES} here; run medrl in the top folder of the clone")
    path = Path(name) if name.endswith(".yaml") else STUDIES / f"{name}.yaml"
    if not path.is_file():
        known = sorted(found.stem for found in STUDIES.glob("*.yaml"))
        raise UserError(f"no study {name!r}{refusal.closest(name, known)}")
    if not STUDY_PATH.fullmatch(path.as_posix()):
        raise UserError(
            f"the path {path.as_posix()!r} holds signs that Snakemake would read as more than a "
            "name: use letters, digits, space and . _ - /"
        )
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold title, label and runs")
    if isinstance(content.get("runs"), dict):  # "02_support:" with nothing below it is None
        content["runs"] = {notebook: own or {} for notebook, own in content["runs"].items()}
    try:
        study = Study.model_validate({**content, "name": path.stem, "path": path.as_posix()})
    except ValidationError as error:
        raise UserError(f"{path}: {refusal.first(error)}") from None
    try:
        _check(study)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return study


def _check(study: Study) -> None:
    """Check all runs of a study, what they refer to, and that no run needs itself."""
    models = [parameters.model_of(notebook) for notebook in study.runs]
    for name in study.defaults:
        if not any(name in model.model_fields for model in models):
            raise UserError(f"no notebook of the study takes the default {name!r}")
    for notebook in study.resources:
        if notebook not in study.runs:
            raise UserError(f"resources for {notebook}, which the study does not run")
    graph = {}
    for notebook in study.runs:
        graph[notebook] = dependencies(resolve(study, notebook))
        for needed in graph[notebook]:
            if needed not in study.runs:
                raise UserError(f"{notebook} needs run:{needed}, which is not in runs")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise UserError(f"runs need each other: {' -> '.join(error.args[1])}") from None


def resolve(
    study: Study, notebook: str, overrides: dict[str, Any] | None = None
) -> parameters.Common:
    """Return the checked parameters of one run; `run:` references are kept.

    Arguments: `overrides` wins over the study's values for the notebook, they win over the study's
    defaults, and those over the notebook's own.
    """
    overrides = overrides or {}
    if "study" in overrides:
        raise UserError("the study is chosen by --study, not by -p study=...")
    fields = parameters.model_of(notebook).model_fields
    shared = {name: value for name, value in study.defaults.items() if name in fields}
    own = study.runs.get(notebook, {})
    values = {**shared, **own, **overrides, "study": study.name}
    return parameters.check(notebook, values)


# Name of a run folder to its notebook and parameters: what Snakemake may be asked to make.
Planned = dict[str, tuple[str, parameters.Common]]


def planned(study: Study) -> Planned:
    """Return all runs of a study."""
    return {notebook: (notebook, resolve(study, notebook)) for notebook in study.runs}


def assignments(words: list[str]) -> dict[str, str]:
    """Split name=value words of the command line; a UserError says how one is written."""
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise UserError(f"-p {word}: write -p name=value, e.g. -p k=8")
        if name in found:
            raise UserError(f"-p {name} is given twice")
        found[name] = text
    return found


def dependencies(values: parameters.Common) -> list[str]:
    """Return the notebooks whose runs the `run:` references of these parameters name."""
    matches = (parameter_types.REFERENCE.fullmatch(text) for text in _texts(values.model_dump()))
    return sorted({match["notebook"] for match in matches if match})


def with_paths(values: parameters.Common) -> dict[str, Any]:
    """Return plain parameters with each `run:NOTEBOOK/path` as a path below runs/."""
    study = values.study

    def path(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: path(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [path(inner) for inner in value]
        if isinstance(value, str) and (match := parameter_types.REFERENCE.fullmatch(value)):
            return (RUNS / study / match["notebook"] / (match["path"] or "")).as_posix()
        return value

    return path(values.model_dump())


def run_folder(study: Study, notebook: str, values: parameters.Common) -> Path:
    """Return where a run lies: runs/STUDY/NOTEBOOK, or NOTEBOOK@HASH for parameters of its own."""
    folder = RUNS / study.name / notebook
    if values == resolve(study, notebook):
        return folder
    return folder.with_name(f"{notebook}@{_sha256(_canonical(values).encode())[:8]}")


def fingerprint(study: Study, notebook: str, values: parameters.Common) -> dict[str, str]:
    """Return the SHA-256 of all that a run is made of, by name.

    That is its parameters, its notebook, the core modules it uses, the data files that any of these
    name, and the fingerprint of each run it needs. Contents count, times do not.
    """
    code = [notebook_path(notebook), *core_files(notebook)]
    files = {*code, *_named_in(code), *data_files(values)}
    parts = {_name(path): file_hash(path) for path in files}
    parts[_name(code[0])] = _notebook_hash(code[0])
    parts["parameters"] = _sha256(_canonical(values).encode())
    for needed in dependencies(values):
        upstream = fingerprint(study, needed, resolve(study, needed))
        parts[f"run:{needed}"] = _sha256(json.dumps(upstream, sort_keys=True).encode())
    return dict(sorted(parts.items()))


def book_fingerprint(study: Study, edition: str) -> dict[str, str]:
    """Return the SHA-256 of all that the book is made of besides the runs, by name."""
    folders = (Path("book"), Path("data"), Path("_config.yml"), Path("CITATION.cff"), STUDIES)
    files = {file for folder in folders for file in _files_below(folder)}
    files.update(module_files({"medrl.book.assembly"}))
    # The status page lists all runs, those with parameters of their own too, and failures.
    files.update(RUNS.glob(f"{study.name}/[0-9]*/manifest.json"))
    files.update(RUNS.glob(f".failed/{study.name}/*/failure.json"))
    named = {"study": study.name, "edition": edition}
    return named | {path.as_posix(): file_hash(path) for path in sorted(files)}


def notebook_path(notebook: str) -> Path:
    """Return the path of a notebook's source."""
    path = Path("notebooks") / f"{notebook}.ipynb"
    if not path.is_file():
        raise UserError(f"{path} is missing; medrl runs in the top folder of a whole clone")
    return path


def core_files(notebook: str) -> list[Path]:
    """Return the core's source files that a notebook uses, directly or through others."""
    return module_files(_imported(notebook_path(notebook)))


def module_files(names: set[str]) -> list[Path]:
    """Return the source files of core modules and of all core modules that they import."""
    graph = _import_graph()
    lost = {name for name in names if name.partition(".")[0] == "medrl"} - graph.modules
    if lost:
        raise LookupError(f"no module {', '.join(sorted(lost))}: a list of modules is out of date")
    roots = names & graph.modules
    modules = roots.union(*(graph.find_upstream_modules(name) for name in roots))
    files = (Path(importlib.util.find_spec(name).origin) for name in modules)
    return sorted(Path(os.path.relpath(path)) for path in files)


def data_files(values: parameters.Common) -> list[Path]:
    """Return the files that parameters name: files and folders that exist, and MedMNIST files."""
    given = values.model_dump(exclude={"study", "root", "vqa_root"})
    files = {file for text in _texts(given) for file in _files_below(Path(text))}
    root = Path(given_root(values) or os.path.expanduser("~/.medmnist"))
    for group in given.get("groups", []):
        kind, _, name = group.partition(":")
        if kind in ("strips", "medmnist"):
            files.update(root.glob(f"{name.partition(':')[0]}.npz"))
    if "benchmarks" in given and (root := values.vqa_root or os.environ.get("VQA_ROOT")):
        files.update(_files_below(Path(root)))
    return sorted(files)


def given_root(values: parameters.Common) -> str | None:
    """Return the folder of MedMNIST files that a run reads, None where nobody named one."""
    return getattr(values, "root", None) or os.environ.get("MEDMNIST_ROOT")


def _name(path: Path) -> str:
    """Return a file's path in the clone, or its name alone where it lies elsewhere.

    So a manifest tells nothing of the machine, and a moved data folder makes no run stale.
    """
    inside = not path.is_absolute() and path.parts[0] != ".."
    return path.as_posix() if inside else f"elsewhere/{path.name}"


def _named_in(code: list[Path]) -> set[Path]:
    """Return the files below data/ that notebooks and modules name in quotes."""
    names = {name for path in code for name in DATA_NAME.findall(path.read_text())}
    return {file for name in names for file in _files_below(Path(name))}


@cache
def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, which is taken once a process."""
    return sha256(path)


def _notebook_hash(path: Path) -> str:
    """Return the SHA-256 of a notebook without its cell tagged install, which changes no result."""
    content = read_notebook(path)
    content["cells"] = [
        cell for cell in content["cells"] if "install" not in cell["metadata"].get("tags", [])
    ]
    text = json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    return _sha256(text.encode())


@cache
def _import_graph():
    import grimp

    return grimp.build_graph("medrl_core", "medrl", cache_dir=None)


def _imported(path: Path) -> set[str]:
    """Return each dotted name that the import statements of a notebook may mean."""
    names = set()
    for cell in read_notebook(path)["cells"]:
        if cell["cell_type"] != "code":
            continue
        lines = "".join(cell["source"]).splitlines()
        code = "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))
        try:
            nodes = list(ast.walk(ast.parse(code)))
        except SyntaxError as error:
            raise UserError(f"{path}: a code cell is not Python: {error}") from None
        for node in nodes:
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module)
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _texts(value: Any) -> Iterator[str]:
    """Yield each text in nested lists and mappings (values, not keys)."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _files_below(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in path.rglob("*") if file.is_file())
    elif path.is_file():
        yield path


def _canonical(values: parameters.Common) -> str:
    return json.dumps(values.model_dump(), sort_keys=True)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

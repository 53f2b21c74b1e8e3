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
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import medrl_core
from medrl.studies import parameter_types, parameters
from medrl.studies.clone import read_notebook, read_yaml
from medrl_core import refusal
from medrl_core.data import benchmarks, groups, medmnist, own
from medrl_core.data.rows import PINNED
from medrl_core.errors import UserError, first_three
from medrl_core.files import sha256
from medrl_core.models import whole

STUDIES = Path("notebooks/studies")
RUNS = Path(os.environ.get("MEDRL_RUNS", "runs"))  # elsewhere: a volume that pods share
BOOK = Path("_build/html/index.html")
STUDY_PATH = re.compile(r"[\w./][\w ./-]*")
DATA_NAME = re.compile(r"""["'](data/[\w./-]+)\\?["']""")  # in a notebook's JSON, \" for a quote


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
    texts = (text for _, text in _texts_at(values.model_dump()))
    matches = (parameter_types.REFERENCE.fullmatch(text) for text in texts)
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
    named = {*code, *_named_in(code)}
    files = {_inside(path) or _in_package(path): path for path in named} | data_files(values)
    parts = {name: file_hash(path.resolve()) for name, path in files.items()}
    parts[_inside(code[0])] = _notebook_hash(code[0])
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
    found = (importlib.util.find_spec(name) for name in modules)
    files = (one.origin for one in found if one and one.origin)
    return sorted(Path(os.path.relpath(path)) for path in files)


def data_files(values: parameters.Common) -> dict[str, Path]:
    """Return the files that parameters name, each under a name of its own.

    These are files and all files of folders, an adapter's base, the pictures that rows of items
    name, and MedMNIST files. A file of the clone has its path in it as name. Another has the
    parameter that leads to it and its path from there on: so the names tell nothing of the machine,
    a moved data folder makes no run stale, and two files are never taken for one.
    """
    given = values.model_dump(exclude={"study", "root", "vqa_root"})
    found: dict[str, Path] = {}

    def add(place: str, base: Path, files: Iterable[Path]) -> None:
        for path in files:
            found[_inside(path) or f"{place}: {_below(path, base)}"] = path

    for place, text in _texts_at(given):
        base = Path(text)
        add(place, base, _files_below(base))
        if place.partition(".")[0] in SOURCES:
            add(place, base, own.files(text))
        if (base / whole.ADAPTER).is_file():
            below = Path(whole.base_of(base))
            add(f"{place}, base", below, _files_below(below))
    named = values.model_dump()
    folder = named.get("root")
    images = (medmnist.path_of(name, folder) for name in _medmnist_sets(named))
    add("root", medmnist.folder(folder), (path for path in images if path.is_file()))
    if _benchmarks(named) and (root := named.get("vqa_root") or os.environ.get("VQA_ROOT")):
        add("vqa_root", Path(root), _files_below(Path(root)))
    return dict(sorted(found.items()))


# Parameters whose texts may be sources of the user's own items.
SOURCES = ("groups", "controls_on", "train_on", "sources")


def _groups(named: dict[str, Any]) -> list[str]:
    """Return the groups of items that parameters name."""
    texts = _texts_at({name: named.get(name) for name in SOURCES[:-1]})
    return list(dict.fromkeys(text for _, text in texts))


def _own_trained_on(named: dict[str, Any]) -> list[str]:
    """Return the sources of the user's own that are there and that a run trains on."""
    if "init" not in named:
        return []
    asked = [text for _, text in _texts_at(named.get("train_on", named.get("groups")))]
    return [text for text in asked if groups.kind(text) == "own" and Path(text).exists()]


def _medmnist_sets(named: dict[str, Any]) -> list[str]:
    parts = [group.split(":") for group in _groups(named)]
    return list(dict.fromkeys(one[1] for one in parts if one[0] in ("strips", "medmnist")))


def _benchmarks(named: dict[str, Any]) -> list[str]:
    asked = [group.partition(":")[2] for group in _groups(named) if group.startswith("vqa:")]
    return [*named.get("benchmarks", []), *asked]


def lacking(values: parameters.Common) -> list[str]:
    """Return what a run would look for on this machine and not find, or refuse; [] if nothing."""
    named, found = values.model_dump(), []
    own_items = {"groups": [one for one in _groups(named) if groups.kind(one) == "own"]}
    for place, text in _texts_at(own_items | {"sources": named.get("sources", {})}):
        if not Path(text).exists() and not PINNED.fullmatch(text):
            found.append(f"file {text} ({place})")
    for text in _own_trained_on(named):
        try:
            groups.check_split(text, "train")
        except UserError as error:
            found.append(str(error))
    for name in _medmnist_sets(named):
        try:
            if medmnist.path_of(name, named["root"]).is_file():
                medmnist.verify(name, named["root"], allow=tuple(named["allow"]))
            else:
                found.append(f"file of {name}: medrl data fetch {name}")
        except UserError as error:
            found.append(str(error))
    try:
        if asked := _benchmarks(named):
            there = benchmarks.places(asked, named.get("vqa_root"), named.get("sources", {}))
            # A benchmark of 07 that is not there is "not run"; a group has to be.
            wanted = [name for name in asked if name not in named.get("benchmarks", [])]
            found += [
                f"items of {name}: set VQA_ROOT to the folder of the benchmarks"
                for name in wanted if name not in there
            ]  # fmt: skip
    except UserError as error:
        found.append(str(error))
    return found


def provide(values: parameters.Common) -> None:
    """Fetch the MedMNIST files that a run needs and are not there, and check what it looks for.

    Raises: UserError, in one line, before anything of the run starts.
    """
    named = values.model_dump()
    for name in _medmnist_sets(named):
        medmnist.fetch(name, named["root"])
    if missing := lacking(values):
        raise UserError(f"before anything is made: {first_three(missing, '; ')}")


def _inside(path: Path) -> str:
    """Return a file's path in the clone; "" where it lies elsewhere."""
    here, path = Path.cwd().resolve(), Path(os.path.abspath(path))
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else ""


def _in_package(path: Path) -> str:
    """Return the path of a module that is installed elsewhere, from its package on."""
    package = Path(str(medrl_core.__file__)).parents[1]
    return path.resolve().relative_to(package.resolve()).as_posix()


def _below(path: Path, base: Path) -> str:
    """Return a file's path below what a parameter names; outside, its name and a digest of all."""
    path, base = Path(os.path.abspath(path)), Path(os.path.abspath(base))
    if path == base or not path.is_relative_to(base if base.is_dir() else base.parent):
        digest = "" if path == base else f" {_sha256(path.as_posix().encode())[:8]}"
        return f"{path.name}{digest}"
    return path.relative_to(base if base.is_dir() else base.parent).as_posix()


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


def _texts_at(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text in nested lists and mappings (values, not keys), and where it is."""
    if isinstance(value, str):
        yield place, value
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, one in inner:
        yield from _texts_at(one, f"{place}.{key}" if place else str(key))


def _files_below(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in path.rglob("*") if file.is_file())
    elif path.is_file():
        yield path


def _canonical(values: parameters.Common) -> str:
    return json.dumps(values.model_dump(), sort_keys=True)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

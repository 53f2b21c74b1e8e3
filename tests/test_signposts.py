"""Every file, module, function, section and command that a docstring or a page names exists.

Read are the docstrings and comments of the two packages, the chapters, the notebooks' texts and the
pages at the top of the clone.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from functools import cache
from pathlib import Path

import nbformat
import pytest
import typer

from conftest import ROOT
from medrl.commands.main import app

PACKAGES = ("medrl", "medrl_core")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "book").glob("*.md"), *(ROOT / "data").rglob("*.md")])
NOTEBOOKS = sorted([*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("book/labs/*.ipynb")])

FOLDERS = "medrl|medrl_core|tests|book|notebooks|data|profiles|benchmarks|\\.ci"
# tests/score/test_passk.py, data/claims.yaml; not data/records/STUDY, which stands for many.
PATH = re.compile(rf"(?<![\w/.@-])(?:{FOLDERS})/[\w./-]*[\w]")
PAGE = re.compile(r"(?<![\w/.-])[A-Z][A-Z-]+\.(?:md|cff)\b")
NOTEBOOK = re.compile(r"(?<![\w/.-])0\d_[a-z]+\b")
# An import in code, `rollouts.key` in a docstring.
DOTTED = re.compile(r"`([a-z]\w*(?:\.\w+)+)(?:\(.*?\))?`")
# Not r_i, which is mathematics.
NAME = re.compile(r"`([A-Za-z]\w+_\w{2,}|[A-Z][a-z]+[A-Z]\w+)(?:\(.*?\))?`")
# What is no attribute but the ending of a file.
ENDINGS = {
    "bib", "csv", "gz", "html", "ipynb", "jsonl", "json", "md", "npz", "parquet", "pdf", "png",
    "py", "safetensors", "svg", "toml", "txt", "yaml", "yml", "zip",
}  # fmt: skip
# Names of other libraries and of files of theirs.
FOREIGN = {"save_to_disk", "log_extra", "train_images", "train_labels"}
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:`|\.venv/bin/|^)medrl ([a-z]+)", re.M)
TARGET = re.compile(r"(?:`|^)make ([a-z][a-z-]*)", re.M)
# Pages and sections of other places, which a reader of the clone does not have.
ELSEWHERE = re.compile(r"\bdesign(?:\.md)?,? section", re.I)
# Written by commands, not committed; papers and other projects have such names too.
MADE = re.compile(
    r"^data/(records|law\.json|strips-base|answers\.parquet)|^notebooks/\.ipynb_checkpoints"
)


@cache
def modules() -> dict[str, ast.Module]:
    """The parsed source of each module, by its dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            path.read_text()
        )
        for path in SOURCES
    }


def names_in(body: list[ast.stmt]) -> set[str]:
    """What a module or class defines or imports at its top."""
    found: set[str] = set()
    for one in body:
        if isinstance(one, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(one.name)
        elif isinstance(one, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in one.names}
        elif isinstance(one, ast.If | ast.Try | ast.With):
            found |= names_in(one.body)
        else:
            for part in ast.walk(one):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    found.add(part.id)
    return found


@cache
def words() -> set[str]:
    """Each name that code uses, and each word of a text in it that is no docstring."""
    found: set[str] = set()
    for tree in modules().values():
        docstrings = {one.value for one in ast.walk(tree) if isinstance(one, ast.Expr)}
        for one in ast.walk(tree):
            if isinstance(one, ast.Name):
                found.add(one.id)
            elif isinstance(one, ast.Attribute):
                found.add(one.attr)
            elif isinstance(one, ast.arg) or isinstance(one, ast.keyword) and one.arg:
                found.add(one.arg)
            elif isinstance(one, ast.alias):
                found |= set(one.name.split("."))
            elif isinstance(one, ast.FunctionDef | ast.ClassDef):
                found.add(one.name)
            elif isinstance(one, ast.Constant) and one not in docstrings:
                found |= set(re.findall(r"\w+", str(one.value)))
    return found


def exists(dotted: str) -> bool | None:
    """Whether a dotted name leads somewhere; None if its first part is no module of ours."""
    head, *rest = dotted.split(".")
    if head in PACKAGES:
        starts = [head]
    else:
        starts = [name for name in modules() if name.rpartition(".")[2] == head]
    if not starts:
        return None
    return any(_reached(start, rest) for start in starts)


def _reached(module: str, rest: list[str]) -> bool:
    while rest and f"{module}.{rest[0]}" in modules():
        module, rest = f"{module}.{rest[0]}", rest[1:]
    body = modules()[module].body
    for name in rest:
        if name not in names_in(body):
            return False
        classes = [one for one in body if isinstance(one, ast.ClassDef) and one.name == name]
        if not classes:
            return True  # what a function or a value has is not looked at
        body = classes[0].body
    return True


def told_in(source: str) -> str:
    """The docstrings and comments of a module."""
    parts = [one.string for one in tokenize.generate_tokens(io.StringIO(source).readline)
             if one.type == tokenize.COMMENT]  # fmt: skip
    for one in ast.walk(ast.parse(source)):
        if isinstance(one, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            parts.append(ast.get_docstring(one) or "")
    return "\n".join(parts)


def dead_paths(text: str) -> list[str]:
    """The files, pages and notebooks that a text names and that are not there."""
    paths = [found[0] for found in PATH.finditer(text)]
    dead = [one for one in paths if not (MADE.match(one) or _there(one))]
    dead += [one for one in PAGE.findall(text) if not (ROOT / one).is_file()]
    dead += [one for one in NOTEBOOK.findall(text) if not _notebook(one)]
    return dead + ELSEWHERE.findall(text)


def _there(path: str) -> bool:
    # A name without its ending: book/again for book/again.md.
    return (ROOT / path).exists() or any((ROOT / path).parent.glob(f"{Path(path).name}.*"))


def _notebook(name: str) -> bool:
    return (ROOT / f"notebooks/{name}.ipynb").is_file() or any(ROOT.glob(f"book/labs/{name}.ipynb"))


def dead_names(text: str) -> list[str]:
    """The modules, functions and other names in backticks that lead nowhere."""
    dotted = [one for one in DOTTED.findall(text) if one.rpartition(".")[2] not in ENDINGS]
    dead = [one for one in dotted if exists(one) is False]
    return dead + [one for one in NAME.findall(text) if one not in words() | FOREIGN]


def dead_commands(text: str) -> list[str]:
    """The commands of medrl and the targets of make that are none."""
    group = typer.main.get_command(app)
    dead = [f"medrl {one}" for one in COMMAND.findall(text) if one not in group.commands]
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    return dead + [f"make {one}" for one in TARGET.findall(text) if one not in targets]


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def dead_links(page: Path) -> list[str]:
    """The relative links of a page without their file, or without their section."""
    dead = []
    for link in LINK.findall(page.read_text()):
        if "://" in link or "{" in link or link.startswith(("mailto:", "files/")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not (target.exists() or any(target.parent.glob(f"{target.name}.*"))):
            dead.append(link)
        elif anchor and target.suffix == ".md":
            text = target.read_text()
            anchors = {slug(one) for one in re.findall(r"^#+ (.*)$", text, re.M)}
            anchors |= set(re.findall(r"^\(([\w-]+)\)=", text, re.M))
            if anchor not in anchors:
                dead.append(link)
    return dead


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_docstring_or_comment_names_exists(path):
    text = told_in(path.read_text())
    assert dead_paths(text) + dead_names(text) + dead_commands(text) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_page_names_exists(page):
    text = page.read_text()
    assert dead_paths(text) + dead_names(text) + dead_commands(text) + dead_links(page) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_what_the_text_of_a_notebook_names_exists(path):
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert dead_paths(text) + dead_names(text) + dead_commands(text) == []


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ("tests/score/test_passk.py and data/claims.yaml", []),
        ("tests/test_gone.py", ["tests/test_gone.py"]),
        ("`medrl_core.measure`", ["medrl_core.measure"]),
        ("`medrl_core.score.passk.pass_at_k`, `passk.guess_floor()`", []),
        ("`rollouts.key`", ["rollouts.key"]),
        ("`RolloutStore.keys` of `rollouts.RolloutStore.keys`", []),
        ("`rollouts.RolloutStore.gone`", ["rollouts.RolloutStore.gone"]),
        ("`results.json`, `np.mean`, `some.thing`", []),
        ("`is_nowhere_used`, `NoSuchClass(1)`, `pass_at_k`", ["is_nowhere_used", "NoSuchClass"]),
        ("as in PAPER.md, see README.md", ["PAPER.md"]),
        ("design, section 7", ["design, section"]),
        ("02_support, not 12_support, 09_gone", ["09_gone"]),
        ("`medrl score DIR`, `medrl gone`, `make book`", ["medrl gone"]),
        ("`make gone`", ["make gone"]),
    ],
)  # fmt: skip
def test_a_signpost_that_leads_nowhere_is_found(text, dead):
    assert dead_paths(text) + dead_names(text) + dead_commands(text) == dead


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One, two\n[a](page.md) [b](#one-two) [c](gone.md) [d](page.md#three) [e](https://x.org)\n"
    )
    assert dead_links(page) == ["gone.md", "page.md#three"]

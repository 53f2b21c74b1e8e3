"""The page on the code: what the notebooks import, from the docstrings, and links from their cells.

Source is parsed, never imported, so the page needs no layer and runs no code.
Run its test: `pytest tests/book/test_api_page.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

from medrl.studies import clone, parameters
from medrl_core.report import myst

CORE = "medrl_core"


def functions() -> dict[str, Callable[[], str]]:
    """Return what a chapter's template can name."""
    return {"api": page}


def imported(code: str) -> dict[str, str]:
    """Return the names that a cell imports from the core, and the module that says what each does.

    Arguments: `code` of a cell; one that Python cannot read imports nothing.
    """
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return {}
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == CORE:
            for one in node.names:
                inner = f"{node.module}.{one.name}"
                module = inner if _file(inner).is_file() else str(node.module)
                found[one.asname or one.name] = module
    return found


def links(code: str) -> str:
    """Return a line of links from the names that a cell imports to what they do; "" for none."""
    names = imported(code).items()
    said = ", ".join(f"[{myst.escape(name)}](#{target(module)})" for name, module in names)
    return f"What these names do: {said}." if said else ""


def target(module: str) -> str:
    """Return the name under which the page has a module."""
    return f"api-{myst.slug(*module.split('.'))}"


def page() -> str:
    """Return a block a module that some notebook imports, in the order of their names."""
    names = set()
    for notebook in parameters.NOTEBOOKS:
        for cell in clone.read_notebook(Path(f"notebooks/{notebook}.ipynb"))["cells"]:
            if cell["cell_type"] == "code":
                names |= set(imported("".join(cell["source"])).values())
    return "\n\n".join(_module(name) for name in sorted(names)) + "\n"


def _module(name: str) -> str:
    tree = ast.parse(clone.read_text(_file(name)))
    parts = [
        f"({target(name)})=\n\n## {myst.escape(name)}",
        f"`{_file(name).as_posix()}`",
        myst.fenced(ast.get_docstring(tree) or ""),
    ]
    for node in tree.body:
        if _public(node):
            parts.append(myst.fenced(ast.unparse(_short(node)), "python"))
    return "\n\n".join(parts)


def _file(module: str) -> Path:
    return Path(*module.split(".")).with_suffix(".py")


def _public(node: ast.stmt) -> bool:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return isinstance(node, kinds) and not node.name.startswith("_")


def _short(node: ast.stmt) -> ast.stmt:
    """Leave of a function its signature and docstring, of a class its public methods so."""
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    said = node.body[:1] if ast.get_docstring(node) else []
    rest: list[ast.stmt] = []
    if isinstance(node, ast.ClassDef):
        rest = [_short(one) if _public(one) else one for one in node.body[len(said) :]
                if _public(one) or isinstance(one, ast.AnnAssign)]  # fmt: skip
    node.body = [*said, *rest] or [ast.Expr(ast.Constant(...))]
    return node

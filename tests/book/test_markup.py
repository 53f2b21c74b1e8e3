"""Texts that a model or a stranger wrote, on each kind of page, in a real browser: never run."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import Browser

from browsing import listen
from made_runs import ROOT, raw_html, write_rollouts, write_run
from medrl.book import assembly, law_player, origin, samples, status
from medrl.book.chapter import Chapter
from medrl.commands.scores import score_folder
from medrl.studies import comparison, plan, sweep
from medrl.studies import manifest as provenance
from medrl_core.report import figures, modelcard, tables
from medrl_core.report.results import Results
from medrl_core.sample import rollouts

# Each sets window.hit where a browser, MyST or Jinja takes it for more than a text.
HOSTILE = [
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    "<svg onload=window.hit=1><script>window.hit=1</script></svg>",
    "</code></pre></textarea></title></style><script>window.hit=1</script>",
    '" onmouseover="window.hit=1" autofocus onfocus="window.hit=1" x="',
    "' onmouseover='window.hit=1' autofocus onfocus='window.hit=1' x='",
    "<a href='javascript:window.hit=1' id=linked>x</a>",
    "[linked](javascript:window.hit=1) ![shown](x)",
    "<javascript:window.hit=1> <https://outside.example/>",
    "<iframe srcdoc='<script>parent.hit=1</script>'></iframe>",
    "<details open ontoggle=window.hit=1>x</details>",
    "<style>@import 'https://outside.example/a.css';</style>",
    "<meta http-equiv=refresh content='0;url=javascript:window.hit=1'>",
    "``` \n```{raw} html\n<script>window.hit=1</script>\n```",
    ":::{raw} html\n<script>window.hit=1</script>\n:::",
    "{raw}`x` {download}`/etc/passwd` {include}`x` {{ cycler.__init__ }} {% include 'x' %} {# x #}",
    "```{eval-rst}\n.. raw:: html\n\n   <script>window.hit=1</script>\n```",
    "$\\href{javascript:window.hit=1}{x}$ $$\\frac{$ \\(x\\)",
    "[x]{.study onclick=window.hit=1} [^1] [x][y] (x)= % comment",
    "| a | b |\n|---|---|\n| <b onclick=window.hit=1>c</b> | d |",
    "</script><script>window.hit=1</script><!-- --> ]]> &lt;script&gt; &#60;b&#62; \\<b\\>",
    "\\u003cscript>window.hit=1</script> \u2028window.hit=1",
    "<form action='javascript:window.hit=1'><button id=pressed>x</button></form>",
    "<math><mtext><script>window.hit=1</script></mtext></math>",
]
INSIDE = """() => {
  const all = [...document.querySelectorAll("*")];
  const hostile = (text) => /window\\.hit|parent\\.hit|outside\\.example/.test(text || "");
  const found = [];
  for (const one of all) {
    for (const { name, value } of one.attributes) {
      if (name.startsWith("on") && hostile(value)) found.push(`${one.tagName} ${name}`);
      if (["href", "src", "action", "srcdoc", "content"].includes(name) && hostile(value)) {
        found.push(`${one.tagName} ${name}=${value}`);
      }
    }
    const code = ["SCRIPT", "STYLE"].includes(one.tagName.toUpperCase());
    if (code && !one.src && hostile(one.textContent) && !one.textContent.includes("medrl")) {
      found.push(one.outerHTML.slice(0, 200));
    }
  }
  return found;
}"""


TOUCHED = """() => document.querySelectorAll("a, button, b, td, p, img").forEach((one) => {
  for (const kind of ["mouseover", "focus"]) one.dispatchEvent(new Event(kind));
})"""
# As much as fits a figure.
FEW = HOSTILE[:2] + ["$\\frac{$ {{ x }} &lt;b&gt;"]


def frame(columns: list[str], texts: list[str] = HOSTILE) -> pd.DataFrame:
    """A table with hostile texts in all columns, and numbers with an interval."""
    made = pd.DataFrame({name: texts for name in columns})
    return made.assign(value=0.5, low=0.4, high=0.6)


def executed() -> nbformat.NotebookNode:
    """What a notebook shows of hostile texts, in each way in which ours show one."""
    figure = figures.points(frame(["dataset"], FEW), zero=True)
    figure.alt = " ".join(HOSTILE)
    hostile = frame(["text"])
    outputs = [
        new_output("stream", name="stdout", text="\n".join(HOSTILE)),
        new_output("execute_result", {"text/plain": repr(HOSTILE)}, execution_count=1),
        new_output("display_data", {"text/markdown": tables.markdown(hostile), "text/plain": "x"}),
        new_output("display_data", {"text/html": hostile.to_html(), "text/plain": str(hostile)}),
        new_output("display_data", {"text/html": figure._repr_html_(), "text/plain": "x"}),
    ]
    cell = new_code_cell("\n".join(map(repr, HOSTILE)), execution_count=1, outputs=outputs)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return new_notebook(cells=[new_markdown_cell("# Executed"), cell], metadata=kernel)


def write_hostile_run(top: Path) -> None:
    """A run whose every text that could come from outside is hostile, and a failed one."""
    folder = top / "runs/toy/02_support"
    write_run(folder, "toy", "02_support")
    all_of = " ".join(HOSTILE)
    res = Results(folder, notebook="02_support", study="toy")
    res.number("h2", 0.2, low=0.1, high=0.3, n=5, unit="points")
    for start in range(0, len(HOSTILE), 12):
        res.table(f"part_{start}", frame(["dataset", "modality"]).iloc[start : start + 12])
    drawn = frame(["dataset"], FEW)
    res.figure(figures.points(drawn, zero=True), "points", drawn, alt=all_of)
    for text in HOSTILE:
        res.data_hash(text, text, "official")
        res.model_hash(text, text)
    res.save()
    nbformat.write(executed(), folder / "executed.ipynb")
    manifest = provenance.read(folder)
    told = dict(zip(HOSTILE, HOSTILE, strict=True))
    provenance.write(
        manifest.model_copy(
            update={"label": all_of, "command": "\n".join(HOSTILE), "parameters": {"towers": told},
                    "data_hashes": told, "model_hashes": told, "hardware": {"gpus": HOSTILE},
                    "started": HOSTILE[0]}
        ),
        folder,
    )  # fmt: skip
    for place, text in enumerate(HOSTILE):
        kept = top / f"runs/.failed/toy/02_support@{place:08d}"
        kept.mkdir(parents=True)
        failure = {"error": text, "command": f"medrl run 02_support -p model={text}",
                   "started": "2026-03-02", "wall_seconds": 7.4}  # fmt: skip
        (kept / "failure.json").write_text(json.dumps(failure))


def write_sweep(top: Path) -> None:
    """The page that compares runs, whose settings and failures are hostile."""
    study = plan.Study(
        name="toy", path="x", title="Toy", label=" ".join(HOSTILE), runs={"02_support": {}}
    )
    finished = top / "runs/toy/02_support"
    rows = [
        comparison.Row({"model": text}, finished, text, "failed", text) for text in HOSTILE
    ] + [comparison.Row({"model": text}, finished, text, "finished") for text in HOSTILE[:8]]
    axes = {"model": [row.settings["model"] for row in rows]}
    command = sweep.Grid(notebook="02_support", axes=axes).command("toy")
    folder = top / "runs/toy/sweeps/a"
    folder.mkdir(parents=True)
    with warnings.catch_warnings(action="ignore"):  # such names leave no room in the figure
        comparison.write(folder, study, "02_support", axes, command, rows)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("markup")
    source = top / "source"
    write_hostile_run(top)
    write_sweep(top)
    one = Chapter("toy", top / "runs", top / "records", ROOT / "data")
    assembly._copy_files(top / "runs/toy/02_support", source / "files/toy/02_support")
    parts = [one.table("02_support", f"part_{start}", "Caption " + HOSTILE[0]) for start in (0, 12)]
    pages = {
        "index": "# Start\n\n```{toctree}\ntables\nfigure\nstatus\nruns/02_support\ncard\n```\n",
        "tables": "# Tables\n\n" + "\n\n".join(parts) + one.real_data("02_support", "toy"),
        "figure": "# Figure\n\n" + one.figure("02_support", "points") + one.about(),
        "status": "# Status\n" + status.table([top / "runs/toy/02_support"], "toy", top / "runs"),
    }
    folder = top / "model"
    folder.mkdir()
    write_rollouts(top / "scored", {text: [[0, 1]] for text in HOSTILE})
    modelcard.write(folder, base=HOSTILE[0], notebook="03_sft", study="toy", datasets=HOSTILE,
                    parameters={"a": HOSTILE}, rollouts=rollouts.read(top / "scored"))  # fmt: skip
    pages["card"] = (folder / "README.md").read_text().split("---\n", 2)[2]
    for name, text in pages.items():
        (source / f"{name}.md").write_text(text, encoding="utf-8")
    (source / "runs").mkdir()
    executed = top / "runs/toy/02_support/executed.ipynb"
    notebook = assembly.clean(nbformat.read(executed, as_version=4))
    footer = origin.footer(provenance.read(top / "runs/toy/02_support"), [])
    notebook.cells.append(new_markdown_cell(footer))
    nbformat.write(notebook, source / "runs/02_support.ipynb")
    # In a process of its own: an application leaves its node classes and defaults to the next one.
    settings = {
        "extensions": ["myst_nb", "sphinx_design", "book_pages"],
        "myst_enable_extensions": ["colon_fence", "deflist", "attrs_inline", "attrs_block"],
        "nb_execution_mode": "off", "nb_render_markdown_format": "myst",
        "html_math_renderer": "mathml", "html_theme": "basic", "numfig": True,
        "smartquotes": False,
    }  # fmt: skip
    path = f"import sys; sys.path.append({str(ROOT / 'book/_ext')!r})"
    lines = [f"{name} = {value!r}" for name, value in settings.items()]
    (source / "conf.py").write_text("\n".join([path, *lines]) + "\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(source), str(top / "html")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    store, place = top / "more/runs/toy/02_support", top / "html/rollouts"
    write_run(store, "toy", "02_support")
    write_rollouts(store, {text: [[0, 1], [1, 1]] for text in HOSTILE}, HOSTILE[0])
    named = provenance.read(store).model_copy(update={"parameters": {"seed": 0}})
    provenance.write(named, store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "PER_RUN", 100)
        samples.write(Chapter("toy", top / "more/runs", top / "records", ROOT / "data"), place)
    shutil.copy(ROOT / "book/extra/rollouts/rollouts.js", place)
    law_player.write(None, top / "html/law")
    head = '<!doctype html><meta charset="utf-8"><title>x</title>'
    (top / "html/rollouts.html").write_text(head + raw_html("rollouts.md"), encoding="utf-8")
    return top


PAGES = {
    "tables": "html/tables.html", "figure": "html/figure.html", "status": "html/status.html",
    "executed notebook": "html/runs/02_support.html", "model card": "html/card.html",
    "rollouts": "html/rollouts.html",
    "sweep": "runs/toy/sweeps/a/index.html", "SVG": "runs/toy/02_support/figures/points.svg",
}  # fmt: skip


@pytest.mark.fault(
    "Untrusted input",
    "script, event handler, link, directive or template as a text on each kind of page",
    "Chromium shows the text as it is: nothing runs, nobody is asked for anything",
)
@pytest.mark.parametrize("name", PAGES)
def test_hostile_texts_are_texts(browser: Browser, built: Path, tried, name: str) -> None:
    page = browser.new_page()
    asked = []
    page.on("dialog", lambda dialog: asked.append(dialog.message) or dialog.dismiss())
    heard = listen(page)
    with tried(len(HOSTILE)):
        page.goto((built / PAGES[name]).as_uri(), wait_until="load")
        page.wait_for_timeout(50)
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        page.evaluate(TOUCHED)
        assert page.evaluate("window.hit") is None
        assert page.evaluate(INSIDE) == []
        assert asked == []
        assert heard.outside(built.as_uri()) == []
        assert heard.errors == []
    if name not in ("SVG", "figure"):
        shown = page.evaluate("document.documentElement.textContent")
        for text in HOSTILE:
            assert " ".join(text.split()) in " ".join(shown.split()), text
    page.close()


FORMULAS = ["=cmd|'/C calc'!A0", "+1+cmd|'/C calc'!A0", "-1+cmd|'/C calc'!A0", "@SUM(1)*cmd|' '!A0",
            "\t=1+1", '=HYPERLINK("https://outside.example","x")']  # fmt: skip


@pytest.mark.fault(
    "Untrusted input",
    "spreadsheet formula as a text in the CSV of a table, a figure, a sweep and the scores",
    "no cell begins like a formula; numbers stay numbers",
)
def test_no_csv_holds_a_formula(tmp_path: Path, tried) -> None:
    told = frame(["text"], FORMULAS).assign(value=-0.5)
    told["=1"] = "a"
    folder = tmp_path / "runs/toy/02_support"
    write_run(folder, "toy", "02_support")
    res = Results(folder, notebook="02_support", study="toy")
    res.table("formulas", told)
    res.number("acc", -0.5, low=-0.6, high=-0.4)
    drawn = told[["text", "value", "low", "high"]].rename(columns={"text": "dataset"})
    res.figure(figures.points(drawn.head(2), zero=True), "points", drawn, alt="Dots.")
    res.save()
    provenance.write(provenance.read(folder), folder)
    assembly._copy_files(folder, tmp_path / "book")
    study = plan.Study(name="toy", path="x", title="T", label="L", runs={"02_support": {}})
    rows = [comparison.Row({"model": one}, folder, "x", "finished") for one in FORMULAS]
    comparison.write(tmp_path, study, "02_support", {"model": FORMULAS}, "x", rows)
    write_rollouts(tmp_path / "scored", {text: [[0, 1]] for text in FORMULAS}, FORMULAS[0])
    score_folder(tmp_path / "scored")
    files = ["book/tables/formulas.csv", "book/figures/points.csv", "comparison.csv",
             "multiples.csv", "scored/scores.csv"]  # fmt: skip
    for name in files:
        with tried(len(FORMULAS)), (tmp_path / name).open(newline="", encoding="utf-8") as stream:
            cells = [one for row in csv.reader(stream) for one in row]
            assert set(FORMULAS) <= {one.removeprefix("'") for one in cells}
            odd = {one for one in cells if one.startswith(("=", "+", "-", "@", "\t", "\r"))}
            assert all(re.fullmatch(r"-?[\d.e-]+", one) for one in odd), odd
            assert name == "scored/scores.csv" or "-0.5" in odd

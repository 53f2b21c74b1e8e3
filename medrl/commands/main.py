"""The `medrl` command; heavy imports happen inside commands, so that --help answers at once.

Run: medrl --help.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from medrl.commands import data as cli_data
from medrl.commands import evaluate as cli_evaluate
from medrl.commands.data import Root, Size
from medrl.commands.endings import one_line
from medrl.commands.layers import need
from medrl_core.errors import UserError
from medrl_core.score.thresholds import DELTA_GAP, SUPPORT_K, TAU_SUPPORT

app = typer.Typer(
    help="When does RL help medical VLMs? Run its notebooks, studies and book.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_data.app, name="data")
app.command()(cli_evaluate.evaluate)

StudyName = Annotated[str, typer.Option("--study", help="study under notebooks/studies, or a path")]
Only = Annotated[bool, typer.Option("--only", help="just this step, whatever is there already")]
Edition = Annotated[str, typer.Option(help="of the labs: student or instructor")]


@app.command()
@one_line
def run(
    notebook: Annotated[str, typer.Argument(help="e.g. 02_support")],
    study: StudyName = "micro",
    p: Annotated[list[str], typer.Option("-p", help="name=value, the value as in YAML")] = [],  # noqa: B006
    only: Only = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what it would do and need, and do nothing")
    ] = False,
) -> None:
    """Execute one notebook into a run folder; what it needs is made first."""
    need("study")
    from medrl.studies import plan
    from medrl.studies.execution import run, state

    chosen, values = plan.load_study(study), _values(p)
    if dry_run:
        from medrl.studies import forecast

        checked = plan.resolve(chosen, notebook, values)
        would = state(chosen, notebook, checked)
        print("\n".join(forecast.lines(chosen, notebook, checked, would)))
    else:
        print(run(chosen, notebook, values, only))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@one_line
def study(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="study under notebooks/studies, or a path")],
) -> None:
    """Make all runs of a study; what follows -- goes to snakemake, e.g. -- --executor slurm."""
    need("study")
    from medrl.studies import plan
    from medrl.studies.execution import snakemake

    snakemake(plan.load_study(name), ["all"], context.args)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@one_line
def sweep(
    context: typer.Context,
    notebook: Annotated[str, typer.Argument(help="e.g. 02_support")],
    p: Annotated[list[str], typer.Option("-p", help="name=value,value,... a list in brackets")],
    study: StudyName = "micro",
) -> None:
    """Make a run for each combination of values, then one page that compares them; resumes.

    What follows -- goes to snakemake, as for a study.
    """
    need("study")
    from medrl.studies import plan, sweep
    if context.args and not context.args[0].startswith("-"):
        raise UserError(f"{context.args[0]}: values are written -p name=value,value")
    chosen = plan.load_study(study)
    page, failed = sweep.make(chosen, sweep.read_words(notebook, p), context.args)
    print(page)
    if failed:
        print(f"medrl: {failed}", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
@one_line
def book(
    study: StudyName = "micro",
    edition: Edition = "student",
    only: Only = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="also as a PDF, by Chromium")] = False,
) -> None:
    """Make the runs of a study that are missing or stale, then build the book."""
    need("book")
    from medrl.book.build import build_book, find_browser, print_book
    from medrl.labs.editions import check_edition
    from medrl.studies import plan
    from medrl.studies.execution import snakemake

    check_edition(edition)
    chosen = plan.load_study(study)
    browser = find_browser() if pdf else ""
    if only:
        build_book(chosen, edition)
    else:
        snakemake(chosen, ["book"], edition=edition)
    print(plan.BOOK.resolve())
    if pdf:
        print(print_book(browser).resolve())


@app.command()
@one_line
def labs(
    out: Annotated[Path, typer.Option(help="folder of the notebooks, inside the clone")],
    edition: Edition = "student",
) -> None:
    """Write the labs as notebooks, with blanks for students or solutions for the instructor."""
    need("study")
    from medrl.labs.editions import write

    for path in write(edition, out):
        print(path)


@app.command()
@one_line
def grade(
    folder: Annotated[Path, typer.Argument(help="a notebook, or a folder, a student")],
    out: Annotated[Path, typer.Option(help="folder of grades.csv and grades.html, which is made")],
    seconds: Annotated[float, typer.Option(min=1, help="of a whole notebook")] = 600,
    cell_seconds: Annotated[float, typer.Option(min=1, help="of one cell or one call")] = 120,
    memory: Annotated[float, typer.Option(min=1, help="of a notebook, in GB")] = 8,
    jobs: Annotated[int, typer.Option(min=1, help="notebooks at a time")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="of the hidden cases; else drawn")] = None,
) -> None:
    """Grade the labs of a class: each notebook apart, without network and in limits."""
    need("study")
    from medrl.labs.grading import CSV, PAGE, grade
    from medrl.labs.isolation import Limits

    grade(folder, out, Limits(seconds, cell_seconds, memory), seed, jobs)
    print(out / CSV, out / PAGE, sep="\n")


@app.command()
@one_line
def record(study: Annotated[str, typer.Argument(help="study whose runs are there")]) -> None:
    """Keep the results of a study under data/records, for the book."""
    from medrl.studies import plan, records

    for folder in records.keep(plan.load_study(study)):
        print(folder)


Logs = Annotated[
    list[Path],
    typer.Argument(help="logs of any known tool, or folders: see --format", metavar="LOG..."),
]
Format = Annotated[
    str | None, typer.Option("--format", help="of the log; without it its content tells")
]
Trust = Annotated[
    str | None, typer.Option(help="whose verdict counts: stored (the log's) or read (ours)")
]
Scorer = Annotated[
    str | None, typer.Option(help="scorer or column whose verdicts count, where there are several")
]
Gold = Annotated[
    Path | None, typer.Option(help="table of item_id, gold and options, for a log without them")
]
GreedyLog = Annotated[
    Path | None, typer.Option("--greedy", help="log with the greedy answers to the same items")
]
Step = Annotated[int | None, typer.Option(help="of a series of training steps (default: its last)")]
Json = Annotated[Path | None, typer.Option("--json", help="write everything that is said as JSON")]


@app.command()
@one_line
def score(
    log: Logs,
    format: Format = None,
    greedy: GreedyLog = None,
    trust: Trust = None,
    scorer: Scorer = None,
    gold: Gold = None,
    step: Step = None,
    per_item: Annotated[
        Path | None, typer.Option("--per-item", help="write item_id, n, correct as CSV")
    ] = None,
    grades: Annotated[
        str | None, typer.Option(help="an ordered scale from least to most, as 0,1,2,3,4")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="write a report in one file")] = None,
    json: Json = None,
) -> None:
    """Compute all statistics of logs from their answers, without a model."""
    from medrl.commands import logs

    how = {"format": format, "trust": trust, "scorer": scorer, "gold": gold}
    files: dict[str, Any] = {"per_item": per_item, "html": html, "json_file": json}
    logs.score(log, greedy=greedy, step=step, grades=grades, **files, **how)


@app.command()
@one_line
def diagnose(
    log: Logs,
    format: Format = None,
    greedy: GreedyLog = None,
    trust: Trust = None,
    scorer: Scorer = None,
    gold: Gold = None,
    step: Step = None,
    k: Annotated[
        int | None, typer.Option("-k", min=1, help=f"K of Pass@K (default {SUPPORT_K} at most)")
    ] = None,
    tau_support: Annotated[float, typer.Option(help="excess support that is enough")] = TAU_SUPPORT,
    delta_gap: Annotated[float, typer.Option(help="Pass@K over Acc@1 to sharpen")] = DELTA_GAP,
    group: Annotated[int, typer.Option(help="answers a prompt of the RL run")] = 8,
    steps: Annotated[int, typer.Option(help="steps of the RL run")] = 200,
    prompts: Annotated[int, typer.Option(help="prompts a step of the RL run")] = 64,
    json: Json = None,
) -> None:
    """Say what to do: bridge with SFT, sharpen with RL, stop, or ask more items.

    And what a run of RL of that size would meet.
    """
    from medrl.commands import logs

    how = {"format": format, "trust": trust, "scorer": scorer, "gold": gold}
    limits = {"tau_support": tau_support, "delta_gap": delta_gap}
    logs.diagnose(
        log, k, (steps, prompts, group), greedy=greedy, step=step, json_file=json, **limits, **how
    )


@app.command()
@one_line
def compare(
    a: Annotated[Path, typer.Argument(help="log or folder", metavar="A")],
    b: Annotated[Path, typer.Argument(help="log or folder on the same items", metavar="B")],
    format: Format = None,
    trust: Trust = None,
    scorer: Scorer = None,
    gold: Gold = None,
    json: Json = None,
) -> None:
    """Compare two logs item by item: A minus B, and the items that B keeps, loses and gains."""
    from medrl.commands import logs

    logs.compare(a, b, json_file=json, format=format, trust=trust, scorer=scorer, gold=gold)


@app.command()
@one_line
def export(
    log: Annotated[Path, typer.Argument(help="log of any known tool, or folder", metavar="LOG")],
    to: Annotated[str, typer.Option(help="inspect, eee (Every Eval Ever), hf or lm-eval")],
    out: Annotated[Path, typer.Option(help="folder of the files; made if missing")],
    format: Format = None,
    trust: Trust = None,
    scorer: Scorer = None,
    gold: Gold = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="of a data set's card, by its name on the hub")
    ] = None,
) -> None:
    """Write the answers of a log, with their verdicts, as another tool would."""
    from medrl.commands import export as writers

    how = {"format": format, "trust": trust, "scorer": scorer, "gold": gold}
    print(*writers.export(log, to, out, licence, **how), sep="\n")


@app.command()
@one_line
def probe(
    model: Annotated[str, typer.Option(help="folder, hub id, pixels, pca:64, resnet18 ...")],
    data: Annotated[
        str, typer.Option(help="group of items, e.g. 'drawn:chest film', or a MedMNIST name")
    ],
    root: Root = None,
    size: Size = 28,
    allow: Annotated[list[str], typer.Option(help="name whose file may differ")] = [],  # noqa: B006
    n_train: Annotated[int, typer.Option(min=10, help="training images at most")] = 600,
    n_test: Annotated[int, typer.Option(min=1, help="test images at most")] = 300,
    layer: Annotated[str, typer.Option(help="merger or patch")] = "merger",
    pooling: Annotated[
        str | None,
        typer.Option(help="mean, max, class or all; else all for a group, mean for a set"),
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of the pictures and the bootstrap")] = 0,
) -> None:
    """Measure a frozen tower: word by word on a group of items, or on a MedMNIST set.

    On a set: linear probe, the paper's probe and kNN.
    """
    need("models")
    from medrl_core.data import groups, medmnist
    from medrl_core.report import tables
    from medrl_core.vision import axis

    if groups.kind(data) != "own":
        found = axis.of_group(
            data, model, n_train=n_train, n_test=n_test, layer=layer, pooling=pooling or "all",
            seed=seed, root=root, allow=tuple(allow),
        )  # fmt: skip
        print(f"{model} on {groups.label(data)}, {found.n.iloc[0]} test items, words read in %")
        print((100 * found.set_index("word")[["value", "low", "high", "floor"]]).round(1))
        return
    whole = medmnist.load(data, root, size, tuple(allow))
    images = axis.limited(whole, n_train=n_train, n_test=n_test, seed=seed)
    found = axis.of_set(images, model, layer=layer, pooling=pooling or "mean", seed=seed)
    print(f"{model} on {images.name} ({images.origin}), {found.n.iloc[0]} test images")
    print(tables.pivot(found, row="metric", column="probe", unit="number").to_string(index=False))


@app.command()
@one_line
def doctor() -> None:
    """Check this machine and clone: each line is ok or names a remedy."""
    from medrl.commands.doctor import findings

    checks = findings()
    for check in checks:
        print(check)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _values(words: list[str]) -> dict[str, Any]:
    """Parse name=value words; a value is YAML data, never code."""
    from medrl.studies import plan
    from medrl_core import plain

    given = plan.assignments(words)
    return {name: plain.parse_yaml(text, f"-p {name}={text}") for name, text in given.items()}


if __name__ == "__main__":
    app(prog_name="medrl")

"""The `medrl` command; heavy imports happen inside commands, so that --help answers at once.

Run: medrl --help.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from medrl.commands import data as cli_data
from medrl.commands.data import Root, Size
from medrl.commands.endings import one_line
from medrl_core.errors import UserError
from medrl_core.score.thresholds import DELTA_GAP, SUPPORT_K, TAU_SUPPORT

app = typer.Typer(
    help="When does RL help medical VLMs? Run its notebooks, studies and book.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_data.app, name="data")

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
    from medrl.labs.editions import write

    for path in write(edition, out):
        print(path)


@app.command()
@one_line
def record(study: Annotated[str, typer.Argument(help="study whose runs are there")]) -> None:
    """Keep the results of a study under data/records, for the book."""
    from medrl.studies import plan, records

    for folder in records.keep(plan.load_study(study)):
        print(folder)


@app.command()
@one_line
def pretrain(
    out: Annotated[str, typer.Option(help="folder of the checkpoint")] = "data/micro-base",
    seed: Annotated[int, typer.Option(help="seed of everything drawn at random")] = 0,
) -> None:
    """Train the micro base model by its recipe."""
    from medrl_core.report.base_card import make

    make(out=out, seed=seed)


@app.command()
@one_line
def evaluate(
    model: Annotated[str, typer.Option(help="folder or hub id")],
    items: Annotated[Path, typer.Option(help="JSONL of the official kit's format")],
    out: Annotated[Path, typer.Option(help="folder of the rollouts; an old one is gone on with")],
    k: Annotated[int, typer.Option("-k", min=1, help="sampled answers an item")] = 16,
    temperature: Annotated[float, typer.Option(help="sampling temperature")] = 1.0,
    top_p: Annotated[float, typer.Option(help="nucleus of the sampling distribution")] = 1.0,
    max_new_tokens: Annotated[int, typer.Option(help="token limit of an answer")] = 2048,
    seed: Annotated[int, typer.Option(help="seed of the samples")] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="go on without bad lines")] = False,
    exact: Annotated[bool, typer.Option("--exact", help="also the options' probabilities")] = False,
) -> None:
    """Measure Acc@1 and Pass@K of any model on any items; resumes."""
    from medrl.commands.scores import write_exact
    from medrl_core import files
    from medrl_core.data import vqa
    from medrl_core.data.prompts import prompt_hash
    from medrl_core.models import hub
    from medrl_core.sample.rollouts import RolloutStore
    from medrl_core.sample.sampling import Decoding
    from medrl_core.score import evaluate
    from medrl_core.score import exact as forced

    decoding = Decoding(temperature, top_p, 0, max_new_tokens)
    with warnings.catch_warnings(record=True, action="always") as left_out:
        asked = vqa.read_jsonl(items, skip_bad=skip_bad)
    for warning in left_out:
        print(f"medrl: {warning.message}", file=sys.stderr)
    if exact:
        forced.check(asked, decoding)
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: name a folder")
    place = out.resolve()
    with files.locked(files.lock_of(place), str(out)):
        net, processor = hub.load(model)
        names = {"model_name": model, "model_hash": hub.model_hash(model)}
        store = RolloutStore(out)
        wording = {item.item_id: prompt_hash(item) for item in asked}
        stored = store.keys()
        if any(wording.get(key[0], key[2]) != key[2] for key in stored):
            raise UserError(
                f"{out} has answers to other wordings of these items: use another folder"
            )
        rows = evaluate.evaluate(
            net, processor, asked, store, k=k, decoding=decoding, seed=seed, **names
        )
        store.compact()
        if exact:
            table = forced.both(net, processor, asked, rows, decoding, names["model_hash"])
            write_exact(out, table, decoding.name)
        _print_scores(out)


@app.command()
@one_line
def score(
    folder: Annotated[Path, typer.Argument(help="folder of rollouts")],
    other: Annotated[Path | None, typer.Argument(help="compare with this folder")] = None,
) -> None:
    """Compute all statistics of a folder again from its rollouts, or compare two folders."""
    from medrl.commands.scores import compare_folders

    if other:
        print(compare_folders(folder, other))
    else:
        _print_scores(folder)


@app.command()
@one_line
def diagnose(
    folder: Annotated[Path, typer.Argument(help="folder of rollouts")],
    k: Annotated[int, typer.Option("-k", min=1, help="K of Pass@K")] = SUPPORT_K,
    tau_support: Annotated[float, typer.Option(help="excess support that is enough")] = TAU_SUPPORT,
    delta_gap: Annotated[float, typer.Option(help="Pass@K over Acc@1 to sharpen")] = DELTA_GAP,
) -> None:
    """Say for each data set: bridge with SFT, sharpen with RL, stop, or ask more items."""
    from medrl.commands.scores import diagnose_folder

    found = diagnose_folder(folder, k, tau_support=tau_support, delta_gap=delta_gap)
    for row in found.itertuples():
        about = f"{row.name} ({row.model}, {row.answer_format}, {row.decoding})"
        print(f"{about}: {row.action}, because {row.why}")
        print(f"  the paper's rule, without guess floor: {row.paper_action}, as {row.paper_why}")
    print(folder / "diagnosis.json")


@app.command()
@one_line
def probe(
    model: Annotated[str, typer.Option(help="folder, hub id, pixels, pca:64, resnet18 ...")],
    data: Annotated[str, typer.Option(help="image set, e.g. phantom-blood or breastmnist")],
    root: Root = None,
    size: Size = 28,
    allow: Annotated[list[str], typer.Option(help="name whose file may differ")] = [],  # noqa: B006
    n_train: Annotated[int, typer.Option(min=10, help="training images at most")] = 600,
    n_test: Annotated[int, typer.Option(min=1, help="test images at most")] = 300,
    layer: Annotated[str, typer.Option(help="merger or patch")] = "merger",
    pooling: Annotated[str, typer.Option(help="mean, max or class")] = "mean",
    seed: Annotated[int, typer.Option(help="seed of phantom images and the bootstrap")] = 0,
) -> None:
    """Measure a frozen tower on one image set: linear probe, the paper's probe and kNN."""
    from medrl_core.report import tables
    from medrl_core.vision import axis as vision

    images = vision.load_limited(
        data, n_train=n_train, n_test=n_test, root=root, size=size, allow=allow, seed=seed
    )
    found = vision.probe_once(images, model, layer=layer, pooling=pooling, seed=seed)
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


def _print_scores(folder: Path) -> None:
    """Write the scores of a folder and print the main ones with their intervals."""
    from medrl.commands.scores import score_folder, summary

    print(summary(score_folder(folder)))
    print(folder / "scores.csv")


def _values(words: list[str]) -> dict[str, Any]:
    """Parse name=value words; a value is YAML data, never code."""
    from medrl.studies import plan
    from medrl_core import plain

    given = plan.assignments(words)
    return {name: plain.parse_yaml(text, f"-p {name}={text}") for name, text in given.items()}


if __name__ == "__main__":
    app(prog_name="medrl")

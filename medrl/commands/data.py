"""`medrl data`: list, fetch and verify image sets, and choose a subset of items.

Run: medrl data --help.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from medrl.commands.endings import one_line

app = typer.Typer(help="Groups and image sets: list, fetch, verify.", no_args_is_help=True)

Size = Annotated[int, typer.Option(help="image side in pixels: 28, 64, 128 or 224")]
Root = Annotated[str | None, typer.Option(help="folder; else $MEDMNIST_ROOT, then ~/.medmnist")]


@app.command("list")
@one_line
def list_data(root: Root = None, size: Size = 28) -> None:
    """List the groups of the drawn world, and which MedMNIST files are there."""
    from medrl_core.data import groups, medmnist
    from medrl_core.data.drawn.modalities import BOOKS_WORLD, RULES_WORLD

    for prefix, world in (("drawn", RULES_WORLD), ("books", BOOKS_WORLD)):
        for one in world.modalities:
            group = f"{prefix}:{one.name}"
            print(f"{group:<24} {groups.cause(group):<11} {'report':>10}  made on the fly")
    for name, about in medmnist.datasets().items():
        path = medmnist.path_of(name, root, size)
        place = path if path.is_file() else f"not there: medrl data fetch {name}"
        print(f"{name:<24} {about.task:<11} {len(about.classes):>2} classes  {place}")


@app.command()
@one_line
def fetch(
    names: Annotated[list[str], typer.Argument(help="MedMNIST names, e.g. bloodmnist")],
    root: Root = None,
    size: Size = 28,
) -> None:
    """Download official MedMNIST files and verify them."""
    from medrl_core.data import medmnist

    for name in names:
        print(medmnist.fetch(name, root, size))


@app.command()
@one_line
def verify(
    names: Annotated[list[str], typer.Argument(help="MedMNIST names, e.g. bloodmnist")],
    root: Root = None,
    size: Size = 28,
    allow: Annotated[list[str], typer.Option(help="name whose file may differ")] = [],  # noqa: B006
) -> None:
    """Compare MedMNIST files with the official checksums."""
    from medrl_core.data import medmnist

    for name in names:
        print(f"{name}: {medmnist.verify(name, root, size, tuple(allow))}")


@app.command()
@one_line
def subset(
    items: Annotated[str, typer.Argument(help="any source of items, e.g. PMC-VQA's CSV")],
    out: Annotated[Path, typer.Option(help="folder of items.jsonl, images and card.json")],
    n: Annotated[int, typer.Option("-n", min=1, help="items wanted")] = 8000,
    rollouts: Annotated[
        Path | None, typer.Option(help="folder of the start model's answers to the same items")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="folder of benchmarks, no picture of which is taken")
    ] = None,
    keep_never: Annotated[bool, typer.Option(help="also what is never solved")] = False,
    keep_always: Annotated[bool, typer.Option(help="also what is always solved")] = False,
    seed: Annotated[int, typer.Option(help="seed of the choice")] = 0,
) -> None:
    """Choose a balanced multiple-choice subset to train on by RL, with a card of every count."""
    from medrl_core.train import subset

    limits = {"keep_never": keep_never, "keep_always": keep_always}
    chosen, card = subset.choose_from(items, n, rollouts, against, seed=seed, **limits)
    path = subset.write(chosen, card, out)
    print("\n".join(f"{name}: {count}" for name, count in card.items()))
    print(path)


@app.command()
@one_line
def check(
    items: Annotated[str, typer.Argument(help="any source of items: a file, a folder, a YAML")],
    name: Annotated[str, typer.Option(help="of your benchmark; else of its file")] = "",
) -> None:
    """Say what a source of items contains, and what is wrong with it; exit code 1 if something is.

    Counts, balance and guess floor of each kind of question; rows and pictures that cannot be read;
    gold answers that are not read back from the text that SFT would teach; pictures that two splits
    share.
    """
    from medrl_core.data import check as checks
    from medrl_core.data.own import read_items
    from medrl_core.errors import first_three
    from medrl_core.train.targets import unreadable

    with warnings.catch_warnings(record=True, action="always") as left_out:
        found = read_items(items, name=name, split="all", skip_bad=True)
    print("\n".join(checks.lines(found)))
    lost = unreadable(found)
    which = f" ({first_three(lost)})" if lost else ""
    print(f"targets that are not read back: {len(lost)}{which}")
    for warning in left_out:
        print(warning.message)
    if lost or left_out:
        raise typer.Exit(1)

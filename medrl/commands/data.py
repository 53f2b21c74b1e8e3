"""`medrl data`: list, fetch and verify image sets, and choose a subset of items.

Run: medrl data --help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medrl.commands.endings import one_line

app = typer.Typer(help="Image sets: list, fetch, verify.", no_args_is_help=True)

Size = Annotated[int, typer.Option(help="image side in pixels: 28, 64, 128 or 224")]
Root = Annotated[str | None, typer.Option(help="folder; else $MEDMNIST_ROOT, then ~/.medmnist")]


@app.command("list")
@one_line
def list_data(root: Root = None, size: Size = 28) -> None:
    """List the image sets, and which MedMNIST files are there."""
    from medrl_core.data import medmnist
    from medrl_core.data.drawn import phantom

    for key, made in phantom.MODALITIES.items():
        print(f"phantom-{key:<16} {made.task:<11} {len(made.classes):>2} classes  made on the fly")
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
    items: Annotated[Path, typer.Argument(help="JSONL of the kit's format, or PMC-VQA's own CSV")],
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
    from medrl_core.train.subset_choice import choose

    limits = {"keep_never": keep_never, "keep_always": keep_always}
    chosen, card = choose(items, n, rollouts, against, seed=seed, **limits)
    path = subset.write(chosen, card, out)
    print("\n".join(f"{name}: {count}" for name, count in card.items()))
    print(path)

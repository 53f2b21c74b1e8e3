"""`medrl evaluate`: Acc@1 and Pass@K of any model on any items.

Run: medrl evaluate --model data/drawn-base --items questions.csv -k 16 --out answers
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from medrl.commands.endings import one_line
from medrl.commands.layers import need
from medrl_core.errors import UserError


@one_line
def evaluate(
    model: Annotated[str, typer.Option(help="folder or hub id")],
    items: Annotated[
        str,
        typer.Option(help="JSONL, JSON, CSV, TSV, Parquet, npz, YAML, a folder, OWNER/NAME@HASH"),
    ],
    out: Annotated[Path, typer.Option(help="folder of the rollouts; an old one is gone on with")],
    name: Annotated[str, typer.Option(help="of your benchmark; else of its file")] = "",
    split: Annotated[
        str | None, typer.Option(help="train, val, test or all; else test where there are several")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="sampled answers an item")] = 16,
    temperature: Annotated[float, typer.Option(help="sampling temperature")] = 1.0,
    top_p: Annotated[float, typer.Option(help="nucleus of the sampling distribution")] = 1.0,
    max_new_tokens: Annotated[int, typer.Option(help="token limit of an answer")] = 2048,
    seed: Annotated[int, typer.Option(help="seed of the samples")] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="go on without bad rows")] = False,
    exact: Annotated[bool, typer.Option("--exact", help="also the options' probabilities")] = False,
) -> None:
    """Measure Acc@1 and Pass@K of any model on any items; resumes."""
    need("models")
    from medrl.commands.scores import print_scores, write_exact
    from medrl_core import files
    from medrl_core.data.own import read_items
    from medrl_core.models import hub
    from medrl_core.models.text_only import is_blind, name_of, seen_by
    from medrl_core.sample import items_table
    from medrl_core.sample.decode import WAYS, way_of
    from medrl_core.sample.rollouts import RolloutStore
    from medrl_core.sample.sampling import Decoding
    from medrl_core.score import evaluate
    from medrl_core.score import exact as forced

    decoding = Decoding(temperature, top_p, 0, max_new_tokens)
    with warnings.catch_warnings(record=True, action="always") as left_out:
        asked = read_items(items, name=name, split=split, skip_bad=skip_bad)
    for warning in left_out:
        print(f"medrl: {warning.message}", file=sys.stderr)
    if exact:
        forced.check(asked, decoding)
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: name a folder")
    with files.locked(files.lock_of(out.resolve()), str(out)):
        net, processor = hub.load(model)
        if is_blind(processor):
            asked = seen_by(processor, asked)
            print(
                f"medrl: {model} is a language model without eyes: pictures are left out, and "
                f"rollouts name it {name_of(processor, model)!r}",
                file=sys.stderr,
            )
        names = {"model_name": model, "model_hash": hub.model_hash(model)}
        store, prompts = RolloutStore(out), evaluate.prompts_of(asked)
        store.compact(prompts)
        rows = evaluate.evaluate(
            net, processor, asked, store, k=k, decoding=decoding, seed=seed, **names
        )
        if way := way_of(net):
            print(f"medrl: {model}: {WAYS[way]}", file=sys.stderr)
        store.compact(prompts)
        items_table.write(out, asked)
        if exact:
            table = forced.both(net, processor, asked, rows, decoding, names["model_hash"])
            write_exact(out, table, decoding.name)
        print_scores(out)

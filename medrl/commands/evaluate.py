"""`medrl evaluate`: Acc@1 and Pass@K of any model on any items.

Run: medrl evaluate --model data/drawn-base --items questions.csv -k 16 --out answers
or, of a server: medrl evaluate --server http://localhost:8000/v1 --model NAME --items questions.csv
"""

from __future__ import annotations

import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from medrl.commands.endings import one_line
from medrl.commands.layers import need
from medrl_core.errors import UserError


@one_line
def evaluate(
    model: Annotated[str, typer.Option(help="folder or hub id; name at the server")],
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
    server: Annotated[
        str | None, typer.Option(help="address of an OpenAI-compatible server, as http://HOST/v1")
    ] = None,
    key_variable: Annotated[
        str, typer.Option(help="environment variable with the server's key")
    ] = "OPENAI_API_KEY",
    at_once: Annotated[int, typer.Option(min=1, help="open requests to the server")] = 8,
    per_request: Annotated[int, typer.Option(min=1, help="samples of one request")] = 16,
    timeout: Annotated[float, typer.Option(min=1, help="seconds that a request may take")] = 300,
    retries: Annotated[int, typer.Option(min=0, help="of a request, after 429, 5xx and cuts")] = 5,
    max_requests: Annotated[
        int | None, typer.Option(min=1, help="requests to the server, retries among them")
    ] = None,
) -> None:
    """Measure Acc@1 and Pass@K of any model, or of a server, on any items; resumes."""
    need("models" if server is None else "server")
    from medrl.commands.scores import print_scores, write_exact
    from medrl_core import files
    from medrl_core.data.own import read_items
    from medrl_core.sample import items_table
    from medrl_core.sample.completions import Decoding
    from medrl_core.sample.rollouts import RolloutStore
    from medrl_core.sample.server import Server
    from medrl_core.score import evaluate

    decoding = Decoding(temperature, top_p, 0, max_new_tokens)
    with warnings.catch_warnings(record=True, action="always") as left_out:
        asked = read_items(items, name=name, split=split, skip_bad=skip_bad)
    for warning in left_out:
        print(f"medrl: {warning.message}", file=sys.stderr)
    if exact:
        if server is not None:
            raise UserError("--exact needs the model's weights, which a server does not give")
        from medrl_core.score import exact as forced

        forced.check(asked, decoding)
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: name a folder")
    with files.locked(files.lock_of(out.resolve()), str(out)):
        if server is not None:
            asking = Server(
                server, model, key_variable=key_variable, at_once=at_once, timeout=timeout,
                per_request=per_request, retries=retries, max_requests=max_requests,
            )  # fmt: skip
            answer = partial(evaluate.keep, asking.sample)
            names = {"model_name": model, "model_hash": asking.fingerprint()}
        else:
            from medrl_core.models import hub
            from medrl_core.models.text_only import is_blind, name_of, seen_by
            from medrl_core.sample.decode import WAYS, way_of

            net, processor = hub.load(model)
            answer = partial(evaluate.evaluate, net, processor)
            names = {"model_name": model, "model_hash": hub.model_hash(model)}
            if is_blind(processor):
                asked = seen_by(processor, asked)
                print(
                    f"medrl: {model} is a language model without eyes: pictures are left out, and "
                    f"rollouts name it {name_of(processor, model)!r}",
                    file=sys.stderr,
                )
        store, prompts = RolloutStore(out), evaluate.prompts_of(asked)
        store.compact(prompts)
        rows = answer(asked, store, k=k, decoding=decoding, seed=seed, **names)
        store.compact(prompts)
        items_table.write(out, asked)
        if exact:
            table = forced.both(net, processor, asked, rows, decoding, names["model_hash"])
            write_exact(out, table, decoding.name)
        print_scores(out)
        if server is None and (way := way_of(net)):
            print(f"medrl: {model}: {WAYS[way]}", file=sys.stderr)

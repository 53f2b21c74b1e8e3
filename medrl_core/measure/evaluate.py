"""Evaluate a model on items: greedy and K sampled answers, kept as rollouts.

`medrl evaluate --model M --items FILE.jsonl -k 16 --out DIR` runs it on any model and any items.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import pandas as pd

from medrl_core.data.items import Item
from medrl_core.data.prompts import prompt_hash
from medrl_core.errors import UserError
from medrl_core.measure.rollouts import RolloutStore
from medrl_core.measure.sampling import GREEDY, Decoding, sample

EVERY_SECONDS = 5.0


def evaluate(
    model,
    processor,
    items: Sequence[Item],
    store: RolloutStore,
    *,
    k: int,
    decoding: Decoding | None = None,
    seed: int = 0,
    model_name: str,
    model_hash: str,
    sampler: Callable | None = None,
) -> pd.DataFrame:
    """Sample what the store does not hold yet, and return the rows that were asked for.

    Arguments:
        model: an image-text-to-text model in evaluation mode.
        processor: its processor.
        items: what is asked.
        store: where rollouts are kept; each batch is on disk before the next begins.
        k: sampled completions an item, beside the greedy one.
        decoding: temperature and the like.
        seed: of the sampled completions.
        model_name: how results name the model.
        model_hash: hash of its weights.
        sampler: `sampling.sample` (None), or `vllm.sample` for a model that vLLM holds.

    Returns:
        A frame with the columns of `medrl_core.measure.rollouts.COLUMNS`, one row a completion:
        the greedy one and the first k samples of each item.

    Raises:
        UserError: the store holds completions of these items with another seed or token limit.
    """
    decoding = decoding or Decoding()
    prompts = {(item.item_id, prompt_hash(item)) for item in items}
    _check_same(_asked(store.frame(), prompts, model_hash, decoding, k), seed, decoding)
    started = said = time.monotonic()
    done = 0
    for rows in (sampler or sample)(
        model, processor, items, k=k, decoding=decoding, seed=seed,
        model_name=model_name, model_hash=model_hash, done=store.keys(),
    ):
        store.append(rows)
        done += len({row["item_id"] for row in rows})
        now = time.monotonic()
        if now - said >= EVERY_SECONDS:
            said = now
            left = (now - started) / done * (len(items) - done)
            print(
                f"{model_name}: {done}/{len(items)} items, K = {k}, {now - started:.0f} s, "
                f"{left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
    # Equal weights may be in the store under another name, e.g. after a training without signal.
    return _asked(store.frame(), prompts, model_hash, decoding, k).assign(model=model_name)


def _asked(
    frame: pd.DataFrame, prompts: set[tuple], model_hash: str, decoding: Decoding, k: int
) -> pd.DataFrame:
    """The rows of a store that belong to these prompts, this model, this decoding and first k."""
    greedy = frame["sample_index"] == GREEDY
    sampled = (frame["decoding"] == decoding.name) & frame["sample_index"].between(0, k - 1)
    ours = pd.Series(zip(frame["item_id"], frame["prompt_hash"], strict=True), dtype=object)
    keep = (frame["model_hash"] == model_hash) & (greedy | sampled) & ours.isin(prompts)
    return frame[keep].reset_index(drop=True)


def _check_same(frame: pd.DataFrame, seed: int, decoding: Decoding) -> None:
    """Refuse to go on where stored completions would have come out otherwise."""
    seeds = set(frame.loc[frame["sample_index"] != GREEDY, "seed"]) - {seed}
    if seeds:
        raise UserError(
            f"the store holds samples of seed {min(seeds)}, asked for is seed {seed}: use that "
            "seed or another folder"
        )
    limit = decoding.max_new_tokens
    cut = frame["finish_reason"] == "length"
    other = frame.loc[(frame["n_tokens"] > limit) | (cut & (frame["n_tokens"] < limit)), "n_tokens"]
    if len(other):
        raise UserError(
            f"the store holds completions of {other.iloc[0]} tokens made with another limit than "
            f"max_new_tokens {limit}: use that limit or another folder"
        )

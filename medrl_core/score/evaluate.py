"""Evaluate a model on items: greedy and K sampled answers, kept as rollouts.

`medrl evaluate --model M --items FILE.jsonl -k 16 --out DIR` runs it on any model and any items.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import pandas as pd

from medrl_core.data.items import Item
from medrl_core.data.prompts import prompt_hash
from medrl_core.errors import UserError
from medrl_core.sample.rollouts import RolloutStore
from medrl_core.sample.sampling import GREEDY, Completion, Decoding, sample
from medrl_core.score.parsing import Parsed, is_correct, parse

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

    Returns:
        A frame with the columns of `medrl_core.sample.rollouts.COLUMNS`, one row a completion:
        the greedy one and the first k samples of each item.

    Raises:
        UserError: the store holds completions of these items with another seed or token limit.
    """
    decoding = decoding or Decoding()
    prompts = {(item.item_id, prompt_hash(item)) for item in items}
    _check_same(_asked(store.frame(), prompts, model_hash, decoding, k), seed, decoding)
    started = said = time.monotonic()
    done = 0
    for completions in sample(
        model, processor, items, k=k, decoding=decoding, seed=seed,
        model_hash=model_hash, done=store.keys(),
    ):
        about = {"seed": seed, "model_name": model_name, "model_hash": model_hash}
        store.append(rollout_rows(completions, decoding, **about))
        done += len({completion.item.item_id for completion in completions})
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


def rollout_rows(
    completions: Sequence[Completion],
    decoding: Decoding,
    *,
    seed: int,
    model_name: str,
    model_hash: str,
) -> list[dict]:
    """Read completions and give their rows (see `medrl_core.sample.rollouts`).

    Arguments: `seed`, `model_name` and `model_hash` are written into the rows.
    """
    answers: dict[tuple[str, str], Parsed] = {}
    rows = []
    for item, hashed, index, text, n_tokens, ended, logprob in completions:
        name = "greedy" if index == GREEDY else decoding.name
        if (item.item_id, text) not in answers:
            answers[item.item_id, text] = parse_item(text, item)
        parsed = answers[item.item_id, text]
        rows.append(
            {
                "item_id": item.item_id,
                "image_id": item.image_id,
                "dataset": item.dataset,
                "modality": item.modality,
                "answer_format": item.answer_format,
                "n_options": item.n_options,
                "gold": item.gold,
                "model": model_name,
                "model_hash": model_hash,
                "prompt_hash": hashed,
                "sample_index": index,
                "seed": seed,
                "decoding": name,
                "text": text,
                "parsed": parsed.answer,
                "parse_rule": parsed.rule,
                "correct": is_correct(parsed.answer, item.gold),
                "n_tokens": n_tokens,
                "finish_reason": "stop" if ended else "length",
                "logprob": logprob,
            }
        )
    return rows


def parse_item(text: str, item: Item):
    """Parse a completion of an item with the item's own options, labels and synonyms."""
    return parse(
        text,
        answer_format=item.answer_format,
        options=item.options,
        label_set=item.label_set,
        synonyms=item.synonyms,
    )

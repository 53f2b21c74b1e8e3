"""Evaluate a model on items: greedy and K sampled answers, kept as rollouts.

`medrl evaluate --model M --items FILE.jsonl -k 16 --out DIR` runs it on any model and any items.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from medrl_core.data.items import Item
from medrl_core.data.prompts import prompt_hash, reading_of
from medrl_core.errors import UserError, first_three
from medrl_core.models.text_only import name_of, seen_by
from medrl_core.sample.completions import GREEDY, Completion, Decoding
from medrl_core.sample.rollouts import KEY, RolloutStore
from medrl_core.score.parsing import Parsed, is_correct, parse

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

EVERY_SECONDS = 5.0


def evaluate(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    items: Sequence[Item],
    store: RolloutStore,
    *,
    k: int,
    decoding: Decoding | None = None,
    seed: int = 0,
    model_name: str,
    model_hash: str,
) -> pd.DataFrame:
    """Sample what the store does not have yet, and return the rows that were asked for.

    What was sampled before is used, what was judged is not: its texts are read again against the
    items given now.

    Arguments:
        model: from `hub.load`, in evaluation mode.
        processor: its processor; with a `TextProcessor` pictures are left out, and the rows name
            the model so.
        items, store, k, decoding, seed, model_name, model_hash: as `keep`.

    Returns, raises: as `keep`.
    """
    from medrl_core.sample.sampling import sample  # needs torch; reading answers does not

    return keep(
        partial(sample, model, processor), seen_by(processor, items), store, k=k, seed=seed,
        decoding=decoding, model_name=name_of(processor, model_name), model_hash=model_hash,
    )  # fmt: skip


def keep(
    draw: Callable[..., Iterator[list[Completion]]],
    items: Sequence[Item],
    store: RolloutStore,
    *,
    k: int,
    decoding: Decoding | None = None,
    seed: int = 0,
    model_name: str,
    model_hash: str,
) -> pd.DataFrame:
    """Draw what the store does not have yet, by any sampler, and return the rows asked for.

    Arguments:
        draw: takes items, k, decoding, seed, model_hash and done, as `sampling.sample` does.
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
        UserError: two items have one id, or the store has completions of these items with another
            seed or token limit.
    """
    decoding = decoding or Decoding()
    doubled = [name for name, n in Counter(item.item_id for item in items).items() if n > 1]
    if doubled:
        raise UserError(
            f"{len(doubled)} items have the id of another ({first_three(doubled)}): rename it"
        )
    prompts = prompts_of(items)
    read_again(store, items)
    _check_same(_asked(store.frame(), prompts, model_hash, decoding, k), seed, decoding)
    started = said = time.monotonic()
    done: set[str] = set()
    for completions in draw(
        items, k=k, decoding=decoding, seed=seed, model_hash=model_hash, done=store.keys()
    ):
        store.append(
            rollout_rows(
                completions, decoding, seed=seed, model_name=model_name, model_hash=model_hash
            )
        )
        done |= {completion.item.item_id for completion in completions}
        now = time.monotonic()
        if now - said >= EVERY_SECONDS:
            said = now
            left = (now - started) / len(done) * (len(items) - len(done))
            print(
                f"{model_name}: {len(done)}/{len(items)} items, K = {k}, {now - started:.0f} s, "
                f"{left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
    # Equal weights may be in the store under another name, e.g. after a training without signal.
    return _asked(store.frame(), prompts, model_hash, decoding, k).assign(model=model_name)


def prompts_of(items: Sequence[Item]) -> set[tuple[str, str]]:
    """The id and prompt hash of each item."""
    return {(item.item_id, prompt_hash(item)) for item in items}


def read_again(store: RolloutStore, items: Sequence[Item]) -> None:
    """Judge the texts that a store was opened with by the items given now, and keep the verdicts.

    Arguments: `store` whose rows of other items, and rows appended since, are left as they are.
    """
    if not store.found:
        return
    by_prompt = {(item.item_id, prompt_hash(item)): item for item in items}
    frame = store.frame()
    keys = zip(*(frame[name] for name in KEY), strict=True)
    pairs = zip(frame.item_id, frame.prompt_hash, strict=True)
    asked = [by_prompt.get(pair) if key in store.found else None
             for key, pair in zip(keys, pairs, strict=True)]  # fmt: skip
    answers: dict[tuple[str, str], Parsed] = {}
    judged = frame.to_dict("records")
    for item, row in zip(asked, judged, strict=True):
        if item is not None:
            row |= judgement(item, row["text"], answers)
    after = pd.DataFrame(judged, columns=frame.columns).astype(frame.dtypes)
    if not after.equals(frame):
        store.compact(frame=after)


def judgement(item: Item, text: str, answers: dict[tuple[str, str], Parsed]) -> dict[str, Any]:
    """The columns of a rollout that depend on the item and the reader, not on the model.

    Arguments: `answers` by item_id and text, which is added to: equal texts are read once.
    """
    if (item.item_id, text) not in answers:
        answers[item.item_id, text] = parse_item(text, item)
    parsed = answers[item.item_id, text]
    return {
        "image_id": item.image_id,
        "dataset": item.dataset,
        "modality": item.modality,
        "answer_format": item.answer_format,
        "n_options": item.n_options,
        "gold": item.gold,
        "parsed": parsed.answer,
        "parse_rule": parsed.rule,
        "correct": is_correct(parsed.answer, item.gold),
    }


def _asked(
    frame: pd.DataFrame, prompts: set[tuple[str, str]], model_hash: str, decoding: Decoding, k: int
) -> pd.DataFrame:
    """The rows of a store that belong to these prompts, this model, this decoding and first k."""
    greedy = frame["sample_index"] == GREEDY
    sampled = (frame["decoding"] == decoding.name) & frame["sample_index"].between(0, k - 1)
    ours = pd.Series(list(zip(frame["item_id"], frame["prompt_hash"], strict=True)), dtype=object)
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
) -> list[dict[str, Any]]:
    """Read completions and give their rows (see `medrl_core.sample.rollouts`).

    Arguments: `seed`, `model_name` and `model_hash` are written into the rows.
    """
    answers: dict[tuple[str, str], Parsed] = {}
    rows: list[dict[str, Any]] = []
    for item, hashed, index, text, n_tokens, ended, logprob in completions:
        rows.append(
            judgement(item, text, answers)
            | {
                "item_id": item.item_id,
                "model": model_name,
                "model_hash": model_hash,
                "prompt_hash": hashed,
                "sample_index": index,
                "seed": seed,
                "decoding": "greedy" if index == GREEDY else decoding.name,
                "text": text,
                "n_tokens": n_tokens,
                "finish_reason": "stop" if ended else "length",
                "logprob": logprob,
            }
        )
    return rows


def parse_item(text: str, item: Item) -> Parsed:
    """Parse a completion of an item with the item's own options, labels and synonyms."""
    return parse(
        text,
        answer_format=reading_of(item),
        options=item.options,
        label_set=item.label_set,
        synonyms=item.synonyms,
    )

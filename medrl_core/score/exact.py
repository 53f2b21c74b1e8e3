"""Exact support of multiple choice: the model's own probability of each option, nothing drawn.

Every way to write an option is forced token by token (teacher forcing); all of an item's read one
encoded prompt, and equal beginnings are run once.

A free sample reasons first, and the reasonings are too many to sum over. So an answer is forced
after given starts, and the numbers are exact for one of two things:

- given a start (`given=True`): the answers of a model that has begun like this, for example with
  its greedy reasoning. No sample need begin so; such numbers stand beside the sampled Pass@K.
- over several starts (`given=False`): starts count with their own probability, so the sum is the
  chance of a free sample to say one of these starts and then the option. It is a lower bound of
  the chance to be right; what all options together leave of 1 bounds it from above.

Both are at one temperature with top-p 1 and top-k 0, and look at nothing after the closing tag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch

from medrl_core.data.items import LETTERS, Item
from medrl_core.errors import UserError
from medrl_core.sample.batches import ITEMS_ENCODED, ROWS, batches
from medrl_core.sample.decode import complete, items_that_fit
from medrl_core.sample.sampling import GREEDY, Decoding
from medrl_core.score.evaluate import parse_item

TAG, END = "<answer>", "</answer>"
COLUMNS = (
    "item_id", "image_id", "dataset", "modality", "n_options", "gold", "model_hash", "temperature",
    "given", "option", "probability",
)  # fmt: skip
# Most starts of an item that are summed over; each further one adds less and costs the same.
MOST_STARTS = 8
_OVER = -1


def starts_of(frame: pd.DataFrame, *, greedy_only: bool = False) -> dict[str, list[str]]:
    """Give what each item's completions say up to their first answer tag, the commonest first.

    Arguments: `frame` rollouts of one model; `greedy_only` leaves the sampled ones out.
    Returns: item_id to at most MOST_STARTS starts, tag included; items without any tag lack.
    """
    tagged = frame[frame.text.str.contains(TAG, regex=False)]
    if greedy_only:
        tagged = tagged[tagged.sample_index == GREEDY]
    starts = tagged.text.str.split(TAG, n=1).str[0] + TAG
    found = {}
    for item, part in starts.groupby(tagged.item_id):
        counts = part.value_counts().sort_index().sort_values(ascending=False, kind="stable")
        found[item] = counts.index[:MOST_STARTS].tolist()
    return found


def _ways(item: Item) -> list[tuple[str, str]]:
    """The texts that stand for an option in an answer tag, as our parser reads them."""
    ways = [
        (LETTERS[i], text)
        for i, option in enumerate(item.options)
        for text in dict.fromkeys((LETTERS[i], option))
    ]
    return [
        (letter, text) for letter, text in ways
        if parse_item(TAG + text + END, item).answer == letter
    ]  # fmt: skip


def _scripts(tokenizer, start: str, ways: list[tuple[str, str]]) -> list[tuple[list[int], int]]:
    """Tokens of each way after a start, and how many of them are the start's.

    A tokenizer may join the end of the start and the first letter of an answer to one token; that
    token then counts to the answer, in each of the ways.
    """
    texts = [start, *(start + text + END for _, text in ways)]
    begun, *written = tokenizer(texts, add_special_tokens=False)["input_ids"]
    shared = 0
    while shared < len(begun) and all(ids[shared] == begun[shared] for ids in written):
        shared += 1
    return [(ids, shared) for ids in written]


@torch.inference_mode()
def option_probabilities(
    model,
    processor,
    items: Sequence[Item],
    starts: Mapping[str, Sequence[str]],
    *,
    given: bool,
    temperature: float = 1.0,
    model_hash: str = "",
) -> pd.DataFrame:
    """Give the probability that a model answers with each option after these starts.

    An option's probability is the sum over its starts and over two ways to write it: its letter
    and its text, each with the closing tag. Other wordings ("option B") are left out.

    Arguments:
        model: an image-text-to-text model in evaluation mode.
        processor: its processor.
        items: `mcq` items.
        starts: item_id to what the model says before the answer, answer tag included (see
            `starts_of`).
        given: the start is taken as said, an item has one, and items without are left out; else
            starts count as text that the model has to say too, and an item without any has
            probability 0 of each option: nothing is known of it.
        temperature: of the softmax.
        model_hash: written into the rows.

    Returns:
        One row an option with the columns COLUMNS, sorted by item and option.

    Raises:
        UserError: an item has no options, several given starts, or no item has a given start.
    """
    for item in items:
        if not item.options:
            raise UserError(f"exact support is of mcq items, and {item.item_id} has no options")
    asked = [item for item in items if starts.get(item.item_id)]
    if given and not asked:
        raise UserError("no item has a start to answer after; give starts of these items")
    told = []
    for item in asked:
        if given and len(starts[item.item_id]) > 1:
            raise UserError(f"{item.item_id} has several starts; give one, or count them all")
        ways = _ways(item)
        told.append(
            [
                (letter, ids, shared if given else 0)
                for start in starts[item.item_id]
                for (letter, _), (ids, shared) in zip(
                    ways, _scripts(processor.tokenizer, start, ways), strict=True
                )
            ]
        )
    copies = max(map(len, told), default=0)
    steps = max((len(ids) for scripts in told for _, ids, _ in scripts), default=0)

    def fit(length: int) -> int:
        return max(1, min(ROWS // copies, items_that_fit(model, length, copies, steps)))

    def about(item: Item) -> tuple:
        return (item.item_id, item.image_id, item.dataset, item.modality, item.n_options,
                item.gold, model_hash, temperature, given)  # fmt: skip

    rows = []
    for first in range(0, len(asked), ITEMS_ENCODED):
        part = slice(first, first + ITEMS_ENCODED)
        chunk, scripts = asked[part], told[part]
        for batch, inputs in batches(processor, chunk, fit):
            inputs = {name: x.to(model.device) for name, x in inputs.items()}
            found = _forced(model, inputs, [scripts[i] for i in batch], copies, steps, temperature)
            for i, chances in zip(batch, found.tolist(), strict=True):
                item = chunk[i]
                sums = dict.fromkeys(LETTERS[: len(item.options)], 0.0)
                for (letter, *_), chance in zip(scripts[i], chances, strict=False):
                    sums[letter] += chance
                rows += [(*about(item), letter, chance) for letter, chance in sums.items()]
    if not given:
        for item in items:
            if not starts.get(item.item_id):
                rows += [(*about(item), letter, 0.0) for letter in LETTERS[: len(item.options)]]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["item_id", "option"], ignore_index=True)


def check(items: Sequence[Item], decoding: Decoding) -> None:
    """Refuse, as a UserError, items that are all open, and a decoding that cuts tokens off.

    The samples of such a decoding follow no softmax.
    """
    if not any(item.options for item in items):
        raise UserError("exact support is of items with options, and all of these are open")
    if decoding.top_p < 1 or decoding.top_k:
        raise UserError("exact support is of uncut samples: take top_p 1 and top_k 0, or leave it")


def both(
    model, processor, items: Sequence[Item], frame: pd.DataFrame, decoding: Decoding,
    model_hash: str = "",
) -> pd.DataFrame:
    """Give the options' probabilities after the greedy reasoning, and over all reasonings seen.

    Arguments: `items` of which the open ones are left out; `frame` their rollouts at `decoding`.
    Returns: the rows of `option_probabilities` for both, at the decoding's temperature; only the
    second where no greedy completion opens an answer tag.
    Raises: UserError as `check`.
    """
    check(items, decoding)
    choice = [item for item in items if item.options]
    about = {"temperature": decoding.temperature, "model_hash": model_hash}
    parts = []
    for given in (True, False):
        starts = starts_of(frame, greedy_only=given)
        if starts or not given:
            parts.append(
                option_probabilities(model, processor, choice, starts, given=given, **about)
            )
    return pd.concat(parts)


def _forced(model, inputs, scripts, copies: int, steps: int, temperature: float) -> torch.Tensor:
    """Probabilities (items, copies) of scripts, tokens of given starts not counted."""
    tokens = torch.full((len(scripts), copies, steps), _OVER)
    counted = torch.zeros_like(tokens, dtype=torch.bool)
    for item, of_item in enumerate(scripts):
        for copy, (_, ids, skipped) in enumerate(of_item):
            tokens[item, copy, : len(ids)] = torch.tensor(ids)
            counted[item, copy, skipped : len(ids)] = True
    tokens, counted = (x.flatten(0, 1).to(model.device) for x in (tokens, counted))

    def choose(scores, history, completion, step):
        token = tokens[completion, step]
        logprob = (scores.float() / temperature).log_softmax(-1)[history, token.clamp(min=0)]
        return token, torch.where(counted[completion, step], logprob, 0.0)

    _, logprobs = complete(
        model, inputs, copies=copies, max_new_tokens=steps, choose=choose, eos_ids={_OVER}
    )
    return logprobs.exp().view(len(scripts), copies)

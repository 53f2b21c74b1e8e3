"""Exact support against probabilities of whole texts, one by one, and against sampling."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch

import tiny
from medrl_core.data.items import build_items
from medrl_core.data.prompts import messages
from medrl_core.errors import UserError
from medrl_core.sample.sampling import Decoding, sample
from medrl_core.score.evaluate import rollout_rows
from medrl_core.score.exact import END, TAG, both, option_probabilities, starts_of
from medrl_core.score.statistics import score_exact
from medrl_core.train import sft

STARTS = ("<think>I see.</think><answer>", "<answer>")


@pytest.fixture(scope="module")
def model_and_processor():
    return tiny.build()


@torch.no_grad()
def logprob(model, processor, item, said: str, begun: int, temperature: float) -> float:
    """Of a text after an item's prompt, from its token `begun` on: the whole run at once."""
    if hasattr(model.model, "rope_deltas"):
        model.model.rope_deltas = None
    text = processor.apply_chat_template(messages(item), tokenize=False, add_generation_prompt=True)
    prompt = processor(text=[text], images=list(item.images) or None, return_tensors="pt")
    ids = torch.tensor([processor.tokenizer(said)["input_ids"]])
    n = ids.shape[1]
    whole = {**prompt, "input_ids": torch.cat([prompt["input_ids"], ids], 1)}
    whole["attention_mask"] = torch.ones_like(whole["input_ids"])
    whole["mm_token_type_ids"] = torch.nn.functional.pad(prompt["mm_token_type_ids"], (0, n))
    logps = (model(**whole).logits[0, -n - 1 : -1] / temperature).log_softmax(-1)
    return logps.gather(-1, ids[0, :, None])[begun:].sum().item()


@pytest.mark.parametrize("given", [True, False])
def test_probabilities_are_those_of_whole_texts(model_and_processor, given):
    model, processor = model_and_processor
    items = [*tiny.items("mcq", 3), *(tiny.plain_item(n_images=n, item_id=str(n)) for n in (0, 2))]
    used = STARTS[:1] if given else STARTS
    starts = {item.item_id: used for item in items}
    found = option_probabilities(*model_and_processor, items, starts, given=given, temperature=2)
    assert len(found) == sum(len(item.options) for item in items)
    found = found.set_index(["item_id", "option"]).probability
    for item in items:
        for letter, option in zip("ABCD", item.options, strict=False):
            expected = 0.0
            for start in used:
                begun = len(processor.tokenizer(start)["input_ids"]) if given else 0
                expected += sum(
                    torch.tensor(logprob(model, processor, item, start + way + END, begun, 2.0))
                    .exp().item()
                    for way in (letter, option)
                )
            assert found[item.item_id, letter] == pytest.approx(expected, rel=1e-3)


def test_sampled_shares_lie_between_the_bounds():
    """On a model that has learnt to answer: what 200 samples give lies between the ends."""
    items = build_items(tiny.image_set(), "test", "mcq", n=6)
    net, processor = tiny.build()
    net, _ = sft.train(net, processor, items, steps=60, batch_size=6, learning_rate=3e-3)
    decoding = Decoding(1.0, max_new_tokens=40)
    batches = sample(net, processor, items, k=200, decoding=decoding, model_hash="m")
    about = {"seed": 0, "model_name": "", "model_hash": "m"}
    frame = pd.DataFrame(
        [row for found in batches for row in rollout_rows(found, decoding, **about)]
    )
    table = both(net, processor, items, frame, decoding, "m")
    own = table[~table.given]
    low = own[own.option == own.gold].set_index("item_id").probability
    high = low + 1 - own.groupby("item_id").probability.sum()
    share = frame[frame.sample_index >= 0].groupby("item_id").correct.mean()
    error = 3 * (0.25 / 200) ** 0.5
    assert (low <= share + error).all() and (share <= high + error).all()
    assert (high - low).mean() < 0.3  # and they say something
    # Given its greedy reasoning, a model answers as in the samples that reason so.
    given = table[table.given & (table.option == table.gold)].set_index("item_id").probability
    for item, (start,) in starts_of(frame, greedy_only=True).items():
        same = frame[(frame.item_id == item) & frame.text.str.startswith(start)]
        assert given[item] == pytest.approx(same.correct.mean(), abs=0.2 + len(same) ** -0.5)


def test_starts_end_with_the_first_tag():
    text = ["<think>a</think><answer>b</answer>", "<answer>b<answer>c", "none", "x<answer>d"]
    frame = pd.DataFrame({"item_id": ["i", "i", "i", "j"], "sample_index": [-1, 0, 1, 0]})
    frame["text"] = text
    assert starts_of(frame) == {"i": [TAG, "<think>a</think><answer>"], "j": ["x<answer>"]}
    assert starts_of(frame, greedy_only=True) == {"i": ["<think>a</think><answer>"]}


def test_a_token_across_the_tags_end_counts_to_the_answer():
    from medrl_core.score.exact import _scripts

    def tokenizer(texts, add_special_tokens):
        return {"input_ids": [
            [ord(c) for c in text.replace(">A", "\u0100").replace(">B", "\u0101")]
            for text in texts
        ]}  # fmt: skip

    scripts = _scripts(tokenizer, "<answer>", [("A", "A"), ("B", "B")])
    assert [shared for _, shared in scripts] == [7, 7]
    assert [chr(ids[7]) for ids, _ in scripts] == ["\u0100", "\u0101"]


def test_scores_by_hand():
    table = pd.DataFrame(
        [("i", "A", 0.5), ("i", "B", 0.25), ("j", "A", 0.0), ("j", "B", 1.0)],
        columns=["item_id", "option", "probability"],
    ).assign(image_id=lambda t: t.item_id, dataset="d", modality="m", gold="A", given=False)
    scores = score_exact(pd.concat([table, table.assign(given=True)]), [1, 2])
    overall = scores[scores.scope == "overall"].set_index(["metric", "k"]).value
    assert overall["low_pass@k", 2] == pytest.approx((1 - 0.5**2) / 2)
    assert overall["high_pass@k", 2] == pytest.approx((1 - 0.25**2) / 2)
    assert overall["exact_mass", 0] == overall["given_mass", 0] == pytest.approx(1.75 / 2)
    assert overall["given_pass@k", 1] == pytest.approx(0.25)


def test_what_cannot_be_asked_is_refused(model_and_processor):
    item = tiny.items("mcq", 1)[0]
    opened = replace(item, options=None, answer_format="open")
    for items, starts, why in (
        ([item], {}, "no item has a start"),
        ([item], {item.item_id: STARTS}, "several starts"),
        ([opened], {item.item_id: STARTS[:1]}, "has no options"),
    ):
        with pytest.raises(UserError, match=why):
            option_probabilities(*model_and_processor, items, starts, given=True)
    with pytest.raises(UserError, match="uncut samples"):
        both(*model_and_processor, [item], pd.DataFrame(), Decoding(top_p=0.9))


def test_an_item_without_an_answer_tag_is_bounded_by_nothing(model_and_processor):
    items = tiny.items("mcq", 2)
    starts = {items[0].item_id: STARTS[:1]}
    table = option_probabilities(*model_and_processor, items, starts, given=False)
    assert set(table.item_id) == {item.item_id for item in items}
    found = score_exact(table[table.item_id == items[1].item_id], [1, 4])
    found = found[found.scope == "overall"].set_index(["metric", "k"]).value
    assert [found["low_pass@k", k] for k in (1, 4)] == [0, 0]
    assert [found["high_pass@k", k] for k in (1, 4)] == [1, 1]


def test_without_any_answer_tag_only_the_bounds_are_given(model_and_processor):
    items = tiny.items("mcq", 2)
    silent = pd.DataFrame({"item_id": [i.item_id for i in items], "sample_index": -1, "text": "no"})
    assert starts_of(silent) == {}
    table = both(*model_and_processor, items, silent, Decoding())
    assert not table.given.any() and (table.probability == 0).all()
    with pytest.raises(UserError, match="all of these are open"):
        both(*model_and_processor, tiny.items("open", 2), silent, Decoding())

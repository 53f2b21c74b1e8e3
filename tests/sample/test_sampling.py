from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

import tiny
from medrl_core.data.prompts import messages, prompt_hash
from medrl_core.errors import UserError
from medrl_core.sample import sampling
from medrl_core.sample.rollouts import COLUMNS, KEY
from medrl_core.sample.sampling import GREEDY, Decoding, sample
from medrl_core.score.evaluate import rollout_rows

SHORT = Decoding(max_new_tokens=6)


@pytest.fixture(scope="module")
def model_and_processor():
    return tiny.build()


def rows_of(model_and_processor, items, **options):
    options = {"k": 3, "decoding": SHORT, "model_hash": "m", **options}
    name = options.pop("model_name", "")
    about = {"seed": options.get("seed", 0), "model_name": name, "model_hash": "m"}
    return [
        row
        for found in sample(*model_and_processor, items, **options)
        for row in rollout_rows(found, options["decoding"], **about)
    ]


def by_key(rows):
    return {(row["item_id"], row["sample_index"]): row["text"] for row in rows}


def encode(processor, item):
    text = processor.apply_chat_template(messages(item), tokenize=False, add_generation_prompt=True)
    return processor(text=[text], images=list(item.images) or None, return_tensors="pt")


def mixed_items():
    """Open and mcq items, items with no, one and two images."""
    return [
        *tiny.items("open", 5), *tiny.items("mcq", 5),
        *(tiny.plain_item(n_images=n, item_id=f"plain-{n}") for n in range(3)),
    ]


def test_greedy_equals_generate_one_by_one(model_and_processor):
    model, processor = model_and_processor
    items = mixed_items()
    rows = rows_of(model_and_processor, items, k=2)
    greedy = {row["item_id"]: row for row in rows if row["sample_index"] == GREEDY}
    for item in items:
        inputs = encode(processor, item)
        tokens = model.generate(**inputs, do_sample=False, max_new_tokens=6)
        expected = tokens[0, inputs["input_ids"].shape[1] :]
        text = processor.tokenizer.decode(expected, skip_special_tokens=True)
        assert greedy[item.item_id]["text"] == text
        assert greedy[item.item_id]["n_tokens"] == len(expected)
    assert len({row["text"] for row in greedy.values()}) > len(items) // 2


def test_a_models_own_repetition_penalty_does_not_change_the_samples(model_and_processor):
    model, processor = model_and_processor
    items = tiny.items("open", 3)
    decoding = Decoding(max_new_tokens=12)
    plain = rows_of(model_and_processor, items, decoding=decoding)
    other, _ = tiny.build()
    other.generation_config.repetition_penalty = 3.0
    assert rows_of((other, processor), items, decoding=decoding) == plain
    inputs = encode(processor, items[0])
    a = model.generate(**inputs, do_sample=False, max_new_tokens=12)
    b = other.generate(**inputs, do_sample=False, max_new_tokens=12)
    assert not torch.equal(a, b)  # the penalty would have changed the text


@pytest.mark.parametrize("rows_per_batch", [1, 7, 1024])
def test_a_completion_depends_on_neither_batch_size_nor_order(model_and_processor, rows_per_batch):
    items = mixed_items()
    expected = by_key(rows_of(model_and_processor, items))
    found = rows_of(model_and_processor, items[::-1], rows_per_batch=rows_per_batch)
    assert by_key(found) == expected
    assert len(expected) == 4 * len(items)


def test_a_completion_does_not_depend_on_k_or_on_the_chunks(model_and_processor, monkeypatch):
    items = mixed_items()
    expected = by_key(rows_of(model_and_processor, items, k=3))
    monkeypatch.setattr(sampling, "ITEMS_ENCODED", 4)
    fewer = by_key(rows_of(model_and_processor, items, k=1, greedy=False))
    assert fewer == {key: text for key, text in expected.items() if key[1] == 0}


def test_another_seed_and_another_sample_give_other_texts(model_and_processor):
    items = tiny.items("open", 4)
    a = by_key(rows_of(model_and_processor, items, k=4, seed=0))
    b = by_key(rows_of(model_and_processor, items, k=4, seed=1))
    assert all((a[key] == b[key]) == (key[1] == GREEDY) for key in a)
    assert len({a[items[0].item_id, index] for index in range(4)}) == 4


def test_items_of_equal_prompt_length_with_and_without_an_image(model_and_processor):
    _, processor = model_and_processor
    image = tiny.plain_item("Which one?", n_images=1, item_id="image")
    length = encode(processor, image)["input_ids"].shape[1]
    question = "Which one?"
    for _ in range(60):
        text = tiny.plain_item(question, item_id="text")
        if encode(processor, text)["input_ids"].shape[1] == length:
            break
        question += "!"
    assert encode(processor, text)["input_ids"].shape[1] == length
    together = by_key(rows_of(model_and_processor, [text, image]))
    alone = by_key(rows_of(model_and_processor, [text]))
    alone |= by_key(rows_of(model_and_processor, [image]))
    assert together == alone


def next_token_probabilities(model_and_processor, item, decoding):
    """Softmax of the first step, with temperature, top-k and top-p applied by hand."""
    model, processor = model_and_processor
    with torch.no_grad():
        logits = model(**encode(processor, item)).logits[0, -1].double()
    p = (logits / decoding.temperature).softmax(-1).numpy()
    order = np.argsort(-p)
    if decoding.top_k:
        p[order[decoding.top_k :]] = 0
        p /= p.sum()
    before = np.cumsum(p[order]) - p[order]
    p[order[before >= decoding.top_p]] = 0
    return p / p.sum()


@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 0.5}, {"temperature": 2.0, "top_k": 5}, {"top_p": 0.6},
     {"temperature": 0.7, "top_p": 0.9, "top_k": 8}],
)
def test_first_tokens_follow_the_models_softmax(model_and_processor, settings):
    n = 2000
    decoding = Decoding(max_new_tokens=1, **settings)
    item = tiny.items("open", 1)[0]
    tokenizer = model_and_processor[1].tokenizer
    p = next_token_probabilities(model_and_processor, item, decoding)
    names = [tokenizer.decode([i], skip_special_tokens=True) for i in range(len(p))]
    expected: dict[str, float] = {}
    for name, value in zip(names, p, strict=True):
        expected[name] = expected.get(name, 0.0) + n * value
    rows = rows_of(model_and_processor, [item], k=n, decoding=decoding, greedy=False, seed=5)
    found = dict.fromkeys(expected, 0)
    for row in rows:
        found[row["text"]] += 1
    assert not any(count for name, count in found.items() if expected[name] == 0)
    common = [name for name in expected if expected[name] >= 5]
    rest = n - sum(expected[name] for name in common)
    counts = [found[name] for name in common]
    hopes = [expected[name] for name in common]
    if rest > 1e-6:
        counts, hopes = [*counts, n - sum(counts)], [*hopes, rest]
    assert len(hopes) > 2
    assert chisquare(counts, hopes).pvalue > 1e-3


def test_top_k_of_one_is_greedy(model_and_processor):
    decoding = Decoding(top_k=1, max_new_tokens=5)
    rows = rows_of(model_and_processor, tiny.items("open", 4), k=2, decoding=decoding)
    texts = by_key(rows)
    assert all(text == texts[item_id, GREEDY] for (item_id, _), text in texts.items())


@pytest.mark.parametrize("largest", [False, True])
def test_no_random_number_leaves_the_kept_tokens(model_and_processor, monkeypatch, largest):
    class Fixed:
        def __init__(self, bits): ...

        def random(self, n):  # the ends of numpy's range; the larger is 1.0 in float32
            return np.full(n, 1 - 2**-53 if largest else 0.0)

    decoding, item = Decoding(top_k=3, max_new_tokens=1), tiny.items("open", 1)[0]
    kept = np.flatnonzero(next_token_probabilities(model_and_processor, item, decoding))
    monkeypatch.setattr(sampling.np.random, "Generator", Fixed)
    (row,) = rows_of(model_and_processor, [item], k=1, greedy=False, decoding=decoding)
    tokenizer = model_and_processor[1].tokenizer
    assert len(kept) == 3
    assert row["text"] == tokenizer.decode([kept[-1 if largest else 0]], skip_special_tokens=True)


def test_logprob_is_the_teacher_forced_sum(model_and_processor, monkeypatch):
    model, processor = model_and_processor
    drawn = []

    def spied(*args, generate=sampling._generate):
        tokens, logprobs, eos = generate(*args)
        drawn.extend(zip(tokens.tolist(), logprobs, strict=True))
        return tokens, logprobs, eos

    monkeypatch.setattr(sampling, "_generate", spied)
    for item in mixed_items()[3:13:3]:
        drawn.clear()
        rows = rows_of(model_and_processor, [item], k=2, decoding=Decoding(2.0, max_new_tokens=6))
        inputs = encode(processor, item)
        length = inputs["input_ids"].shape[1]
        for row, (ids, _) in zip(rows, drawn, strict=True):
            ids = ids[: row["n_tokens"]]
            extended = torch.cat([inputs["input_ids"], torch.tensor([ids])], 1)
            kinds = torch.nn.functional.pad(inputs["mm_token_type_ids"], (0, len(ids)))
            whole = {
                **inputs,
                "input_ids": extended,
                "attention_mask": torch.ones_like(extended),
                "mm_token_type_ids": kinds,
            }
            with torch.no_grad():
                logps = model(**whole).logits[0, length - 1 : -1].log_softmax(-1)
            expected = logps.gather(-1, torch.tensor(ids)[:, None]).sum().item()
            assert row["logprob"] == pytest.approx(expected, abs=1e-3)


def test_stop_and_length(model_and_processor):
    model, processor = tiny.build()
    item = tiny.items("open", 1)[0]
    with torch.no_grad():
        logps = model(**encode(processor, item)).logits[0, -1].log_softmax(-1)
    first = logps.argmax().item()
    row = rows_of((model, processor), [item], k=0)[0]
    assert (row["finish_reason"], row["n_tokens"]) == ("length", 6)
    model.generation_config.eos_token_id = [model.generation_config.eos_token_id, first]
    row, *others = rows_of((model, processor), [item], k=3)
    assert any(other["n_tokens"] > 1 for other in others)  # the batch went on
    assert (row["finish_reason"], row["n_tokens"], row["text"]) == ("stop", 1, "")
    assert row["logprob"] == pytest.approx(logps[first].item(), abs=1e-4)


def test_rows_have_the_columns_of_the_store(model_and_processor):
    item = tiny.items("mcq", 1)[0]
    rows = rows_of(model_and_processor, [item], k=1, seed=7, model_name="tiny")
    assert all(set(row) == set(COLUMNS) for row in rows)
    sampled = next(row for row in rows if row["sample_index"] == 0)
    expected = {
        "item_id": item.item_id, "image_id": item.image_id, "dataset": "cells",
        "modality": item.modality, "answer_format": "mcq", "n_options": 4, "gold": item.gold,
        "model": "tiny", "model_hash": "m", "prompt_hash": prompt_hash(item), "seed": 7,
        "decoding": "temperature=1,top_p=1,top_k=0",
    }
    assert {name: sampled[name] for name in expected} == expected


def test_k_of_zero_gives_the_greedy_answer_alone(model_and_processor):
    rows = rows_of(model_and_processor, tiny.items("open", 3), k=0)
    assert [(row["sample_index"], row["decoding"]) for row in rows] == [(GREEDY, "greedy")] * 3
    assert rows_of(model_and_processor, tiny.items("open", 3), k=0, greedy=False) == []


def test_done_keys_are_left_out(model_and_processor):
    items = tiny.items("open", 4)
    whole = rows_of(model_and_processor, items)
    keys = [tuple(row[name] for name in KEY) for row in whole]
    some = keys[:6]  # all of one item and a part of another
    rest = rows_of(model_and_processor, items, done=some)
    assert sorted(tuple(row[name] for name in KEY) for row in rest) == sorted(keys[6:])
    texts = by_key(whole)
    assert all(texts[key] == text for key, text in by_key(rest).items())
    assert rows_of(model_and_processor, items, done=keys) == []
    assert len(rows_of(model_and_processor, items, done=keys, model_hash="other")) == len(keys)


@pytest.mark.parametrize(
    "settings",
    [{"temperature": 0}, {"temperature": math.nan}, {"top_p": 0}, {"top_p": 1.1}, {"top_k": -1},
     {"max_new_tokens": 0}],
)
def test_a_decoding_out_of_range_is_refused(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        Decoding(**settings)

"""What is refused before or while a model is sampled: long questions, scores not finite."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import tiny
from made_rollouts import rollouts
from medrl_core.errors import UserError
from medrl_core.sample import sampling
from medrl_core.sample.rollouts import COLUMNS, SCHEMA, RolloutStore, read
from medrl_core.sample.sampling import Decoding, sample
from medrl_core.score.evaluate import evaluate


def drawn(model, processor, items, **decoding):
    return list(sample(model, processor, items, k=1, decoding=Decoding(**decoding)))


def test_a_question_longer_than_the_context_is_refused_before_sampling(monkeypatch):
    model, processor = tiny.build()
    monkeypatch.setattr(sampling, "_generate", lambda *_: pytest.fail("it was sampled"))
    short, long = tiny.plain_item(), tiny.plain_item("word " * 5000, item_id="long")
    n = len(processor.tokenizer(
        processor.apply_chat_template(sampling_messages(long), tokenize=False,
                                      add_generation_prompt=True)
    )["input_ids"])  # fmt: skip
    with pytest.raises(UserError, match=f"item long has {n} tokens; .* leaves 4092 beside"):
        drawn(model, processor, [short, long], max_new_tokens=4)


def test_pictures_count_as_tokens_too(monkeypatch):
    """Room for 20 tokens beside the answer: the text alone fits, with its picture it does not."""
    model, processor = tiny.build()
    item = tiny.plain_item("?", n_images=1, item_id="pictured")
    inputs = processor(
        text=[processor.apply_chat_template(sampling_messages(item), tokenize=False,
                                            add_generation_prompt=True)],
        images=list(item.images), return_tensors="pt",
    )  # fmt: skip
    length = inputs["input_ids"].shape[1]
    monkeypatch.setattr(model.config.get_text_config(), "max_position_embeddings", length + 3)
    monkeypatch.setattr(sampling, "check_lengths", lambda *_: None)
    with pytest.raises(UserError, match=f"pictured has {length} tokens; .* leaves {length - 1} "):
        drawn(model, processor, [item], max_new_tokens=4)
    assert len(drawn(model, processor, [item], max_new_tokens=3)) == 1


def sampling_messages(item):
    from medrl_core.data.prompts import messages

    return messages(item)


@pytest.mark.parametrize("fault", ["weights", "temperature"])
def test_scores_that_are_not_finite_are_one_line(fault):
    model, processor = tiny.build()
    temperature = 1.0 if fault == "weights" else 1e-42
    if fault == "weights":
        with torch.no_grad():
            next(iter(model.lm_head.parameters())).fill_(float("nan"))
    with pytest.raises(UserError, match="scores are not finite at temperature"):
        drawn(model, processor, [tiny.plain_item()], temperature=temperature, max_new_tokens=4)


def test_doubled_ids_are_found_before_sampling(tmp_path):
    items = [tiny.plain_item(item_id=name) for name in ("a", "b", "a")]
    with pytest.raises(UserError, match=r"1 items have the id of another \(a\)"):
        evaluate(None, None, items, RolloutStore(tmp_path), k=1, model_name="m", model_hash="h")


GOOD = [
    {"seed": 0, "text": "", "n_tokens": 1, "logprob": -1.0, "model": "m"} | row
    for row in rollouts("i", "A", ["A", "B"])
]


def frame(**changes):
    """Three good rows, the last one changed."""
    rows = [{name: row[name] for name in COLUMNS} for row in GOOD]
    rows[-1] |= changes
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("change", "says"), [
    ({"sample_index": -2}, "sample_index below -1"), ({"n_options": -1}, "n_options below 0"),
    ({"n_options": 0}, "n_options below 2 for multiple"), ({"gold": "AB"}, "a gold that is no"),
    ({"gold": "B"}, "item i has 2 values of gold"), ({"n_tokens": -1}, "n_tokens below 0"),
    ({"prompt_hash": "other"}, "item i has 2 values of prompt_hash"),
    ({"finish_reason": "eos"}, "neither stop nor length"),
])  # fmt: skip
def test_rollouts_that_no_sampling_gives_are_refused(tmp_path, change, says):
    path = tmp_path / "r.parquet"
    frame().to_parquet(path)
    assert len(read(path)) == 3
    frame(**change).to_parquet(path)
    with pytest.raises(UserError, match=says):
        read(path)


def test_half_right_is_refused(tmp_path):
    path = tmp_path / "r.parquet"
    table = pa.Table.from_pandas(frame(), schema=SCHEMA, preserve_index=False)
    half = pa.array([1.0, 0.0, 0.5])
    pq.write_table(table.set_column(table.column_names.index("correct"), "correct", half), path)
    with pytest.raises(UserError, match="correct has 0.5, neither true nor false"):
        read(path)

"""Each defect moves its number the way that was worked out by hand."""

from __future__ import annotations

import math

import pandas as pd

import tiny
from made_rollouts import rollouts
from medrl_core.data.prompts import messages
from medrl_core.report import defects
from medrl_core.sample.sampling import Decoding


def values(rows):
    table = defects.table(rows)
    assert list(table.columns) == defects.COLUMNS and list(table.way) == [
        defects.OFFICIAL, defects.HERE]
    return list(table["value"])


def frame(answers, *, logprob=None, **more):
    """Four options, A is right; four samples an item."""
    rows = [
        row | {"logprob": (logprob or {}).get(item, 0.0), "n_tokens": 1, "model": "m"}
        for item, (greedy, samples) in answers.items()
        for row in rollouts(f"d/test/{item}", greedy, samples, n_options=4, **more)
    ]
    return pd.DataFrame(rows)


def test_a_batch_of_two_items_takes_the_bonus_from_the_less_likely_one():
    """Likelihoods 0.9 and 0.3: over the device the mean is 0.6, over a group each is its own."""
    one = frame({"i": ("A", ["A"] * 4), "j": ("A", ["A"] * 4)},
                logprob={"i": math.log(0.9), "j": math.log(0.3)})
    assert values(defects.bonus_statistics(one)) == [0.5, 1.0]
    wrong = frame({"i": ("B", ["B"] * 4), "j": ("B", ["B"] * 4)})
    assert all(math.isnan(value) for value in values(defects.bonus_statistics(wrong)))


def test_guessing_among_four_options_has_much_pass_at_k_and_no_support():
    one = frame({i: ("B", ["A", "B", "C", "D"]) for i in range(6)})
    raw, above = values(defects.guess_floor(one, 4))
    assert raw == 1.0 and above == 1.0  # every item is solved in four samples
    raw, above = values(defects.guess_floor(one, 2))
    # Two of four samples: 1 - 3/4 * 2/3 = 1/2; floor 1 - (3/4)^2 = 7/16; (8 - 7) / 9 = 1/9.
    assert abs(raw - 1 / 2) < 1e-9 and abs(above - 1 / 9) < 1e-9


def test_the_official_order_takes_the_article_for_option_a():
    items = tiny.items("mcq", 2)
    rows = [row | {"text": "A chest X-ray without an answer", "model": "m"}
            for item in items for row in rollouts(item.item_id, "B", ["B"], gold=item.gold)]
    official, ours = values(defects.parser(pd.DataFrame(rows), items))
    assert ours == 0.0 and official == sum(item.gold == "A" for item in items) / 2


def test_without_the_generation_prompt_the_turn_is_not_opened():
    net, processor = tiny.build()
    (item, *_) = items = tiny.items("open", 2)
    told = {"tokenize": False, "add_generation_prompt": True}
    whole = processor.apply_chat_template(messages(item), **told)
    short = defects.Unprompted(processor).apply_chat_template(messages(item), **told)
    assert whole == short + "<|im_start|>assistant\n"
    rows = defects.generation_prompt(net, processor, items, Decoding(max_new_tokens=4))
    assert all(0 <= value <= 1 for value in values(rows))

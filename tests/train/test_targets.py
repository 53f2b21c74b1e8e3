"""Every SFT target is read back as its gold answer before it is taught."""

from __future__ import annotations

from dataclasses import replace

import pytest

import tiny
from medrl_core.errors import UserError
from medrl_core.train import sft
from medrl_core.train.targets import reads_back, target, targets, unreadable

ITEM = tiny.plain_item()


def asked(options, gold):
    return replace(ITEM, options=options, label_set=options, gold=gold)


@pytest.mark.parametrize(("options", "gold", "ending"), [
    (("cat", "dog"), "B", "<answer>dog</answer>"),
    (("axial", "coronal", "axial"), "C", "<answer>C</answer>"),  # the text stands for A and C
    (("B", "A"), "A", "<answer>A</answer>"),  # the text of A is the letter of the other
])  # fmt: skip
def test_the_letter_is_taught_where_the_text_is_ambiguous(options, gold, ending):
    item = asked(options, gold)
    text = target(item)
    assert text.endswith(ending) and reads_back(item, text)
    assert unreadable([item]) == []


def test_a_target_that_cannot_be_read_is_refused_by_name():
    """An open item whose gold is no label of its own set is read as no label."""
    lost = replace(ITEM, options=None, label_set=("cat", "dog"), gold="</answer>", item_id="lost",
                   answer_format="open")  # fmt: skip
    assert unreadable([ITEM, lost]) == ["lost"]
    with pytest.raises(UserError, match=r"1 of 2 items .* \(lost\): reword or leave out"):
        targets([ITEM, lost])


def test_wordings_follow_the_seed():
    items = [ITEM] * 20
    assert targets(items, 3) == targets(items, 3) != targets(items, 4)
    assert len(set(targets(items, 3))) == 3


def test_items_of_which_one_has_no_picture_are_refused_before_training():
    pictured = [tiny.plain_item(n_images=1, item_id=name) for name in "ab"]
    with pytest.raises(UserError, match=r"1 of 3 items have no picture \(plain\)"):
        sft.train(None, None, [*pictured, ITEM], steps=1)

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

import tiny
from medrl_core.sample import batches


def one_item(inputs, i: int, items: int):
    """The inputs of one item of a batch."""
    return {name: x.unflatten(0, (items, -1))[i] for name, x in inputs.items()}


def test_batches_join_images_of_many_sizes_and_keep_to_the_limit():
    _, processor = tiny.build()
    items = [
        replace(tiny.plain_item(item_id=str(i)), images=(Image.new("RGB", (side, side), 50 * i),))
        for i, side in enumerate((28, 28, 40, 64, 28))
    ]
    whole = list(batches.batches(processor, items, lambda length: 9))
    assert [indices for indices, _ in whole] == [[0, 1, 4, 2, 3]]
    for most in (1, 2):
        parts = list(batches.batches(processor, items, lambda length, most=most: most))
        assert max(len(indices) for indices, _ in parts) == most
        assert sorted(i for indices, _ in parts for i in indices) == [0, 1, 2, 3, 4]
        for indices, inputs in parts:
            for place, i in enumerate(indices):
                alone = one_item(inputs, place, len(indices))
                there = one_item(whole[0][1], whole[0][0].index(i), 5)
                assert all(np.array_equal(alone[name], there[name]) for name in there)


def test_a_part_that_would_need_padding_is_halved():
    _, processor = tiny.build()
    items = [tiny.plain_item(question, item_id=question) for question in ("A?", "A? A? A?", "A?")]
    asked = [(item.question, item) for item in items]
    parts = list(batches._parts(processor, asked, [0, 1, 2], lambda length: 9))
    assert [indices for indices, _ in parts] == [[0], [1], [2]]
    assert all(inputs["attention_mask"].all() for _, inputs in parts)


def test_what_is_not_wanted_keeps_its_place_in_the_plan():
    _, processor = tiny.build()
    items = [tiny.plain_item(n_images=1, item_id=str(i)) for i in range(5)]

    def found(wanted):
        plan = batches.batches(processor, items, lambda length: 2, [i in wanted for i in range(5)])
        return [(indices, {name: x.shape[0] for name, x in inputs.items()})
                for indices, inputs in plan]

    whole = found(range(5))
    assert [indices for indices, _ in whole] == [[0, 1], [2, 3], [4]]
    assert found({2, 3, 4}) == whole[1:]
    assert [indices for indices, _ in found({1, 2, 3})] == [[1], [2, 3]]
    assert found({4}) == whole[2:] and found(()) == []

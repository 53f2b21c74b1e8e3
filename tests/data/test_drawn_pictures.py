from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.data.drawn.modalities import WORLDS
from medrl_core.data.drawn.pictures import draw, finding
from medrl_core.data.drawn.scenes import SCENES
from medrl_core.data.drawn.world import SIZES
from medrl_core.errors import UserError

FACTS = st.tuples(*(st.integers(0, int(n) - 1) for n in SIZES))
NAMES = st.sampled_from(sorted(SCENES))


def pixels(name, facts, seed):
    return np.asarray(draw(name, facts, seed)).astype(int)


def test_every_modality_of_every_world_can_be_drawn():
    assert {one.name for world in WORLDS.values() for one in world.modalities} <= set(SCENES)


@given(NAMES, FACTS, st.integers(0, 2**40))
def test_equal_arguments_give_equal_pixels(name, facts, seed):
    picture = draw(name, facts, seed)
    assert picture.mode == "RGB" and picture.size == (32, 32)
    assert picture.tobytes() == draw(name, facts, seed).tobytes()
    assert picture.tobytes() != draw(name, facts, seed + 1).tobytes()


@pytest.mark.parametrize("name", SCENES)
def test_a_finding_lies_where_side_and_level_say(name):
    for side in (0, 1):
        rows = []
        for level in range(4):
            # The same seed draws another anatomy for other facts, so many are averaged.
            dark, bright = (
                np.mean([pixels(name, (1, side, level, 2, tone, 0), k) for k in range(12)], 0)
                for tone in (1, 0)
            )
            difference = np.abs(bright - dark).sum(-1)
            weights = difference**2 / (difference**2).sum()
            rows.append((weights.sum(1) * np.arange(32)).sum())
            column = (weights.sum(0) * np.arange(32)).sum()
            assert (column < 14) if side == 0 else (column > 17)
        assert np.all(np.diff(rows) > 3.5)


@pytest.mark.parametrize("name", SCENES)
def test_bright_is_lighter_than_dark_and_both_differ_from_what_lies_around(name):
    column, row = SCENES[name].place(0, 1)
    inside = (slice(row - 1, row + 2), slice(column - 1, column + 2))
    bright, dark = (pixels(name, (1, 0, 1, 2, tone, 0), 3).mean(-1) for tone in (0, 1))
    away = np.median(bright[:, 16:])
    assert bright[inside].min() > dark[inside].max() + 60
    assert bright[inside].mean() > away + 12 and dark[inside].mean() < away - 25


@pytest.mark.parametrize("name", SCENES)
def test_marks_are_counted_on_the_other_side(name):
    mark = np.array(SCENES[name].mark) * 255
    for count in range(4):
        image = pixels(name, (0, 0, 0, 0, 1, count), 5)[13:18, 17:30]
        near = np.abs(image - mark).max(-1) < 30
        assert 4 * count <= near.sum() <= 4 * count + 3


def test_findings_have_the_pixels_of_their_kind():
    def count(kind, radius):
        return int(finding(kind, radius, 16, 16).sum())

    assert count(1, 2) == 25 and count(1, 4) == 81  # a block
    # A star is two strokes, a band one: a pixel wide where small, three where medium, five beyond.
    assert [count(3, radius) for radius in (2, 3, 5)] == [9, 2 * 21 - 9, 2 * 55 - 25]
    assert [count(5, radius) for radius in (2, 3, 5)] == [5, 21, 55]
    assert count(2, 2) == 1 + 1 + 3 + 3 + 5  # a wedge widens downwards
    ring, disc = finding(4, 3, 16, 16), finding(0, 3, 16, 16)
    assert ring[16, 16] == 0 and disc[16, 16] == 1 and np.all(ring <= disc)
    masks = [finding(kind, 2, 16, 16) for kind in range(6)]
    assert len({mask.tobytes() for mask in masks}) == 6


def test_each_row_of_patches_has_its_own_tone():
    # The tower knows only how far patches lie from each other: blue over red must tell the level.
    for name in SCENES:
        image = np.mean([pixels(name, (5, 0, 0, 0, 0, 0), k) for k in range(8)], 0)
        tone = (image[..., 2] - image[..., 0]).reshape(4, 8, 32).mean((1, 2))
        assert np.all(np.diff(tone) > 4), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lung film", (0, 0, 0, 0, 0, 0), 0), "no modality 'lung film' can be drawn"),
        (("chest film", (0, 2, 0, 0, 0, 0), 0), "leave their ranges"),
        (("chest film", (0, 0, 0, 0, 0, 0), -1), "seed -1 of a picture is negative"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        draw(*arguments)

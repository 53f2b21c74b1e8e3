"""Scores of ordinal sets, worked out by hand and by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, mean_absolute_error

from medrl_core.errors import UserError
from medrl_core.score.ordinal import _kappas, ordinal_table

ORDER = ["no DR", "mild DR", "severe DR"]


def test_by_hand():
    """Two of three right, one off by two; the fourth has no answer.

    Cells (0,0), (1,1), (2,0) of 1/3 each: weighted by the squared distance, seen 4/3; chance: rows
    (1/3, 1/3, 1/3), columns (2/3, 1/3, 0): (0 + 1/9) + (2/9 + 0) + (8/9 + 1/9) = 4/3. Kappa 0.
    """
    gold = ["no DR", "mild DR", "severe DR", "mild DR"]
    table = ordinal_table(gold, ["No DR.", "mild DR", "no DR", None], ORDER).set_index("metric")
    assert table.value["quadratic-weighted kappa"] == pytest.approx(0)
    assert table.value["mean absolute error"] == pytest.approx(2 / 3)
    assert set(table.n) == {3} and set(table.n_no_answer) == {1}
    assert (table.low < table.value).all() and (table.value < table.high).all()


def test_ends():
    right = ordinal_table(ORDER, ORDER, ORDER).set_index("metric")
    assert right.value.to_list() == [1, 0]
    assert right.low["quadratic-weighted kappa"] < 1 and right.high["mean absolute error"] > 0
    reverse = ordinal_table(ORDER, ORDER[::-1], ORDER).set_index("metric")
    assert reverse.value["quadratic-weighted kappa"] == pytest.approx(-1)
    alike = ordinal_table(["no DR"] * 3, ["no DR"] * 3, ORDER).set_index("metric")
    assert np.isnan(alike.value["quadratic-weighted kappa"])


def test_intervals_take_whole_images():
    gold, said = ["no DR", "severe DR"] * 20, ["no DR", "mild DR"] * 20
    alone = ordinal_table(gold, said, ORDER).iloc[1]
    together = ordinal_table(gold, said, ORDER, ["x", "y"] * 20).iloc[1]
    assert together.high - together.low > alone.high - alone.low


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30))
def test_both_numbers_are_those_of_scikit_learn(pairs):
    gold, said = map(list, zip(*pairs, strict=True))
    assume(len({*gold, *said}) > 1)
    kappa = cohen_kappa_score(gold, said, labels=range(4), weights="quadratic")
    cells = np.eye(16)[np.array(gold) * 4 + np.array(said)].mean(0)
    assert _kappas(cells[None], 4)[0] == pytest.approx(kappa)
    table = ordinal_table([f"g{one}" for one in gold], [f"g{one}" for one in said],
                          [f"g{one}" for one in range(4)])  # fmt: skip
    assert table.value.to_list() == pytest.approx([kappa, mean_absolute_error(gold, said)])


@pytest.mark.parametrize("gold, said, order, why", [
    (["worse"], ["no DR"], ORDER, "none of the grades"),
    (["no DR"], [None], ORDER, "none of the 1 answers"),
    (["no DR"], ["no DR"], ["no DR", "No DR"], "twice"),
])  # fmt: skip
def test_what_is_no_scale_is_refused(gold, said, order, why):
    with pytest.raises(UserError, match=why):
        ordinal_table(gold, said, order)

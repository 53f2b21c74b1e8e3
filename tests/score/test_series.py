"""A series of steps: each scored by itself, its ledger against the first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from made_rollouts import frame_of, rollouts
from medrl_core.errors import UserError
from medrl_core.score.series import over_steps


def steps(**by_step):
    """Steps s0, s1, ...: right samples of four, an item each."""
    return pd.concat([
        frame_of(*(rollouts(f"i{at}", "-", ["A"] * c + ["B"] * (4 - c)) for at, c in enumerate(of)))
        .assign(step=int(name[1:])) for name, of in by_step.items()
    ])  # fmt: skip


def test_each_step_by_hand():
    found = over_steps(steps(s0=[0, 2, 4], s5=[1, 0, 4])).set_index("step")
    assert found["pass@1"].tolist() == [0.5, pytest.approx(5 / 12)]
    assert found["pass@k"].tolist() == pytest.approx([2 / 3, 2 / 3]) and set(found.k) == {4}
    assert found.signal.tolist() == pytest.approx([1 / 3, 1 / 3])
    assert found.loc[5, ["kept", "lost", "new", "never"]].tolist() == [1, 1, 1, 0]
    assert found.loc[0, ["kept", "lost", "new", "never"]].tolist() == [2, 0, 0, 1]
    assert found.wrong.tolist() == pytest.approx([0.5, 7 / 12])
    assert (found["pass@k_low"] < found["pass@k"]).all()


def test_steps_of_other_items_have_no_ledger_and_rows_without_step_no_series():
    other = steps(s0=[1]), steps(s1=[1]).assign(item_id="other")
    found = over_steps(pd.concat(other))
    assert found.common.tolist() == [1, 0] and np.isnan(found.kept[1])
    with pytest.raises(UserError, match="no training step"):
        over_steps(steps(s0=[1]).assign(step=-1))

"""What the shipped base reaches untrained where it knows the rule, and where its habit differs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medrl_core.data.drawn.items import build_items
from medrl_core.data.drawn.modalities import RULES_WORLD
from medrl_core.models import hub
from medrl_core.score import rivals
from medrl_core.score.exact_support import report_support

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def base():
    return hub.load(str(ROOT / "data" / "drawn-base"))


def test_rivals_of_a_known_and_of_a_habitual_modality(base, monkeypatch):
    monkeypatch.setattr(rivals, "TEMPERATURES", (0.5, 1.0))
    for name, follows in (("skin photo", True), ("brain MRI", False)):
        items = build_items(RULES_WORLD, name, "test", n=6)
        validation = build_items(RULES_WORLD, name, "validation", n=6)
        found = rivals.of_reports(*base, items, validation, seed=900, copies=32)
        assert {key: value.shape for key, value in found.items()} == dict.fromkeys(
            ("best temperature", "majority", "power", "blind"), (6,)
        )
        # Where the rule is known, the commonest answer is right; where the habit is another, it and
        # the sharpened model are wrong although one sample of twenty is right.
        for sharp in ("majority", "power"):
            assert (found[sharp].mean() > 0.9) == follows and (found[sharp].mean() < 0.1) != follows
        assert found["blind"].mean() < 0.01
        assert 0 <= np.min(list(found.values())) <= np.max(list(found.values())) <= 1


def test_the_best_temperature_is_the_one_that_reaches_most(base):
    tried = (0.3, 1.0)
    items = build_items(RULES_WORLD, "brain MRI", "validation", n=6)
    reached = {
        one: (1 - (1 - report_support(*base, items, thinks=4, temperature=one).p) ** 16).mean()
        for one in tried
    }
    best, table = rivals.best_temperature(*base, items, tried, thinks=4)
    assert best == 1.0 == max(tried, key=lambda one: reached[one])
    assert table["pass"].tolist() == pytest.approx([reached[one] for one in tried])

"""The live studies of the twin: dials that are turned, the law beside runs, SFT's map."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medrl_core.models.twin import Twin, load
from medrl_core.score.law import Law
from medrl_core.score.twin import forced_p, questions
from medrl_core.train.twin import Rl
from medrl_core.train.twin_base import Recipe, redial
from medrl_core.train.twin_live import beside, law_looks, sft_map, to_runs

BASES = Path(__file__).parents[2] / "data" / "twin-base"


@pytest.fixture(scope="module")
def base() -> Twin:
    """The first shipped base."""
    return load(BASES / "rules-11.safetensors")


def test_a_turned_dial_moves_the_p_of_its_modality_and_of_no_other(base):
    recipe = Recipe(steps=60, batch=96, learning_rate=1e-3, warm_up=10)
    net = redial(base, "chest film", (0.05, 1, 1), seed=900, recipe=recipe)
    assert net.vocabulary.world["chest film"].follows == (0.05, 1, 1)
    assert base.vocabulary.world["chest film"].follows == (0.25, 1, 1)
    p = {
        name: forced_p(net, questions(net.vocabulary, name)).mean()
        for name in ("chest film", "head CT", "skin photo")
    }
    # From .23 towards .045 after a fifth of the usual reading.
    assert p["chest film"] == pytest.approx(0.045, rel=0.4)
    assert p["head CT"] == pytest.approx(0.225, rel=0.35)
    assert p["skin photo"] == pytest.approx(0.9, rel=0.05)


def test_looks_of_runs_and_when_they_took_off(base):
    looks = law_looks(
        base, ["chest film", "PET scan"], seeds=(900,), recipe=Rl(completions=1536)
    )
    assert looks.groupby("run").n.first().tolist() == [0, 0]
    runs = to_runs(looks, mark=0.2)
    assert runs.modality.tolist() == ["chest film", "PET scan"]
    assert np.isfinite(runs.high[0]) and runs.high[0] - runs.low[0] == 256
    assert runs.low[1] == 1536 and np.isinf(runs.high[1])
    assert runs.p[0] == pytest.approx(0.23, rel=0.1) and np.isnan(runs.first_right[1])


def test_runs_beside_the_law_by_hand():
    runs = pd.DataFrame(
        {"modality": "x", "p": 0.04, "share": 1.0, "low": [256, 512], "high": [512, np.inf]}
    )
    law = Law(0.2, "run", 0.01, a=100, b=0.5, scatter=0.0)  # G = 500 at p = .04
    table = beside(law, runs, (500, 600))
    assert table.took_off.tolist() == [0, 1] and table.runs.tolist() == [2, 2]
    assert table.predicted.tolist() == pytest.approx([0, 1 - np.exp(-4)])
    assert table.expected_hits.tolist() == pytest.approx([20, 24])


def test_map_of_sft_and_of_rl_after_it(base):
    table = sft_map(base, ["chest film"], (0, 64), seeds=(900,), then=Rl(completions=64))
    assert table.arm.tolist() == ["base", "rl", "sft", "sft_rl"]
    assert table.labels.tolist() == [0, 0, 64, 64]
    acc = dict(zip(table.arm, table.acc, strict=True))
    assert acc["base"] == 0 and acc["sft"] > 0.9
    assert (table["pass@16"] <= table["pass@256"] + 1e-9).all()
    assert table.cpu_seconds[0] == 0 and table.cpu_seconds[3] > table.cpu_seconds[2] > 0

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from medrl_core.data.drawn.captions import intended_p
from medrl_core.data.drawn.items import build_items
from medrl_core.data.drawn.modalities import BARE, RULES_WORLD
from medrl_core.data.drawn.world import ATTRIBUTES
from medrl_core.models import hub, whole
from medrl_core.score.exact_support import report_support
from medrl_core.train.base import drawn

ROOT = Path(__file__).resolve().parents[3]
BASES = sorted(path.name for path in (ROOT / "data").glob("drawn-base*"))
# Measured over intended p where habit alone is missing: within a factor of two where captions
# follow each rule at least one time in twenty, of three where they do one time in a hundred (some
# seventy captions of a modality).
FACTOR, FACTOR_RARE, RARE = 2.0, 3.0, 0.05


@pytest.fixture(scope="module", params=BASES)
def base(request):
    folder = ROOT / "data" / request.param
    return *hub.load(str(folder)), json.loads((folder / "card.json").read_text())


def test_the_shipped_base_is_whole_and_small(base):
    net, processor, card = base
    folder = ROOT / "data" / {11: "drawn-base", 12: "drawn-base-12"}[card["seed"]]
    whole.check(folder)
    assert card["weights"] == whole.weights_hash(folder)
    assert card["parameters"] == sum(weight.numel() for weight in net.parameters()) < 330_000
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_500_000
    assert processor.tokenizer.decode(
        processor.tokenizer("<think> ring</think>")["input_ids"], skip_special_tokens=True
    ) == "<think> ring</think>"


@pytest.mark.parametrize("name", [one.name for one in RULES_WORLD.modalities])
def test_p_is_as_the_dials_intend(base, name):
    net, processor, card = base
    modality = RULES_WORLD[name]
    items = build_items(RULES_WORLD, name, "test", n=32)
    found = report_support(net, processor, items, thinks=4)
    row = next(row for row in card["dial"] if row["modality"] == name)
    # The card was measured on four times as many items.
    assert np.log(found.forced.mean() / row["forced"]) == pytest.approx(0, abs=np.log(1.5))
    if set(modality.causes) <= {"habit"}:
        p = intended_p(modality)
        factor = FACTOR if min(modality.follows) >= RARE else FACTOR_RARE
        assert 1 / factor < row["measured"] / p < factor
        assert 1 / factor < found.forced.mean() * (1 - BARE) / p < factor
    if modality.cause == "words" and modality.said == 0:
        assert row["measured"] < 1e-3  # a leak: other modalities say the word


def test_the_base_sees_what_there_is_to_see(base):
    for row in base[2]["dial"]:
        modality = RULES_WORLD[row["modality"]]
        if not modality.noise and not modality.loose:
            assert min(row[name] for name in ATTRIBUTES) >= 0.9, row["modality"]
            assert (row["greedy"] > 0.8) == (min(modality.follows) > 0.5 and modality.said > 0.5)


@pytest.mark.skipif(len(BASES) < 2, reason="one base is there, no second one to compare")
def test_bases_of_two_seeds_agree_on_the_dial():
    first, second = (
        json.loads((ROOT / "data" / name / "card.json").read_text())["dial"] for name in BASES
    )
    for one, other in zip(first, second, strict=True):
        modality = RULES_WORLD[one["modality"]]
        if modality.causes == ("habit",) and min(modality.follows) >= RARE:
            assert 1 / FACTOR < one["measured"] / other["measured"] < FACTOR


def test_the_recipe_trains_measures_and_writes_a_base(tmp_path):
    recipe = drawn.Recipe(steps=3, batch=8, pictures=42, warm_up=1)
    net, processor, losses = drawn.pretrain(RULES_WORLD, seed=900, recipe=recipe, log_every=0)
    again, *_ = drawn.pretrain(RULES_WORLD, seed=900, recipe=recipe, log_every=0)
    assert all(map(torch.equal, net.state_dict().values(), again.state_dict().values()))
    assert len(losses) == 3 and losses[-1] < losses[0]
    table = drawn.dial(net, processor, RULES_WORLD, n=2, thinks=1)
    assert table["modality"].tolist() == [one.name for one in RULES_WORLD.modalities]
    card = {
        "world": "rules", "seed": 900, "parameters": 1, "recipe": {"pictures": 42},
        "captions": 24, "cpu_seconds": 1.0, "exposure": {}, "dial": drawn.rounded(table),
    }  # fmt: skip
    drawn.write(net, processor, tmp_path / "base", card, drawn.readme)
    whole.check(tmp_path / "base")
    assert "| chest film | 0.225 |" in (tmp_path / "base" / "README.md").read_text()
    assert json.loads((tmp_path / "base" / "card.json").read_text())["weights"]
    same, _ = hub.load(str(tmp_path / "base"))
    assert torch.equal(same.lm_head.weight, net.lm_head.weight)


def test_first_weights_have_the_spread_that_trains():
    layer = torch.nn.Linear(64, 32)
    drawn.rescale(layer)
    assert layer.weight.std().item() == pytest.approx(0.8 / 8, rel=1e-3)

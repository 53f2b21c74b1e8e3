"""A whole tiny study in code: SFT, RL, save, load, evaluate, score."""

from __future__ import annotations

import pytest

import tiny
from medrl_core.models import hub
from medrl_core.sample.rollouts import RolloutStore, read
from medrl_core.sample.sampling import Decoding
from medrl_core.score.evaluate import evaluate
from medrl_core.score.statistics import score
from medrl_core.train import rl, sft
from medrl_core.train.rl import RL


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """Scores by stage: before, after SFT, after RL; every model went through a folder."""
    root = tmp_path_factory.mktemp("study")
    items = tiny.items("open", 8)
    decoding = Decoding(max_new_tokens=40)
    found, folder = {}, hub.save(*tiny.build(), root / "base")
    for stage in ("base", "sft", "rl"):
        model, processor = hub.load(str(folder))
        if stage == "sft":
            model, _ = sft.train(
                model, processor, items, steps=250, batch_size=8, learning_rate=3e-3
            )
        if stage == "rl":
            settings = RL(
                completions=128, group=4, per_step=32, learning_rate=1e-4, max_new_tokens=40,
                rewards=("accuracy", "format"),
            )
            model = rl.train(model, processor, items, settings).net
        folder = hub.save(model, processor, root / stage)
        model, processor = hub.load(str(folder))
        frame = evaluate(
            model, processor, items, RolloutStore(root / "runs" / stage), k=4, decoding=decoding,
            model_name=stage, model_hash=hub.model_hash(str(folder)),
        )
        assert frame.equals(read(root / "runs" / stage))
        assert len(frame) == 8 * 5
        table = score(frame)
        table = table[table["scope"] == "overall"].set_index(["metric", "k"])["value"]
        found[stage] = table
    return found


def test_sft_teaches_what_the_random_model_cannot(scores):
    assert scores["base"]["acc@1", 1] == 0
    assert scores["base"]["format_failure", 0] > 0.9
    assert scores["sft"]["acc@1", 1] >= 0.75
    assert scores["sft"]["greedy_format_failure", 0] == 0


def test_rl_keeps_what_sft_taught(scores):
    assert scores["rl"]["acc@1", 1] >= scores["sft"]["acc@1", 1] - 0.25
    assert scores["rl"]["format_failure", 0] < 0.1


@pytest.mark.parametrize("stage", ["base", "sft", "rl"])
def test_support_grows_with_k(scores, stage):
    support = [scores[stage]["pass@k", k] for k in (1, 2, 4)]
    assert support == sorted(support)

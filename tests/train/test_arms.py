from __future__ import annotations

import pytest

import tiny
from medrl_core.errors import UserError
from medrl_core.models import hub
from medrl_core.train import arms, sft
from medrl_core.train.arms import Recipe, steps, train_arm


@pytest.mark.parametrize(
    ("arm", "budget", "share", "expected"),
    [
        ("sft", 1024, 0.5, (16, 0)),
        ("rl", 1024, 0.5, (0, 16)),
        ("sft_rl", 1024, 0.5, (8, 8)),
        ("sft_rl", 1024, 0.25, (4, 12)),
        ("sft_rl", 1100, 0.5, (8, 9)),  # 17 whole steps
        ("sft", 128, 0.5, (2, 0)),
        ("sft_rl", 256, 0.5, (2, 2)),
        ("rl_grpo", 1024, 0.5, (0, 16)),
        ("sft_rl_grpo", 1024, 0.25, (4, 12)),
    ],
)
def test_steps_by_hand(arm, budget, share, expected):
    assert steps(arm, Recipe(budget=budget, batch_size=64, sft_share=share)) == expected


@pytest.mark.parametrize("budget", range(256, 1300, 77))
def test_all_arms_spend_the_same(budget):
    recipe = Recipe(budget=budget, batch_size=64)
    spent = {sum(steps(arm, recipe)) for arm in arms.ARMS}
    assert spent == {budget // 64}


def test_an_unknown_arm_and_a_budget_under_two_steps():
    with pytest.raises(UserError, match="arm 'ppo' is unknown: use one of sft, rl, sft_rl, "):
        steps("ppo", Recipe(budget=64))
    for arm, budget, told in (("sft", 127, "1 steps of SFT"), ("rl", 63, "0 of RL"),
                              ("sft_rl", 255, "2 steps of SFT and 1 of RL")):
        with pytest.raises(UserError, match=f"budget {budget} gives arm {arm} .*{told}"):
            steps(arm, Recipe(budget=budget))


@pytest.fixture(scope="module")
def init(tmp_path_factory):
    """A tiny model that knows the answer format, so that rewards differ within a group."""
    model, processor = tiny.build()
    model, _ = sft.train(
        model, processor, tiny.items("open", 8), steps=60, batch_size=8, learning_rate=1e-2
    )
    return str(hub.save(model, processor, tmp_path_factory.mktemp("init") / "model"))


@pytest.mark.parametrize(
    ("arm", "stages"),
    [("sft", ["sft"] * 4), ("rl", ["rl"] * 4), ("sft_rl", ["sft", "sft", "rl", "rl"])],
)
def test_an_arm_takes_its_steps_and_leaves_its_start_alone(init, arm, stages):
    recipe = Recipe(budget=32, batch_size=8, num_generations=4, max_new_tokens=30)
    before = hub.model_hash(init)
    model, processor, history = train_arm(arm, init, tiny.items("open", 8), recipe)
    assert history["stage"].tolist() == stages
    assert history["step"].tolist() == [1, 2, 3, 4]
    assert history["loss"].notna().all()
    assert ("reward" in history) == (arm != "sft")
    assert hub.model_hash(init) == before
    assert not tiny.same(tiny.weights(model), tiny.weights(hub.load(init)[0]))


@pytest.mark.parametrize(
    ("arm", "objective", "used"),
    [("rl", "care", "care"), ("rl", "dapo", "dapo"), ("rl_grpo", "care", "grpo"),
     ("sft_rl_grpo", "dapo", "grpo")],
)
def test_the_arms_without_bonus_run_plain_grpo(monkeypatch, arm, objective, used):
    seen = []
    monkeypatch.setattr(hub, "load", lambda ref: (None, None))
    monkeypatch.setattr(sft, "train", lambda model, *_, **__: (model, []))
    monkeypatch.setattr(
        arms.grpo, "train", lambda model, *_, **given: (seen.append(given["objective"]), [])
    )
    train_arm(arm, "model", [], Recipe(budget=1024, objective=objective))
    assert seen == [used]


def test_an_unknown_arm_loads_no_model(monkeypatch):
    monkeypatch.setattr(hub, "load", lambda ref: 1 / 0)
    with pytest.raises(UserError, match="unknown"):
        train_arm("ppo", "model", [], Recipe(budget=64))

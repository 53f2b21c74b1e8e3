"""Training the twin: RL takes off, objectives and controls do what they say, SFT, rejection."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medrl_core.errors import UserError
from medrl_core.models.twin import Twin, load, vocabulary
from medrl_core.score.twin import exact_p, greedy, questions, sampled
from medrl_core.train.care import Care
from medrl_core.train.twin import (
    OBJECTIVES,
    Rl,
    Sft,
    draw_items,
    train_rejection,
    train_rl,
    train_sft,
)
from medrl_core.train.twin_base import Recipe, pretrain
from medrl_core.train.twin_trace import TOKENS, Cost

BASES = Path(__file__).parents[2] / "data" / "twin-base"


@pytest.fixture(scope="module")
def base() -> Twin:
    """The first shipped base."""
    return load(BASES / "rules-11.safetensors")


@pytest.fixture(scope="module")
def learnt(base):
    """RL on a supported modality: the twin and its trace."""
    return train_rl(base, "chest film", Rl(completions=2048), seed=901)


def same(one: Twin, other: Twin) -> bool:
    """Whether all weights are equal."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def acc(net: Twin, modality: str) -> float:
    """Acc@1 on the test items."""
    return greedy(net, questions(net.vocabulary, modality)).right.mean()


def test_rl_takes_off_where_there_is_support(base, learnt):
    net, trace = learnt
    assert acc(base, "chest film") == 0 and acc(net, "chest film") > 0.8
    assert trace.looks.acc.iloc[-1] == acc(net, "chest film")
    assert trace.looks.n.tolist() == [0, 512, 1024, 1536, 2048]
    assert trace.first_right <= 64  # expected among the first five
    p = exact_p(net, questions(net.vocabulary, "chest film"), thinks=4).mean()
    assert p > 0.6


def test_a_trace_says_what_happened_step_by_step(learnt):
    _, trace = learnt
    steps = trace.steps
    assert steps.n.tolist() == list(range(64, 2049, 64))
    assert (steps.reward == steps.right).all() and steps.right.iloc[-5:].mean() > 0.5
    assert steps.right.sum() * 64 == sum(trace.hits_by_fact) == trace.looks.hits.iloc[-1]
    assert steps.signal.between(0, 1).all() and steps.gradient.iloc[-1] > 0
    assert steps.kl.iloc[0] == 0 and steps.kl.iloc[-5:].mean() > 0.01
    assert trace.cost.completions == 2048 and trace.cost.gold == 256
    assert trace.cost.token_equivalents == pytest.approx(5 / 3 * TOKENS * 2048)
    assert trace.cost.cpu_seconds > 0


def test_a_run_that_meets_no_right_answer_stays_the_base_exactly(base):
    net, trace = train_rl(base, "PET scan", Rl(completions=128), seed=900)
    assert trace.first_right is None and same(net, base)
    assert trace.steps.signal.sum() == 0


def test_equal_seeds_give_equal_runs(base):
    runs = [train_rl(base, "knee film", Rl(completions=192), seed=s) for s in (900, 900, 901)]
    assert same(runs[0][0], runs[1][0]) and not same(runs[0][0], runs[2][0])
    assert runs[0][1].steps.equals(runs[1][1].steps)


def test_learning_rate_zero_changes_nothing(base):
    net, trace = train_rl(base, "knee film", Rl(completions=128, learning_rate=0.0), seed=900)
    assert same(net, base) and trace.steps.signal.max() > 0


def test_a_coin_rewards_as_often_as_it_is_told(base):
    rates = [0.5] * 6
    net, trace = train_rl(
        base, "chest film", Rl(completions=512, reward="coin"), seed=900, coin=rates
    )
    assert trace.steps.reward.mean() == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 512))
    assert not same(net, base) and acc(net, "chest film") < 0.1
    with pytest.raises(UserError, match="'coin' needs the chance of each step"):
        train_rl(base, "chest film", Rl(completions=64, reward="coin"), seed=900)
    with pytest.raises(UserError, match="no other takes one"):
        train_rl(base, "chest film", Rl(completions=64), seed=900, coin=rates)


def test_a_format_reward_teaches_the_format_and_not_the_rule(base):
    net, _ = train_rl(base, "chest film", Rl(completions=1024, reward="format"), seed=900)
    asked = questions(base.vocabulary, "chest film")
    before, after = (sampled(one, asked, 8).well.mean() for one in (base, net))
    assert before < 0.93 < after
    assert acc(net, "chest film") == 0


def test_wrong_labels_teach_the_habit(base):
    net, trace = train_rl(base, "knee film", Rl(completions=768, mixed=1.0), seed=900)
    asked = questions(base.vocabulary, "knee film")
    before, after = (exact_p(one, asked, thinks=2).mean() for one in (base, net))
    assert after < 0.7 * before
    assert trace.steps.reward.mean() > 0.3 and (trace.steps.right < 1).all()


def test_gold_of_mixed_labels(base):
    rng = np.random.default_rng(0)
    asked, gold = draw_items(base.vocabulary, "chest film", 2000, rng, mixed=0.2)
    wrong = (gold != asked.report).any(1)
    assert wrong.mean() == pytest.approx(0.2, abs=0.04)
    # Only the side is in doubt in a chest film.
    assert (gold != asked.report)[wrong].sum(0).tolist() == [0, wrong.sum(), 0, 0, 0, 0]


def test_kl_keeps_a_run_near_its_start(base):
    kls = []
    for kl in (0.0, 1.0):
        _, trace = train_rl(base, "knee film", Rl(completions=384, kl=kl), seed=900)
        kls.append(trace.steps.kl.iloc[-1])
    assert kls[0] == 0  # not computed
    assert 0 < kls[1] < 0.05


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_raises_what_is_rewarded(base, objective):
    recipe = Rl(
        completions=512, objective=objective, reward_k=2, care=Care(bonus=0.5, ema_decay=0.95)
    )
    net, trace = train_rl(base, "knee film", recipe, seed=900)
    assert np.isfinite(trace.steps.gradient).all()
    asked = questions(base.vocabulary, "knee film")
    before, after = (exact_p(one, asked, thinks=1).mean() for one in (base, net))
    assert after > 1.05 * before


def test_weights_of_the_objectives_by_hand():
    mask = torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0]])
    expected = {
        "grpo": [[1 / 8] * 4, [1 / 4, 1 / 4, 0, 0]],
        "dapo": [[1 / 6] * 4, [1 / 6, 1 / 6, 0, 0]],
        "dr_grpo": [[1 / 8] * 4, [1 / 8, 1 / 8, 0, 0]],
        "rloo": [[1 / 2] * 4, [1 / 2, 1 / 2, 0, 0]],
    }
    for name, weights in expected.items():
        torch.testing.assert_close(OBJECTIVES[name][1](mask), torch.tensor(weights))


def test_advantages_of_the_objectives_by_hand():
    rewards = torch.tensor([1.0, 0, 0, 0])
    sd = rewards.std().item()
    torch.testing.assert_close(
        OBJECTIVES["grpo"][0](rewards, 4), (rewards - 0.25) / (sd + 1e-4)
    )
    torch.testing.assert_close(OBJECTIVES["dr_grpo"][0](rewards, 4), rewards - 0.25)
    # Leave one out: 1 - 0, and 0 - 1/3.
    torch.testing.assert_close(
        OBJECTIVES["rloo"][0](rewards, 4), torch.tensor([1.0, -1 / 3, -1 / 3, -1 / 3])
    )


def test_what_is_watched_stands_in_the_looks(base):
    seen = []

    def watch(n, net):
        seen.append((n, isinstance(net, Twin)))
        return {"double": 2 * n}

    _, trace = train_rl(
        base, "knee film", Rl(completions=128), seed=900, look_every=64, watch=watch
    )
    assert seen == [(0, True), (64, True), (128, True)]
    assert trace.looks.double.tolist() == [0, 128, 256]


def test_a_run_stops_when_it_is_good_enough(base):
    _, trace = train_rl(
        base, "skin photo", Rl(completions=1024), seed=900, look_every=64, enough=0.95
    )
    assert trace.cost.completions == 128  # three looks, at 0, 64 and 128


def test_facts_of_a_code_book_are_counted_apart():
    base = load(BASES / "books-11.safetensors")
    _, trace = train_rl(base, "liver ultrasound", Rl(completions=256), seed=900)
    assert len(trace.first_by_fact) == len(trace.hits_by_fact) == 6
    met = [first for first in trace.first_by_fact if first is not None]
    assert trace.first_right == min(met) and sum(trace.hits_by_fact) > 10
    last = trace.looks.iloc[-1]
    facts = questions(base.vocabulary, "liver ultrasound").fact
    by_fact = [last[f"acc_{fact}"] * (facts == fact).sum() for fact in range(6)]
    assert sum(by_fact) == pytest.approx(last.acc * len(facts))


def test_sft_teaches_a_rule_and_shuffled_labels_do_not(base):
    net, cost = train_sft(base, "chest film", Sft(labels=64), seed=900)
    assert acc(net, "chest film") > 0.9
    assert (cost.labels, cost.gold, cost.completions) == (8 * 64, 64, 0)
    shuffled, _ = train_sft(base, "chest film", Sft(labels=64, shuffled=True), seed=900)
    assert acc(shuffled, "chest film") < 0.1
    assert acc(base, "chest film") == 0  # the start is not changed


def test_sft_then_rl_starts_from_what_sft_left(base):
    bridged, before = train_sft(base, "thyroid scan", Sft(labels=16), seed=900)
    net, trace = train_rl(bridged, "thyroid scan", Rl(completions=64), seed=900)
    assert trace.looks.acc.iloc[0] == acc(bridged, "thyroid scan")
    total = before + trace.cost
    assert isinstance(total, Cost) and (total.gold, total.labels) == (16 + 8, 8 * 16)


def test_rejection_fine_tuning_learns_from_own_right_answers(base):
    net, cost = train_rejection(base, "chest film", Sft(epochs=1), completions=512, seed=900)
    asked = questions(base.vocabulary, "chest film")
    before, after = (exact_p(one, asked, thinks=2).mean() for one in (base, net))
    assert after > 1.5 * before
    assert cost.completions == 512 and cost.gold == 64 and 50 < cost.labels < 200
    still, cost = train_rejection(base, "PET scan", completions=64, seed=900)
    assert same(still, base) and cost.labels == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"objective": "ppo"}, "objective 'ppo' is unknown: use one of grpo"),
        ({"reward": "praise"}, "reward 'praise' is unknown: use one of answer"),
        ({"completions": 100}, "multiple of prompts x group = 64"),
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong, said):
    with pytest.raises(UserError, match=said):
        Rl(**wrong)


@pytest.mark.parametrize("labels", [0, 961])
def test_sft_refuses_more_labels_than_there_are_items(base, labels):
    with pytest.raises(UserError, match="1 to 960 labels"):
        train_sft(base, "chest film", Sft(labels=labels), seed=900)


def test_pretraining_is_the_same_from_the_same_seed_and_learns():
    recipe = Recipe(steps=30, batch=32, warm_up=5)
    (one, losses), (two, _) = (
        pretrain(vocabulary("books"), seed=900, recipe=recipe) for _ in range(2)
    )
    assert same(one, two) and losses[0] > 4 and losses[-1] < 3
    assert recipe.rate(0) == pytest.approx(3e-3 / 5)
    assert recipe.rate(30) == pytest.approx(3e-3 * 0.02)

from __future__ import annotations

import copy
import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency

from medrl_core.data.drawn.items import build_items
from medrl_core.data.drawn.modalities import RULES_WORLD
from medrl_core.data.prompts import messages
from medrl_core.errors import UserError
from medrl_core.models import hub
from medrl_core.score.evaluate import parse_item
from medrl_core.score.logs import recognise
from medrl_core.score.passk import pass_at_k
from medrl_core.train import rl
from medrl_core.train.care import Care
from medrl_core.train.records import Records
from medrl_core.train.rewards import Coin, accuracy_reward
from medrl_core.train.rl import RL

ROOT = __file__.rsplit("/tests/", 1)[0]
SMALL = {"completions": 32, "per_step": 16, "group": 4, "max_new_tokens": 20}


@pytest.fixture(scope="module")
def base():
    return hub.load(f"{ROOT}/data/drawn-base")


@pytest.fixture(scope="module")
def items():
    # Of a knee film half of the reports have the right side.
    return build_items(RULES_WORLD, "knee film", "train", n=16, seed=900)


def weights(net):
    return {name: value.detach().clone() for name, value in net.named_parameters()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def train(base, items, seed=900, **settings):
    net = copy.deepcopy(base[0])
    return rl.train(net, base[1], items, RL(**{**SMALL, **settings}), seed=seed)


def nothing(completions, **_):
    """A reward that never comes."""
    return [0.0] * len(completions)


@pytest.mark.parametrize("objective", rl.OBJECTIVES)
def test_each_objective_trains(base, items, objective):
    found = train(base, items, objective=objective)
    assert not same(weights(base[0]), weights(found.net))
    assert not found.net.training and found.record["step"].tolist() == [1, 2]
    assert found.record["completions"].tolist() == [16, 32]
    assert ("care_bonus" in found.record) == (objective == "care")


def advantages_of(base, items, monkeypatch, accuracy, **settings):
    """Advantages of one step of 16 completions with given accuracy rewards, group by group."""
    given = accuracy.flatten().tolist()
    monkeypatch.setitem(rl.named.__globals__["REWARDS"], "accuracy", lambda **_: given)
    found = train(base, items, completions=16, keep_rollouts=True, **settings)
    return torch.tensor(found.rollouts["advantage"]).view(4, 4), found


ACCURACY = torch.tensor(
    [[1.0, 0, 0, 0], [1.0, 1, 0, 0], [1.0, 1, 1, 1], [0.0, 0, 0, 0]], dtype=torch.float64
)


def test_grpo_divides_by_the_spread_of_the_group(base, items, monkeypatch):
    found, trained = advantages_of(base, items, monkeypatch, ACCURACY)
    # One of four: mean .25, deviation .5. Two of four: mean .5, deviation .577.
    assert found[0].tolist() == pytest.approx([1.5, -0.5, -0.5, -0.5], abs=1e-3)
    assert found[1].tolist() == pytest.approx([0.866, 0.866, -0.866, -0.866], abs=1e-3)
    assert found[2:].abs().max() == 0
    assert trained.record["signal"].tolist() == [0.5]


@pytest.mark.parametrize("objective", ["dr_grpo", "rloo", "passk"])
def test_others_do_not(base, items, monkeypatch, objective):
    found, _ = advantages_of(base, items, monkeypatch, ACCURACY, objective=objective, reward_k=2)
    rewards = ACCURACY
    if objective == "passk":
        # A wrong one of a group with one right is drawn with it in one of three draws of two; with
        # two right, in two of three.
        rewards = torch.tensor([[1, 1 / 3, 1 / 3, 1 / 3], [1, 1, 2 / 3, 2 / 3], [1] * 4, [0] * 4])
        assert rewards.mean(1).tolist() == pytest.approx(pass_at_k(4, [1, 2, 4, 0], 2).tolist())
    expected = rewards - rewards.mean(1, keepdim=True)
    if objective == "rloo":  # each against the mean of the three others
        others = (rewards.sum(1, keepdim=True) - rewards) / 3
        expected = rewards - others
    assert torch.allclose(found, expected.to(found), atol=1e-5)


def test_care_gives_a_bonus_to_likely_right_answers(base, items, monkeypatch):
    found, trained = advantages_of(
        base, items, monkeypatch, ACCURACY, objective="care", care=Care(bonus=0.5)
    )
    # The only right one of the first group is as likely as their mean: 1.5 against 0, 0, 0.
    assert found[0].tolist() == pytest.approx([1.5, -0.5, -0.5, -0.5], abs=1e-3)
    row = trained.record.iloc[0]
    assert 0 < row["care_likelihood"] <= 0.95
    assert row["care_bonus"] * 16 == pytest.approx(0.5 * round(row["care_bonus"] * 32))
    assert row["care_bonus"] > 0


def test_a_run_that_meets_no_right_answer_ends_as_it_began(base, items):
    found = train(base, items, rewards=(nothing,), beta=0.01, completions=48)
    assert same(weights(base[0]), weights(found.net))
    assert found.record["signal"].tolist() == [0, 0, 0]


def test_the_frozen_tower_stays_and_the_rest_moves(base, items):
    found = train(base, items, train_vision=False)
    before, after = weights(base[0]), weights(found.net)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and not any("visual" in name for name in moved)
    assert any("visual" in name for name in before)
    assert all(value.requires_grad for value in found.net.parameters())


def test_the_kl_term_is_that_to_the_start(base, items):
    found = train(base, items, beta=0.01, completions=48, learning_rate=3e-3)
    kl = found.record["kl"]
    assert kl[0] == pytest.approx(0, abs=1e-6) and (kl[1:] > 1e-4).all()
    assert train(base, items, beta=0.0).record["kl"].isna().all()


def test_the_record_agrees_with_the_rollouts(base, items):
    found = train(base, items, completions=48, keep_rollouts=True)
    rollouts, record = found.rollouts, found.record
    assert len(rollouts) == 48 and rollouts["step"].value_counts().tolist() == [16] * 3
    by_id = {item.item_id: item for item in items}
    for row in rollouts.itertuples():
        answer = parse_item(row.text, by_id[row.item_id]).answer
        assert row.right == (answer == by_id[row.item_id].gold) == row.reward
    assert record["accuracy"].tolist() == rollouts.groupby("step")["right"].mean().tolist()
    first = rollouts["right"].tolist().index(True) + 1
    assert set(record["first_right"].dropna()) == {first}
    answers = [parse_item(text, items[0]).answer for text in rollouts["text"][:16]]
    said = [answer for answer in answers if answer]
    row = record.iloc[0]
    assert row["answered"] == len(said) / 16
    assert row["distinct_answers"] == len(set(said))
    assert row["distinct_words_2"] == len({answer.split()[1] for answer in said})
    assert row["commonest"] == max(map(said.count, said)) / 16
    assert row["sampled_tokens"] == rollouts["n_tokens"][:16].sum()
    assert row["entropy"] == pytest.approx(
        -rollouts["logprob"][:16].sum() / rollouts["n_tokens"][:16].sum()
    )
    assert (record["grad_norm"] > 0).all()


def test_equal_seeds_give_equal_runs(base, items):
    first, again, other = (train(base, items, seed=seed) for seed in (900, 900, 901))
    assert same(weights(first.net), weights(again.net))
    assert not same(weights(first.net), weights(other.net))
    assert first.record.equals(again.record)


def test_small_vocabularies_have_trls_own_numbers(base, items, monkeypatch):
    own = train(base, items, completions=48)
    monkeypatch.setattr(rl, "SMALL_VOCABULARY", 0)
    stock = train(base, items, completions=48)
    assert own.record["accuracy"].equals(stock.record["accuracy"])
    for name in ("kl", "loss", "grad_norm"):
        assert own.record[name].tolist() == pytest.approx(stock.record[name], rel=1e-2, abs=1e-6)


def test_a_coin_pays_at_the_rate_of_its_arm(base, items):
    found = train(base, items, rewards=(Coin([1.0, 0.0, 0.5], seed=3),), completions=64)
    assert found.record["reward"][:2].tolist() == [1.0, 0.0]
    assert found.record["reward_coin"].equals(found.record["reward"])
    # Steps beyond the last rate use it.
    draws = [(np.random.default_rng([3, step]).random(16) < 0.5).mean() for step in (2, 3)]
    assert found.record["reward"][2:].tolist() == pytest.approx(draws)


def fake_trainer(base, items, group):
    """What `sample` reads of a trainer."""
    net, processor = base
    return SimpleNamespace(
        settings=RL(completions=group * len(items), per_step=group * len(items), group=group,
                    max_new_tokens=20),
        accelerator=SimpleNamespace(unwrap_model=lambda model: model, process_index=0),
        model=net, asked=[item for item in items for _ in range(group)],
        args=SimpleNamespace(seed=900), state=SimpleNamespace(global_step=0),
        processing_class=processor, records=Records(group),
    )  # fmt: skip


def test_our_sampler_draws_what_generate_draws(base, items):
    net, processor = copy.deepcopy(base[0]), base[1]
    asked, group = items[:2], 600
    ours = rl.sample([None] * (2 * group), fake_trainer((net, processor), asked, group))
    net.eval()
    torch.manual_seed(900)
    for number, item in enumerate(asked):
        text = processor.apply_chat_template(
            messages(item), tokenize=False, add_generation_prompt=True
        )
        inputs = processor(text=[text], images=list(item.images), return_tensors="pt")
        found = net.generate(
            **inputs, do_sample=True, num_return_sequences=group, max_new_tokens=20,
            suppress_tokens=[net.config.image_token_id],
        )  # fmt: skip
        length = inputs["input_ids"].shape[1]
        theirs = processor.batch_decode(found[:, length:], skip_special_tokens=True)
        mine = processor.batch_decode(
            ours["completion_ids"][number * group : (number + 1) * group], skip_special_tokens=True
        )
        # Whole texts that come often, and all others together.
        texts = sorted(set(mine + theirs), key=(mine + theirs).count)
        often = [text for text in texts if (mine + theirs).count(text) >= 20]
        table = [
            [said.count(text) for text in often] + [sum(text not in often for text in said)]
            for said in (mine, theirs)
        ]
        assert len(often) >= 3
        assert chi2_contingency(np.array(table)[:, np.sum(table, 0) > 0]).pvalue > 1e-3
        right = [accuracy_reward(said, **columns(item, group)) for said in (mine, theirs)]
        spread = 4 * (2 * 0.25 / group) ** 0.5
        assert abs(np.mean(right[0]) - np.mean(right[1])) < spread
    assert ours["prompt_ids"][0] == inputs["input_ids"][0].tolist()[: len(ours["prompt_ids"][0])]


def columns(item, n):
    """The columns of a data set of one item n times."""
    return {name: [value] * n for name, value in rl.as_row(item).items() if name != "prompt"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "ppo"}, "objective 'ppo' is unknown: use one of grpo"),
        ({"per_step": 18}, "32 completions in steps of 18 and groups of 4"),
        ({"completions": 40}, "40 completions in steps of 16"),
        ({"objective": "passk", "reward_k": 4}, "reward_k 4 must be 1 to 3"),
        ({"rewards": ("speed",)}, "reward 'speed' is unknown: use one of accuracy"),
        ({"rewards": (nothing,), "patience": 2, "completions": 64}, "for 2 steps no group"),
    ],
)
def test_wrong_settings_are_refused(base, items, settings, message):
    with pytest.raises(UserError, match=message):
        train(base, items, **settings)


def test_processes_that_would_split_a_group_are_refused(base, items, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")
    with pytest.raises(UserError, match="2 completions a process are no whole groups of 4"):
        train(base, items)


def test_too_few_items_are_refused(base, items):
    with pytest.raises(UserError, match="a step asks 4 different items, and there are 3"):
        train(base, items[:3])


def test_logged_completions_are_a_series_that_score_reads(base, items, tmp_path):
    (tmp_path / "completions").mkdir()
    settings = RL(**SMALL, log_completions=True)
    trained = rl.train(copy.deepcopy(base[0]), base[1], items, settings, work_dir=tmp_path)
    (log,) = recognise.read(tmp_path / "completions")
    assert log.format == "TRL" and log.steps == [1, 2]
    assert len(log.completions) == 32
    right = log.completions.groupby("step").stored.sum().tolist()
    assert right == trained.record["right"].tolist()


def test_a_tracker_that_is_not_there_is_one_line():
    with pytest.raises(UserError, match="report_to 'aim' is unknown: use trackio"):
        RL(**SMALL, report_to=("aim",))
    if importlib.util.find_spec("mlflow") is None:
        with pytest.raises(UserError, match="'mlflow': pip install mlflow, or leave it out"):
            RL(**SMALL, report_to=("mlflow",))

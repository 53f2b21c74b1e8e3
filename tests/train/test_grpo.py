from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback

import tiny
from medrl_core.data.prompts import messages
from medrl_core.errors import UserError
from medrl_core.score.passk import pass_at_k
from medrl_core.train import care as care_functions
from medrl_core.train import grpo, sft
from medrl_core.train.care import Care

SMALL = {
    "steps": 2, "num_generations": 4, "completions_per_step": 8, "max_new_tokens": 6,
    "learning_rate": 1e-2,
}


@pytest.fixture(scope="module")
def taught():
    """A tiny model that has learned the answer format, so that some answers earn rewards."""
    model, processor = tiny.build()
    items = tiny.items("open", 8)
    model, _ = sft.train(model, processor, items, steps=60, batch_size=8, learning_rate=1e-2)
    return model, processor


def signal(completions, **_):
    """A reward that differs within any group of differing texts: training always moves."""
    return [len(completion[-1]["content"]) / 100 for completion in completions]


def test_rewards_see_the_tags(taught):
    model, processor = copy.deepcopy(taught[0]), taught[1]
    _, history = grpo.train(
        model, processor, tiny.items("open", 8), **{**SMALL, "max_new_tokens": 30}
    )
    assert history[0]["rewards/format_reward/mean"] > 0.5
    assert history[0]["rewards/accuracy_reward/mean"] > 0
    assert history[0]["care/bonus"] > 0
    assert 0 < history[0]["care/likelihood"] <= 0.95


@pytest.mark.parametrize("objective", grpo.OBJECTIVES)
def test_each_objective_trains(taught, objective, monkeypatch):
    # The second step alone moves the weights (warm-up), so its groups must not all earn the same.
    monkeypatch.setattr(grpo, "accuracy_reward", signal)
    model, processor = copy.deepcopy(taught[0]), taught[1]
    before = tiny.weights(model)
    model, history = grpo.train(
        model, processor, tiny.items("open", 8), objective=objective,
        **{**SMALL, "max_new_tokens": 30, "temperature": 2.0},
    )
    assert [row["step"] for row in history] == [1, 2]
    assert not tiny.same(before, tiny.weights(model))
    assert not model.training
    assert ("care/bonus" in history[0]) == (objective == "care")


def advantages(monkeypatch, name, taught, **options):
    """Rewards and advantages, group by group, of one step with a trainer of `grpo`."""
    seen = []

    class Spy(getattr(grpo, name)):
        def _calculate_rewards(self, *args, **kwargs):
            seen.append(super()._calculate_rewards(*args, **kwargs))
            return seen[-1]

        def _generate_and_score_completions(self, inputs):
            output = super()._generate_and_score_completions(inputs)
            seen.append(output["advantages"])
            return output

    monkeypatch.setattr(grpo, name, Spy)
    _, history = grpo.train(
        copy.deepcopy(taught[0]), taught[1], tiny.items("open", 8),
        **{**SMALL, "steps": 1, "max_new_tokens": 30, **options},
    )
    rewards, found = seen
    return rewards.view(2, 4, 2), found.view(2, 4), history[0]


def test_rloo_holds_each_completion_against_the_mean_of_the_others(taught, monkeypatch):
    rewards, found, _ = advantages(monkeypatch, "PlainRLOOTrainer", taught, objective="rloo")
    total = rewards.sum(2)
    assert (total.std(1) > 0).any()
    expected = total - (total.sum(1, keepdim=True) - total) / 3
    assert torch.allclose(found, expected, atol=1e-6)


def test_passk_trains_on_the_pass_at_k_of_the_group(taught, monkeypatch):
    answers = iter([[1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]])
    monkeypatch.setattr(grpo, "accuracy_reward", lambda completions, **_: next(answers))
    rewards, found, logged = advantages(
        monkeypatch, "PassKGRPOTrainer", taught, objective="passk", reward_k=2
    )
    # One right of four: a wrong one is drawn with it in one of three draws of two.
    # Three right: the wrong one is always drawn with a right one.
    accuracy = torch.tensor([[1, 1 / 3, 1 / 3, 1 / 3], [1, 1, 1, 1]])
    assert torch.allclose(rewards[:, :, 0], accuracy)
    total = accuracy + rewards[:, :, 1]
    assert torch.allclose(found, total - total.mean(1, keepdim=True), atol=1e-6)
    assert logged["passk/accuracy"] == pytest.approx(0.5)
    mean = pass_at_k(4, [1, 3], 2).mean()
    assert next(v for k, v in logged.items() if k.startswith("rewards/") and "format" not in k
                and k.endswith("mean")) == pytest.approx(mean)


@pytest.mark.parametrize(("updates", "equal"), [(1, True), (2, False)])
def test_importance_ratios_count_from_the_second_update_on(taught, monkeypatch, updates, equal):
    monkeypatch.setattr(grpo, "accuracy_reward", signal)
    weights, histories = [], []
    for objective in ("grpo", "gspo"):
        model, history = grpo.train(
            copy.deepcopy(taught[0]), taught[1], tiny.items("open", 8), objective=objective,
            updates=updates, **{**SMALL, "max_new_tokens": 30, "temperature": 2.0},
        )
        weights.append(tiny.weights(model))
        histories.append([row["step"] for row in history])
    close = all(torch.allclose(weights[0][n], weights[1][n], atol=1e-5) for n in weights[0])
    assert close == equal
    assert histories == [[updates, 2 * updates]] * 2


def spied_trainer(monkeypatch, seen, callback=None):
    """Make `grpo.train` use a trainer that writes down what it computes."""

    class Spy(grpo.CareGRPOTrainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            seen["trainer"] = self
            if callback:
                self.add_callback(callback(self))

        def _reference_likelihood(self, output):
            likelihood = super()._reference_likelihood(output)
            seen.setdefault("likelihood", []).append(likelihood)
            return likelihood

        def _generate_and_score_completions(self, inputs):
            output = super()._generate_and_score_completions(inputs)
            seen.setdefault("rewards", []).append(self._rewards)
            seen.setdefault("output", []).append({**output, "inputs": inputs})
            return output

    monkeypatch.setattr(grpo, "CareGRPOTrainer", Spy)


def test_advantages_equal_a_computation_from_the_stored_rewards(taught, monkeypatch):
    seen = {}
    spied_trainer(monkeypatch, seen)
    care = Care(bonus=0.7, margin=0.0)
    grpo.train(
        copy.deepcopy(taught[0]), taught[1], tiny.items("open", 8), care=care,
        **{**SMALL, "max_new_tokens": 30},
    )
    bonuses = 0
    for rewards, likelihood, output in zip(
        seen["rewards"], seen["likelihood"], seen["output"], strict=True
    ):
        for group in range(2):
            part = slice(4 * group, 4 * group + 4)
            accuracy, form = rewards[part, 0].tolist(), rewards[part, 1].tolist()
            likely = likelihood[part].tolist()
            selected = [i for i in range(4) if accuracy[i] > max(0.1, sum(accuracy) / 4 - 1e-9)]
            mean = sum(likely[i] for i in selected) / max(len(selected), 1)
            total = [
                accuracy[i] + form[i]
                + 0.7 * (i in selected and likely[i] >= mean - 1e-6 and likely[i] > 0)
                for i in range(4)
            ]
            bonuses += sum(total) > sum(accuracy) + sum(form)
            centre = sum(total) / 4
            spread = (sum((t - centre) ** 2 for t in total) / 3) ** 0.5
            expected = [(t - centre) / (spread + 1e-4) for t in total]
            assert output["advantages"][part].tolist() == pytest.approx(expected, abs=1e-4)
    assert bonuses > 0


def test_likelihood_is_that_of_the_reference_and_its_answer(taught, monkeypatch):
    seen = {}
    spied_trainer(monkeypatch, seen)
    grpo.train(
        copy.deepcopy(taught[0]), taught[1], tiny.items("open", 8),
        **{**SMALL, "steps": 1, "max_new_tokens": 30},
    )
    trainer, output, tokenizer = seen["trainer"], seen["output"][0], taught[1].tokenizer
    row = int(seen["likelihood"][0].argmax())
    mask = output["completion_mask"][row].bool()
    prompt = output["prompt_ids"][row][output["prompt_mask"][row].bool()]
    completion = output["completion_ids"][row][mask]
    whole = torch.cat([prompt, completion])[None]
    one = {name: output[name][[row]] for name in ("image_grid_thw",)}
    patches = int(output["image_grid_thw"][0].prod())
    one["pixel_values"] = output["pixel_values"][row * patches : (row + 1) * patches]
    reference = taught[0]  # after no update the reference is the model that training began with
    kinds = (whole == reference.config.image_token_id).long()
    with torch.no_grad():
        logits = reference(
            input_ids=whole, attention_mask=torch.ones_like(whole), mm_token_type_ids=kinds, **one
        ).logits[0]
    logps = logits[len(prompt) - 1 : -1].log_softmax(-1).gather(-1, completion[:, None])[:, 0]
    flags = care_functions.answer_mask([tokenizer.decode([i]) for i in completion.tolist()])
    expected = logps[torch.tensor(flags)].mean().exp().clamp(max=0.95).item()
    assert seen["likelihood"][0][row].item() == pytest.approx(expected, abs=1e-4)
    # Once the reference is another model, so is the likelihood.
    with torch.no_grad():
        for parameter in trainer.reference.parameters():
            parameter.mul_(0.1)
    assert trainer._reference_likelihood(output)[row].item() != pytest.approx(expected, abs=1e-3)


def test_the_reference_moves_by_one_minus_decay_every_so_many_steps(taught, monkeypatch):
    seen, states = {}, []

    class Watch(TrainerCallback):
        def __init__(self, trainer):
            self.trainer = trainer

        def on_step_end(self, args, state, control, **kwargs):
            states.append(
                (tiny.weights(self.trainer.model), tiny.weights(self.trainer.reference))
            )

    spied_trainer(monkeypatch, seen, Watch)
    monkeypatch.setattr(grpo, "accuracy_reward", signal)
    start = tiny.weights(taught[0])
    grpo.train(
        copy.deepcopy(taught[0]), taught[1], tiny.items("open", 8),
        care=Care(ema_decay=0.75, ema_every=2), **{**SMALL, "steps": 5, "temperature": 2.0},
    )
    trainer = seen["trainer"]
    expected = start
    for step, (policy, reference) in enumerate(states, start=1):
        if step % 2 == 0:
            expected = {
                name: 0.75 * value + 0.25 * policy[name] for name, value in expected.items()
            }
        assert all(torch.allclose(reference[n], v, atol=1e-7) for n, v in expected.items())
    assert not tiny.same(start, states[-1][1])
    trained = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert not any(p.requires_grad or id(p) in trained for p in trainer.reference.parameters())


def test_equal_seeds_give_equal_weights(taught, monkeypatch):
    monkeypatch.setattr(grpo, "accuracy_reward", signal)

    def weights(seed):
        model, _ = grpo.train(
            copy.deepcopy(taught[0]), taught[1], tiny.items("open", 8), seed=seed,
            **{**SMALL, "temperature": 2.0},
        )
        return tiny.weights(model)

    first = weights(3)
    assert tiny.same(first, weights(3))
    assert not tiny.same(first, weights(4))


def test_prompts_are_those_of_the_evaluation(taught, monkeypatch):
    seen = {}
    spied_trainer(monkeypatch, seen)
    items = {item.item_id: item for item in tiny.items("mcq", 4)}
    grpo.train(copy.deepcopy(taught[0]), taught[1], list(items.values()), **{**SMALL, "steps": 1})
    output = seen["output"][0]
    for ids, mask, row in zip(
        output["prompt_ids"], output["prompt_mask"], output["inputs"], strict=True
    ):
        item = items[row["item_id"]]
        text = taught[1].apply_chat_template(
            messages(item), tokenize=False, add_generation_prompt=True
        )
        expected = taught[1](text=[text], images=list(item.images), return_tensors="pt")
        assert ids[mask.bool()].tolist() == expected["input_ids"][0].tolist()


def test_items_without_images_train(taught):
    items = [tiny.plain_item(item_id=f"text-{i}") for i in range(2)]
    _, history = grpo.train(copy.deepcopy(taught[0]), taught[1], items, **{**SMALL, "steps": 1})
    assert len(history) == 1


def test_an_adapter_trains_alone_and_so_does_its_reference(taught, monkeypatch):
    model, processor = copy.deepcopy(taught[0]), taught[1]
    model, _ = sft.train(
        model, processor, tiny.items("open", 8), steps=2, batch_size=4, lora=True
    )
    seen = {}
    spied_trainer(monkeypatch, seen)
    before = tiny.weights(model)
    model, history = grpo.train(
        model, processor, tiny.items("open", 8), care=Care(ema_decay=0.5, ema_every=1),
        **{**SMALL, "max_new_tokens": 30},
    )
    after, reference = tiny.weights(model), tiny.weights(seen["trainer"].reference)
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    moved = {name for name in after if not torch.allclose(reference[name], before[name], rtol=1e-5)}
    assert changed and all("lora_" in name for name in changed)
    assert moved and moved <= changed
    assert history[0]["care/likelihood"] > 0


def test_a_trained_model_keeps_nothing_of_its_trainer(taught):
    model, processor = copy.deepcopy(taught[0]), taught[1]
    model, _ = grpo.train(model, processor, tiny.items("open", 8), **SMALL)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    ids = processor.tokenizer("What is seen?", return_tensors="pt")
    assert not other(**ids).logits.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "ppo"}, "objective 'ppo' is unknown: use one of grpo"),
        ({"completions_per_step": 6}, "must be a multiple of num_generations"),
        ({"objective": "passk", "reward_k": 4}, "reward_k 4 must be under num_generations 4"),
        ({"items": []}, "at least one training item"),
    ],
)
def test_wrong_arguments_are_refused(taught, options, message):
    arguments = {"items": tiny.items("open", 2), **SMALL, **options}
    with pytest.raises(UserError, match=message):
        grpo.train(*taught, **arguments)


def test_no_steps_leave_the_model_alone(taught):
    before = tiny.weights(taught[0])
    model, history = grpo.train(*taught, tiny.items("open", 2), **{**SMALL, "steps": 0})
    assert history == [] and tiny.same(before, tiny.weights(model))


def on_two_processes(what, folder):
    """What the two processes of two_processes.py saved."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    script = Path(__file__).parents[1] / "two_processes.py"
    processes = [
        subprocess.Popen(
            [sys.executable, script, what, rank, port, folder], text=True,
            stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for rank in ("0", "1")
    ]
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def test_a_group_split_over_two_processes_has_the_bonus_of_one(tmp_path):
    from two_processes import ACCURACY, LIKELIHOOD

    found = on_two_processes("bonus", tmp_path)
    assert len({item for part in found for item in part["items"]}) == 1
    bonus = care_functions.consistency_bonus(ACCURACY, LIKELIHOOD, 8, Care())
    halves = care_functions.consistency_bonus(ACCURACY, LIKELIHOOD, 4, Care())
    assert not torch.equal(bonus, halves)  # else the split could not be told
    expected = care_functions.group_advantages(ACCURACY + 1 + bonus, 8).tolist()
    assert found[0]["advantages"] + found[1]["advantages"] == pytest.approx(expected, abs=1e-6)


def far(a, b):
    """Largest difference of two sets of tensors, over the largest number in the first."""
    assert a.keys() == b.keys()
    largest = max(value.abs().max().item() for value in a.values())
    return max((a[name] - b[name]).abs().max().item() for name in a) / largest


def test_steps_on_two_processes_are_those_of_one(tmp_path):
    import two_processes

    one, (left, right) = two_processes.step(), on_two_processes("step", tmp_path)
    for name in ("advantages", "likelihood"):
        assert left[name] + right[name] == pytest.approx(one[name], rel=1e-3)
        assert left[name] != right[name]
    assert max(one["likelihood"]) > 0 and len(set(one["advantages"])) > 2
    # The processes agree to the bit; one and two sum in different order.
    assert tiny.same(left["weights"], right["weights"])
    assert tiny.same(left["reference"], right["reference"])
    assert far(one["gradient"], left["gradient"]) < 1e-4
    assert far(one["weights"], left["weights"]) < 1e-4
    assert far(one["reference"], left["reference"]) < 1e-4
    assert not tiny.same(one["weights"], one["reference"])


def test_a_step_that_the_processes_cannot_share_is_refused(taught, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="completions_per_step 8 must be a multiple of the 3 proc"):
        grpo.train(*taught, tiny.items("open", 2), **SMALL)

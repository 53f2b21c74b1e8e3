from __future__ import annotations

import pytest

import tiny
from medrl_core.errors import UserError
from medrl_core.train import budget, grpo

SMALL = {"num_generations": 4, "completions_per_step": 8, "max_new_tokens": 6}


class Counted(list):
    """An accuracy reward that writes down how many tokens each batch of completions has."""

    __name__ = "counted"

    def __call__(self, completions, completion_ids, **_):
        self.append(sum(map(len, completion_ids)))
        return [0.0] * len(completions)


def train(monkeypatch, **options):
    seen = Counted()
    monkeypatch.setattr(grpo, "accuracy_reward", seen)
    model, processor = tiny.build()
    _, history = grpo.train(model, processor, tiny.items("open", 8), **SMALL, **options)
    return seen, history


@pytest.mark.parametrize(("objective", "updates"), [("grpo", 1), ("rloo", 1), ("grpo", 2)])
def test_training_ends_after_the_batch_that_spends_the_budget(monkeypatch, objective, updates):
    seen, history = train(monkeypatch, objective=objective, updates=updates, tokens=130)
    # At most 48 tokens a batch: it takes three at least.
    assert len(seen) >= 3
    assert sum(seen[:-1]) < 130 <= sum(seen)
    assert history[-1]["sampled_tokens"] == sum(seen)
    assert history[-1]["step"] == len(seen) * updates


def test_a_training_of_so_many_steps_is_counted_too(monkeypatch):
    seen, history = train(monkeypatch, steps=3)
    assert len(seen) == 3
    assert [row["sampled_tokens"] for row in history] == [
        seen[0], seen[0] + seen[1], sum(seen)
    ]


@pytest.mark.parametrize(
    ("tokens", "completions", "longest", "expected"),
    [(1, 8, 6, (1, 1)), (48, 8, 6, (1, 6)), (49, 8, 6, (2, 7)), (1000, 10, 40, (3, 100))],
)
def test_how_long_a_budget_lasts_by_hand(tokens, completions, longest, expected):
    assert budget.steps(tokens, completions, longest) == expected


@pytest.mark.parametrize("options", [{}, {"steps": 1, "tokens": 1}])
def test_one_end_must_be_given(options):
    with pytest.raises(UserError, match="so many steps or so many tokens: give one of the two"):
        grpo.train(*tiny.build(), tiny.items("open", 2), **SMALL, **options)


def test_no_tokens_leave_the_model_alone():
    model, processor = tiny.build()
    before = tiny.weights(model)
    model, history = grpo.train(model, processor, tiny.items("open", 2), **SMALL, tokens=0)
    assert history == [] and tiny.same(before, tiny.weights(model))


def test_the_progress_line_tells_the_tokens_left(monkeypatch, capsys):
    monkeypatch.setattr("medrl_core.train.progress.EVERY_SECONDS", 0.0)
    train(monkeypatch, objective="grpo", tokens=60)
    lines = capsys.readouterr().err.splitlines()
    assert " of 60 tokens" in lines[-1] and "0 s left" in lines[-1]

"""Rewards of a completion: right answer and right format, by the evaluation's own parser; controls.

    REWARDS["accuracy"](completions, **columns)     # TRL's form: one number a completion

The controls tell what a gain owes to the reward's content: `Coin` pays at random, at the rate of
the arm that it is a control of; `format_reward` pays for tags alone; wrong labels are items with
other gold answers (`data.drawn.labels.mixed`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from medrl_core.errors import UserError
from medrl_core.score.matching import as_texts
from medrl_core.score.open_answers import best_scores, said
from medrl_core.score.parsing import format_ok, is_correct, normalise, parse

Reward = Callable[..., list[float]]


def _text(completion) -> str:
    return completion if isinstance(completion, str) else completion[-1]["content"]


def accuracy_reward(
    completions, gold, options, label_set, synonyms, answer_format, **_
) -> list[float]:
    """1 for a right answer, else 0: the paper's accuracy reward, read as the evaluation reads.

    Arguments:
        completions: N texts, or N lists of chat turns.
        gold: N gold answers.
        options: N lists of option texts, or None.
        label_set: N label sets.
        synonyms: N lists of pairs: another spelling, and the answer that it stands for.
        answer_format: N of `mcq`, `open` or `report`.

    Returns:
        N rewards.
    """
    rewards = []
    rows = zip(completions, gold, options, label_set, synonyms, answer_format, strict=True)
    for completion, right, choices, labels, pairs, kind in rows:
        parsed = parse(
            _text(completion), answer_format=kind, options=choices, label_set=tuple(labels),
            synonyms=dict(pairs),
        )
        rewards.append(float(is_correct(parsed.answer, right)))
    return rewards


def format_reward(completions, **_) -> list[float]:
    """1 where the whole completion is think then answer tags, else 0: the paper's format reward.

    Arguments:
        completions: N texts, or N lists of chat turns.
    """
    return [float(format_ok(_text(completion))) for completion in completions]


def token_f1_reward(completions, gold, **_) -> list[float]:
    """Share of words that a free answer and the gold one have in common, from 0 to 1.

    For questions whose answer can be said in several ways; it pays for talking round the answer,
    which accuracy does not. F1 as LLaVA-Med counts it (`score.open_answers`).

    Arguments:
        completions: N texts, or N lists of chat turns.
        gold: N gold answers.
    """
    return [
        best_scores(said(_text(completion)), as_texts(right)).f1
        for completion, right in zip(completions, gold, strict=True)
    ]


def reading_of(text: str) -> str | None:
    """The words between the think tags of a completion, normalised; None without closed tags."""
    before, closed, _ = text.partition("</think>")
    _, opened, words = before.partition("<think>")
    return normalise(words) if opened and closed else None


def reading_reward(completions, reading, **_) -> list[float]:
    """1 where the reasoning is what the image shows, whatever the answer is.

    Arguments:
        completions: N texts, or N lists of chat turns.
        reading: N right reasonings, in picture terms.
    """
    return [
        float(reading_of(_text(completion)) == normalise(right))
        for completion, right in zip(completions, reading, strict=True)
    ]


class Coin:
    """A control reward: 1 at random, at the rate at which another arm earned its reward there.

    Arguments:
        rates: chance of a reward at each step; the last one counts for all later steps.
        seed: of the draws.
    """

    __name__ = "coin"

    def __init__(self, rates: Sequence[float], seed: int):
        if not len(rates) or min(rates) < 0 or max(rates) > 1:
            raise UserError("a coin needs chances between 0 and 1, one a step: give at least one")
        self.rates, self.seed = list(rates), seed

    def __call__(self, completions, trainer_state, **_) -> list[float]:
        """Give one reward a completion, at random."""
        step = trainer_state.global_step
        rate = self.rates[min(step, len(self.rates) - 1)]
        draws = np.random.default_rng([self.seed, step]).random(len(completions))
        return (draws < rate).astype(float).tolist()


REWARDS: dict[str, Reward] = {
    "accuracy": accuracy_reward,
    "format": format_reward,
    "token_f1": token_f1_reward,
    "reading": reading_reward,
}


def named(reward: str | Reward) -> Reward:
    """A reward by its name in `REWARDS`; a function is given back.

    Raises:
        UserError: no reward has the name.
    """
    if isinstance(reward, str) and reward not in REWARDS:
        raise UserError(f"reward {reward!r} is unknown: use one of {', '.join(REWARDS)}, or a Coin")
    return REWARDS[reward] if isinstance(reward, str) else reward

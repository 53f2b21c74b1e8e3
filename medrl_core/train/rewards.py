"""Rewards of a completion: right answer and right format, by the evaluation's own parser."""

from __future__ import annotations

from medrl_core.score.parsing import format_ok, is_correct, parse


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
        answer_format: N of `mcq` or `open`.

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

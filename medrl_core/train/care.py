"""Consistency-aware GRPO as pure functions: answer mask, likelihood, bonus, advantage.

Source: PAPER.md, "Consistency-aware GRPO", after arXiv 2506.16141.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Care:
    """Numbers of the consistency bonus; the defaults are the paper's.

    Arguments:
        bonus: share of the accuracy reward that a consistent completion gets on top.
        clamp: largest reference likelihood that counts.
        margin: how far below the selected completions' mean a likelihood may lie.
        ema_decay: decay of the reference, an exponential moving average of the policy.
        ema_every: steps between its updates.
    """

    bonus: float = 0.5
    clamp: float = 0.95
    margin: float = 0.01
    ema_decay: float = 0.995
    ema_every: int = 10


def answer_mask(pieces: Sequence[str]) -> list[bool]:
    """Which tokens lie inside the last closed answer tag.

    Arguments:
        pieces: the text of each token of one completion; tags may span several tokens.

    Returns:
        One flag a token; all False without an opened and closed answer tag or with an empty one.
        A token that holds the end of a tag and the beginning of the answer, such as `>C`, counts.
    """
    text = "".join(pieces)
    close = text.rfind("</answer>")
    start = text.rfind("<answer>", 0, close) if close >= 0 else -1
    if start < 0:
        return [False] * len(pieces)
    answer = text[start + len("<answer>") : close]
    start, close = close - len(answer.lstrip()), close - len(answer) + len(answer.rstrip())
    flags, position = [], 0
    for piece in pieces:
        end = position + len(piece)
        flags.append(max(position, start) < min(end, close))
        position = end
    return flags


def answer_likelihood(
    logps: torch.Tensor, mask: torch.Tensor, clamp: float = 0.95
) -> torch.Tensor:
    """Exponential of the mean log-likelihood of the answer tokens, clamped.

    Arguments:
        logps: (N, T) log-likelihoods of the completion's tokens under the reference.
        mask: (N, T) True on answer tokens.
        clamp: upper bound.

    Returns:
        (N,) likelihoods; 0 where no token is masked, so that such a row gets no bonus.
    """
    count = mask.sum(-1)
    mean = torch.where(mask, logps, 0.0).sum(-1) / count.clamp(min=1)
    return torch.where(count > 0, mean.exp().clamp(max=clamp), 0.0)


def consistency_bonus(
    accuracy: torch.Tensor, likelihood: torch.Tensor, group_size: int, care: Care
) -> torch.Tensor:
    """The bonus of each completion, from its own group of completions.

    A completion is selected when its accuracy reward is above 0.1 and at least its group's mean.
    A selected one whose likelihood is at least the selected ones' mean less the margin gets
    `care.bonus` times its accuracy reward.

    Arguments:
        accuracy: (N,) accuracy rewards, group after group.
        likelihood: (N,) clamped reference likelihoods, in the same order.
        group_size: completions an item; N is a multiple of it.
        care: the numbers.

    Returns:
        (N,) bonuses.
    """
    accuracy_g = accuracy.view(-1, group_size)
    likelihood_g = likelihood.view(-1, group_size)
    selected = (accuracy_g > 0.1) & (accuracy_g >= accuracy_g.mean(1, keepdim=True))
    count = selected.sum(1, keepdim=True)
    mean = torch.where(selected, likelihood_g, 0.0).sum(1, keepdim=True) / count.clamp(min=1)
    # A likelihood of zero means that no answer could be found in the tag: it is not consistent.
    consistent = selected & (likelihood_g >= mean - care.margin) & (likelihood_g > 0)
    return torch.where(consistent, care.bonus * accuracy_g, 0.0).view(-1)


def group_advantages(rewards: torch.Tensor, group_size: int) -> torch.Tensor:
    """Reward less the group's mean, over the group's standard deviation plus 1e-4.

    Arguments:
        rewards: (N,) rewards, group after group.
        group_size: completions an item.

    Returns:
        (N,) advantages (the unbiased standard deviation, as TRL's).
    """
    groups = rewards.view(-1, group_size)
    centred = groups - groups.mean(1, keepdim=True)
    return (centred / (groups.std(1, keepdim=True) + 1e-4)).view(-1)

"""Train the twin: RL with its objectives and controls, SFT, rejection fine-tuning.

`train_rl` is the whole method on one screen: sample, reward, advantage, loss. There is one update
a batch, so importance ratios are 1 and nothing is clipped.

    >>> base = load("data/twin-base/rules-11.safetensors")
    >>> net, trace = train_rl(base, "chest film", Rl(completions=4096), seed=900)
    >>> trace.first_right, trace.looks.acc.iloc[-1]

Run its test: `pytest tests/train/test_twin_training.py`.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from medrl_core.data.drawn.captions import habit_ids
from medrl_core.data.drawn.world import TRAIN, Ids
from medrl_core.errors import UserError
from medrl_core.models.twin import REPORT, Twin, Vocabulary, sample
from medrl_core.score.twin import Answers, Questions, ask, questions, read_answers
from medrl_core.train.care import Care, answer_likelihood, consistency_bonus, group_advantages
from medrl_core.train.passk import passk_rewards
from medrl_core.train.twin_trace import TOKENS, Cost, Record, Trace, Watch


# How an objective weighs the tokens of a batch in the loss; `mask` (N, T) is 1 on tokens.
def _sequence_mean(mask: Tensor) -> Tensor:
    return mask / mask.sum(1, keepdim=True).clamp(min=1) / len(mask)


def _token_mean(mask: Tensor) -> Tensor:
    return mask / mask.sum()


def _fixed_length(mask: Tensor) -> Tensor:
    return mask / mask.numel()


def _whole_sequence(mask: Tensor) -> Tensor:
    return mask / len(mask)


# What it takes for advantages of rewards (N,), group after group.
def _centred(rewards: Tensor, group: int) -> Tensor:
    groups = rewards.view(-1, group)
    return (groups - groups.mean(1, keepdim=True)).view(-1)


def _leave_one_out(rewards: Tensor, group: int) -> Tensor:
    return _centred(rewards, group) * group / (group - 1)


# The names and papers are those of `medrl_core.train.rl`. One update a batch: nothing is clipped.
OBJECTIVES: dict[str, tuple[Callable, Callable]] = {
    "grpo": (group_advantages, _sequence_mean),
    "dr_grpo": (_centred, _fixed_length),
    "dapo": (group_advantages, _token_mean),
    "rloo": (_leave_one_out, _whole_sequence),
    "care": (group_advantages, _sequence_mean),
    "passk": (_centred, _fixed_length),
}
REWARDS = ("answer", "format", "coin")


@dataclass(frozen=True)
class Rl:
    """Settings of RL; the defaults are those of the micro study.

    Arguments:
        completions: sampled in all, `prompts` x `group` a step.
        learning_rate: of Adam, constant.
        prompts: items a step.
        group: completions an item.
        kl: weight of the KL divergence from the start.
        objective: a key of `OBJECTIVES`.
        reward: "answer" (format and report right), "format", or "coin" (a coin a completion).
        mixed: share of the gold answers that are the habit's; 1 for fixed wrong labels.
        temperature: of the sampled completions.
        care: numbers of the consistency bonus, used by the objective "care".
        reward_k: the K of the objective "passk".
    """

    completions: int = 4096
    learning_rate: float = 3e-4
    prompts: int = 8
    group: int = 8
    kl: float = 0.01
    objective: str = "grpo"
    reward: str = "answer"
    mixed: float = 0.0
    temperature: float = 1.0
    care: Care = field(default_factory=Care)
    reward_k: int = 4

    def __post_init__(self) -> None:
        for name, value, known in (
            ("objective", self.objective, OBJECTIVES), ("reward", self.reward, REWARDS)
        ):  # fmt: skip
            if value not in known:
                raise UserError(f"{name} {value!r} is unknown: use one of {', '.join(known)}")
        if self.completions % self.batch:
            raise UserError(
                f"completions {self.completions} must be a multiple of prompts x group = "
                f"{self.batch}"
            )

    @property
    def batch(self) -> int:
        """Completions a step."""
        return self.prompts * self.group


def train_rl(
    start: Twin,
    modality: str,
    recipe: Rl | None = None,
    *,
    seed: int,
    coin: Sequence[float] | None = None,
    look_every: int = 512,
    enough: float | None = None,
    watch: Watch | None = None,
) -> tuple[Twin, Trace]:
    """Train a twin on its own sampled completions.

    Arguments:
        start: the twin to start from, not changed; the KL divergence is from it.
        modality: whose training items are asked about.
        recipe: settings.
        seed: of items and draws.
        coin: for the reward "coin": its chance at each step, such as `trace.steps.reward` of the
            arm that it controls; the last one goes on.
        look_every: completions between evaluations of the test items.
        enough: stop after three evaluations in a row with this Acc@1; None: never.
        watch: gives more columns of an evaluation, from the completions so far and the twin.

    Returns: the trained twin and its trace.
    Raises: UserError: unknown modality, or a coin that does not go with the reward.
    """
    recipe, words, began = recipe or Rl(), start.vocabulary, time.process_time()
    if (recipe.reward == "coin") != (coin is not None):
        raise UserError("the reward 'coin' needs the chance of each step, and no other takes one")
    rng = np.random.default_rng([seed, words.world.number(modality)])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    net, reference = copy.deepcopy(start), copy.deepcopy(start)  # the reference is that of CARE
    optimiser = torch.optim.Adam(net.parameters(), lr=recipe.learning_rate, fused=True)
    advantages_of, weights_of = OBJECTIVES[recipe.objective]
    record = Record(questions(words, modality, "test"), words.world[modality].n_facts, watch)
    seen, moved, n = [record.look(0, net)], False, 0

    for step in range(recipe.completions // recipe.batch):
        # Sample: a group of completions for each prompt.
        asked, gold = draw_items(words, modality, recipe.prompts, rng, mixed=recipe.mixed)
        completions = sample(
            net, asked.prompts, recipe.group, generator=generator, temperature=recipe.temperature
        )
        found = read_answers(words, asked, completions)

        # Reward: 1 or 0 for each completion; CARE and Pass@K make something else of it.
        chance = None if coin is None else coin[min(step, len(coin) - 1)]
        rewards = _rewards(recipe.reward, found, gold, chance, rng)
        shaped = torch.from_numpy(rewards).float().view(-1)
        if recipe.objective == "passk":
            shaped = passk_rewards(shaped, recipe.group, recipe.reward_k)
        if recipe.objective == "care":
            likelihood = _likelihood(reference, asked, completions, found, recipe.care)
            shaped = shaped + consistency_bonus(shaped, likelihood, recipe.group, recipe.care)

        # Advantage: a reward against the others of its group.
        advantages = advantages_of(shaped, recipe.group)

        # Loss: what did better than its group becomes more likely; the KL term pulls back.
        # Until a group differs for the first time, the gradient is exactly 0 and is not computed.
        numbers = {"entropy": np.nan, "kl": 0.0, "gradient": 0.0}
        moved = moved or bool(advantages.abs().max() > 1e-6)
        if moved:
            mask = (completions != words.pad).float()
            weights = weights_of(mask)
            logprobs = net.logprobs(asked.prompts, completions, recipe.temperature)
            loss = -(logprobs * advantages[:, None] * weights).sum()
            if recipe.kl:
                with torch.no_grad():
                    before = start.logprobs(asked.prompts, completions, recipe.temperature)
                gap = before - logprobs
                divergence = torch.expm1(gap) - gap
                loss = loss + recipe.kl * (divergence * weights).sum()
                numbers["kl"] = ((divergence * mask).sum() / mask.sum()).item()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            numbers["gradient"] = torch.nn.utils.get_total_norm(
                [one.grad for one in net.parameters() if one.grad is not None]
            ).item()
            numbers["entropy"] = -(logprobs.sum() / mask.sum()).item()
        if (step + 1) % recipe.care.ema_every == 0:
            _follow(reference, net, recipe.care.ema_decay)

        n = (step + 1) * recipe.batch
        record.step(n, asked, found, rewards, **numbers)
        if n % look_every < recipe.batch or n == recipe.completions:
            seen.append(record.look(n, net, moved=moved))
            if enough is not None and len(seen) > 2 and min(seen[-3:]) >= enough:
                break
    cost = Cost(
        completions=n, gold=n // recipe.group, token_equivalents=5 / 3 * TOKENS * n,
        cpu_seconds=time.process_time() - began,
    )  # fmt: skip
    return net.eval(), record.trace(cost)


def draw_items(
    words: Vocabulary, modality: str, n: int, rng: np.random.Generator, *, mixed: float = 0.0
) -> tuple[Questions, Ids]:
    """Draw training items with replacement, and the reports (n, 6) that count as gold for them.

    Arguments: `n` items; `rng`; `mixed`: share of the gold reports that are the habit's.
    """
    facts = TRAIN[rng.integers(len(TRAIN), size=n)]
    asked = ask(words, modality, facts, rng)
    return asked, _gold(words, asked, facts, mixed, rng)


def _gold(
    words: Vocabulary, asked: Questions, facts: Ids, mixed: float, rng: np.random.Generator
) -> Ids:
    which = np.full(len(facts), words.world.number(asked.modality))
    wrong = rng.random((len(facts), 1)) < mixed
    return np.where(wrong, habit_ids(words.world, which, facts), asked.report)


def _rewards(
    kind: str, found: Answers, gold: Ids, chance: float | None, rng: np.random.Generator
) -> np.ndarray:
    """(B, K) rewards, 0 or 1."""
    if kind == "format":
        return found.well.astype(float)
    if kind == "coin" and chance is not None:
        return (rng.random(found.well.shape) < chance).astype(float)
    return (found.well & (found.report == gold[:, None]).all(-1)).astype(float)


@torch.no_grad()
def _likelihood(
    reference: Twin, asked: Questions, completions: Tensor, found: Answers, care: Care
) -> Tensor:
    """(B x K,) clamped likelihood of each report under the reference, given its reasoning."""
    mask = torch.zeros_like(completions, dtype=torch.bool)
    mask[:, REPORT] = torch.from_numpy(found.well).view(-1, 1)
    return answer_likelihood(reference.logprobs(asked.prompts, completions), mask, care.clamp)


@torch.no_grad()
def _follow(reference: Twin, net: Twin, decay: float) -> None:
    """Move the reference a little towards the policy."""
    for old, new in zip(reference.parameters(), net.parameters(), strict=True):
        old.lerp_(new, 1 - decay)


@dataclass(frozen=True)
class Sft:
    """Settings of SFT.

    Arguments:
        labels: training items with reasoning and report.
        epochs: passes over them.
        learning_rate: of Adam, constant.
        batch: sequences an update.
        mixed: share of the reports that are the habit's.
        shuffled: each prompt gets the completion of another item.
    """

    labels: int = 64
    epochs: int = 8
    learning_rate: float = 1e-3
    batch: int = 16
    mixed: float = 0.0
    shuffled: bool = False


def train_sft(
    start: Twin, modality: str, recipe: Sft | None = None, *, seed: int
) -> tuple[Twin, Cost]:
    """Fine-tune a twin on labelled items of a modality: true reasoning and right report.

    Arguments: `start`, not changed; `modality` whose items are labelled, which need not be the one
        that is tested; `recipe`; `seed` of items and order.
    Raises: UserError: no labels, more than there are training items, or an unknown modality.
    """
    recipe, words = recipe or Sft(), start.vocabulary
    if not 0 < recipe.labels <= len(TRAIN):
        raise UserError(f"SFT takes 1 to {len(TRAIN)} labels, not {recipe.labels}")
    rng = np.random.default_rng([seed, words.world.number(modality)])
    facts = TRAIN[rng.permutation(len(TRAIN))[: recipe.labels]]
    asked = ask(words, modality, facts, rng)
    completions = words.completions(asked.think, _gold(words, asked, facts, recipe.mixed, rng))
    if recipe.shuffled:
        completions = completions[torch.from_numpy(rng.permutation(len(facts)))]
    return _fit(start, asked.prompts, completions, recipe, rng, gold=recipe.labels)


def train_rejection(
    start: Twin, modality: str, recipe: Sft | None = None, *, completions: int = 4096,
    group: int = 8, seed: int,
) -> tuple[Twin, Cost]:
    """Fine-tune a twin on its own right completions, sampled once before training.

    Arguments: `start`, not changed; `modality`; `recipe`, whose labels, mixed and shuffled do not
        count; `completions` sampled, `group` an item; `seed`.
    Returns: the trained twin, which is the start where no completion was right; and the cost.
    """
    recipe, words, began = recipe or Sft(), start.vocabulary, time.process_time()
    rng = np.random.default_rng([seed, words.world.number(modality)])
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    asked, _ = draw_items(words, modality, completions // group, rng)
    drawn = sample(start, asked.prompts, group, generator=generator)
    right = torch.from_numpy(read_answers(words, asked, drawn).right).view(-1)
    sampling = Cost(
        completions=len(drawn), token_equivalents=TOKENS * len(drawn),
        cpu_seconds=time.process_time() - began,
    )  # fmt: skip
    prompts = asked.prompts.repeat_interleave(group, 0)[right]
    net, cost = _fit(start, prompts, drawn[right], recipe, rng, gold=len(asked))
    return net, sampling + cost


def _fit(
    start: Twin, prompts: Tensor, completions: Tensor, recipe: Sft, rng: np.random.Generator,
    gold: int,
) -> tuple[Twin, Cost]:
    """Minimise the negative log-likelihood of completions, one for each prompt."""
    began, pad = time.process_time(), start.vocabulary.pad
    net = copy.deepcopy(start)
    optimiser = torch.optim.Adam(net.parameters(), lr=recipe.learning_rate, fused=True)
    for _ in range(recipe.epochs):
        order = torch.from_numpy(rng.permutation(len(prompts)))
        for first in range(0, len(order), recipe.batch):
            rows = order[first : first + recipe.batch]
            logprobs = net.logprobs(prompts[rows], completions[rows])
            loss = -logprobs.sum() / (completions[rows] != pad).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    shown = recipe.epochs * len(prompts)
    return net.eval(), Cost(
        labels=shown, gold=gold, token_equivalents=float(TOKENS * shown),
        cpu_seconds=time.process_time() - began,
    )  # fmt: skip

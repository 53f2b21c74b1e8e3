"""Measure a twin: exact p by Rao-Blackwell, by force and by enumeration; answers; slot by slot.

    >>> net = load("data/twin-base/rules-11.safetensors")
    >>> asked = questions(net.vocabulary, "brain MRI", "test")
    >>> round(float(exact_p(net, asked).mean()), 2)  # the dial says .045
    0.05

What is computed of the numbers is in `support.py`, which the pixel model uses as well.
Run its test: `pytest tests/models/test_twin.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrl_core.data.drawn.captions import fact_numbers, gold_ids, seen_facts
from medrl_core.data.drawn.world import FACTS, RULED_SLOTS, SPLITS, Ids, think_ids
from medrl_core.errors import UserError
from medrl_core.models.twin import REPORT, Twin, Vocabulary, sample
from medrl_core.score.support import (
    commonest_share,
    distinct_words,
    majority_right,
    pass_curve,
    power_right,
    slot_information,
)

Floats = NDArray[np.float64]
THINKS = 16
NOISE_SEED = 5  # of what noisy modalities show of the fixed items


@dataclass(frozen=True)
class Questions:
    """Items of one modality for a twin.

    Arguments:
        modality: its name.
        prompts: (B, 8) tokens.
        think: (B, 6) words of the picture's true facts, as numbers in `world.WORDS`.
        report: (B, 6) words of the right report.
        fact: (B,) the fact of the modality that an item needs.
    """

    modality: str
    prompts: Tensor
    think: Ids
    report: Ids
    fact: Ids

    def __len__(self) -> int:
        return len(self.think)


def ask(words: Vocabulary, modality: str, facts: Ids, rng: np.random.Generator) -> Questions:
    """Ask about pictures of true facts (B, 6); what noisy ones show is drawn from `rng`."""
    which = np.full(len(facts), words.world.number(modality))
    return Questions(
        modality,
        words.prompts(which, seen_facts(words.world, which, facts, rng)),
        think_ids(facts),
        gold_ids(words.world, which, facts),
        fact_numbers(words.world, which, facts),
    )


def questions(words: Vocabulary, modality: str, split: str = "test") -> Questions:
    """Ask about all items of a split, which are the same at every call.

    Raises: UserError if the world has no such modality, or there is no such split.
    """
    if split not in SPLITS:
        raise UserError(f"there is no split {split!r}: use one of {', '.join(SPLITS)}")
    rng = np.random.default_rng([NOISE_SEED, words.world.number(modality)])
    return ask(words, modality, SPLITS[split], rng)


@dataclass(frozen=True)
class Answers:
    """Completions that were read, K of each of B items.

    Arguments:
        well: (B, K) in the asked format.
        right: (B, K) well, and all six words of the report right.
        thought: (B, K) well, and all six words of the reasoning are those of the picture.
        think, report: (B, K, 6) word numbers, meaningless where not well.
        logprob: (B, K) of the whole completion at temperature 1, where it was asked for.
    """

    well: NDArray[np.bool_]
    right: NDArray[np.bool_]
    thought: NDArray[np.bool_]
    think: Ids
    report: Ids
    logprob: Floats | None = None


def read_answers(words: Vocabulary, asked: Questions, completions: Tensor) -> Answers:
    """Read completions (B x K, 15), those of an item side by side."""
    shape = len(asked), len(completions) // len(asked)
    well, think, report = (
        part.view(*shape, *part.shape[1:]).numpy() for part in words.read(completions)
    )
    right = well & (report == asked.report[:, None]).all(-1)
    thought = well & (think == asked.think[:, None]).all(-1)
    return Answers(well, right, thought, think, report)


def greedy(net: Twin, asked: Questions) -> Answers:
    """Give the greedy answer to each item (K = 1)."""
    return read_answers(net.vocabulary, asked, sample(net, asked.prompts))


def sampled(
    net: Twin, asked: Questions, copies: int, *, seed: int = 0, temperature: float = 1.0,
    logprobs: bool = False,
) -> Answers:
    """Sample answers to each item.

    Arguments: `copies` an item; `seed` of the draws; `temperature`; `logprobs`: with the
        log-probability of each completion at temperature 1.
    """
    generator = torch.Generator().manual_seed(seed)
    completions = sample(net, asked.prompts, copies, generator=generator, temperature=temperature)
    found = read_answers(net.vocabulary, asked, completions)
    if not logprobs:
        return found
    with torch.no_grad():
        whole = net.logprobs(asked.prompts, completions).sum(1).double().view(-1, copies)
    return Answers(**{**vars(found), "logprob": whole.numpy()})


@torch.no_grad()
def exact_p(
    net: Twin, asked: Questions, *, thinks: int = THINKS, seed: int = 0, temperature: float = 1.0
) -> Floats:
    """Give each item's chance of a right answer: some sampled thinks, the exact chance after each.

    It is unbiased, as the mean over thinks of a conditional chance (Rao-Blackwell), and resolves
    chances far below what samples can count. Forcing the right think is no substitute once RL has
    changed the thinks.

    Arguments: `thinks` sampled an item; `seed` of the draws; `temperature` of think and report.
    Returns: (B,).
    """
    words, generator = net.vocabulary, torch.Generator().manual_seed(seed)
    begun = sample(
        net, asked.prompts, thinks, generator=generator, temperature=temperature,
        length=REPORT.start,
    )  # fmt: skip
    report = torch.as_tensor(asked.report).repeat_interleave(thinks, 0) + words.word
    full = torch.cat([begun, report, torch.full((len(begun), 1), words.end)], 1)
    # Equal thinks of an item are read once; most are equal.
    item = torch.arange(len(asked)).repeat_interleave(thinks)
    numbered = torch.cat([item[:, None], full], 1).numpy()
    unlike, place = np.unique(numbered, axis=0, return_inverse=True)
    of_item, full = torch.as_tensor(unlike[:, 0]), torch.as_tensor(unlike[:, 1:])
    logprobs = net.logprobs(asked.prompts[of_item], full, temperature)[:, REPORT.start :]
    chance = logprobs.sum(1).double().exp() * words.read(full)[0]
    return chance.numpy()[place].reshape(-1, thinks).mean(1)


@torch.no_grad()
def slot_chances(net: Twin, asked: Questions) -> Floats:
    """Give the chance of each right token after the right beginning.

    Returns: (B, 15); `THINK` and `REPORT` of `medrl_core.models.twin` are the slots of the words.
    """
    right = net.vocabulary.completions(asked.think, asked.report)
    return net.logprobs(asked.prompts, right).double().exp().numpy()


def forced_p(net: Twin, asked: Questions) -> Floats:
    """Give each item's chance of the right think followed by the right report: (B,).

    It is exact enough for a base. After RL it is a lower bound, and can be far too low.
    """
    return slot_chances(net, asked).prod(1)


@torch.no_grad()
def enumerated_p(net: Twin, asked: Questions) -> tuple[Floats, Floats]:
    """Give each item's chance of a right answer as the sum over all 1,152 thinks.

    Returns: (B,) the sum; and (B,) the chance of these thinks. A right answer after any other text
        adds at most what that lacks to 1.
    """
    thinks = think_ids(FACTS)
    sums: list[float] = []
    masses: list[float] = []
    for item in range(len(asked)):
        report = np.broadcast_to(asked.report[item], thinks.shape).copy()
        completions = net.vocabulary.completions(thinks, report)
        logprobs = net.logprobs(asked.prompts[item : item + 1], completions).double()
        sums.append(logprobs.sum(1).exp().sum().item())
        masses.append(logprobs[:, : REPORT.start].sum(1).exp().sum().item())
    return np.array(sums), np.array(masses)


@torch.no_grad()
def divergence(
    net: Twin, start: Twin, asked: Questions, *, copies: int = 8, seed: int = 0
) -> float:
    """Estimate the KL divergence of a twin from its start, in nats a completion.

    Arguments: `copies` of each item are sampled from `net`; `seed` of the draws.
    Source: the estimator k3 of Schulman 2020, which is never negative.
    """
    generator = torch.Generator().manual_seed(seed)
    completions = sample(net, asked.prompts, copies, generator=generator)
    here, there = (one.logprobs(asked.prompts, completions).sum(1).double() for one in (net, start))
    return float((torch.expm1(there - here) - (there - here)).mean())


@dataclass(frozen=True)
class Measured:
    """A twin on the items of one modality.

    Arguments:
        acc: Acc@1, of greedy answers.
        p: (B,) chance of a right sampled answer to each item.
        well: share of sampled answers in the asked format.
        thought: share of sampled reasonings that say what the picture shows.
        right_thought: that share among right answers; nan if none was right.
        commonest: share of the commonest sampled report.
        words: fewest distinct words that a ruled slot says in greedy answers; 1 is a constant.
        information: of gold and sampled report, in bits, summed over the six slots.
    """

    acc: float
    p: Floats
    well: float
    thought: float
    right_thought: float
    commonest: float
    words: int
    information: float


def measure(net: Twin, asked: Questions, *, seed: int = 0, copies: int = 16) -> Measured:
    """Measure a twin: `copies` answers are sampled to each item, beside p and the greedy ones."""
    first, drawn = greedy(net, asked), sampled(net, asked, copies, seed=seed)
    gold = np.repeat(asked.report[:, None], copies, 1)[drawn.well]
    said, once = drawn.report[drawn.well], first.report[first.well]
    return Measured(
        acc=float(first.right.mean()),
        p=exact_p(net, asked, seed=seed),
        well=float(drawn.well.mean()),
        thought=float(drawn.thought.mean()),
        right_thought=float(drawn.thought[drawn.right].mean()) if drawn.right.any() else np.nan,
        commonest=commonest_share(said) if len(said) else np.nan,
        words=int(distinct_words(once)[list(RULED_SLOTS)].min()) if len(once) else 0,
        information=float(slot_information(gold, said).sum()) if len(said) else 0.0,
    )


TEMPERATURES = (0.5, 0.7, 1.0, 1.3, 1.6, 2.0)


def best_temperature(net: Twin, modality: str, *, k: int = 16) -> float:
    """Give the temperature with the highest Pass@k on the validation items."""
    asked = questions(net.vocabulary, modality, "validation")
    reached = [
        pass_curve(exact_p(net, asked, thinks=4, temperature=one), ks=(k,))[0]
        for one in TEMPERATURES
    ]
    return TEMPERATURES[int(np.argmax(reached))]


def rivals(net: Twin, asked: Questions, *, seed: int = 0, copies: int = 128) -> dict[str, Floats]:
    """Give each item's chance of a right answer by what an untrained twin can do instead.

    Returns: "best temperature" (chosen on validation items), "majority" of 16 samples, and
        "power", p^4 renormalised over `copies` samples: (B,) each.
    """
    drawn = sampled(net, asked, copies, seed=seed, logprobs=True)
    whole = np.concatenate([drawn.think, drawn.report, drawn.well[..., None]], -1)
    return {
        "best temperature": exact_p(
            net, asked, seed=seed, temperature=best_temperature(net, asked.modality)
        ),
        "majority": majority_right(drawn.report[:, :16], drawn.right[:, :16]),
        "power": power_right(whole, np.asarray(drawn.logprob), drawn.right),
    }

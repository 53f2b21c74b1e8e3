"""The decision rule by expected hits: measure p, ask the law, then bridge, sharpen, both or stop.

    law = load_law("data/law.json", mark=0.6)
    found = choose(p, law, 4096, acc=0.0, ceiling=0.9, labels=16, label_price=10)
    found.action, found.chance, found.expected_hits, found.why

"sharpen" is RL, "bridge" SFT, "both" SFT, then RL. What is left to gain is the distance from Acc@1
to the ceiling, the share of items whose picture is read rightly: where sight is missing there is
nothing to train for. RL is worth the law's chance of it, labels are worth all of it less their
price.

Prices are in completions a label; a run of `RUN` completions is worth `RUN_WORTH` of Acc@1. That
rate is a convention, fixed before the recorded runs. It needs no torch.
Run its test: `pytest tests/score/test_rule.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from medrl_core.errors import UserError
from medrl_core.score.hits import Budget
from medrl_core.score.intervals import Estimate, bootstrap_draws, interval, rate_draws
from medrl_core.score.law import Law, predict

Floats = NDArray[np.float64]
Action = Literal["stop", "sharpen", "bridge", "both", "too few items to say"]
ACTIONS = ("stop", "sharpen", "bridge", "both")
# What each action trains, in the words of `medrl_core.train.arms.ARMS`.
ARM_OF = {"stop": "base", "sharpen": "rl", "bridge": "sft", "both": "sft_rl"}
RUN, RUN_WORTH = 4096, 0.1
WORTHWHILE = 0.5  # chance of take-off from which RL alone is advised where labels have no price
LEFT = 0.1  # less than this between Acc@1 and the ceiling is nothing left to gain
ENOUGH_LABELS = 64  # from this many labels on, SFT alone is expected to close the distance
FEW_HITS = 5  # under so many right samples, items say nothing of the spread of p
LEAST = 1e-9
DRAWS = 200


@dataclass(frozen=True)
class Choice:
    """What to do with a group of items, and why.

    Arguments:
        action: one of `ACTIONS`, or "too few items to say".
        p: with its 95 % interval over items.
        expected_hits: right completions that RL would sample from the base, with its interval.
        chance: of take-off by the law, with its interval over the law and p.
        more_items: items beyond these that would decide; 0 once decided, None where none would.
        why: one sentence.
    """

    action: Action
    p: Estimate
    expected_hits: Estimate
    chance: Estimate
    more_items: int | None
    why: str


def p_draws(p: ArrayLike, samples: int | None = None, *, seed: int = 0) -> Floats:
    """Draw the mean chance over items: (DRAWS,).

    Arguments: `p` (B,) chances of the items; `samples` an item where p is c / n, None where it is
        exact; `seed`. With hardly a right sample the draws are those of a Beta(c + 1/2, ...), since
        items that were never answered rightly would tell no spread (Jeffreys).
    """
    p = np.atleast_1d(np.asarray(p, dtype=float))
    if p.ndim != 1 or not p.size or not ((p >= 0) & (p <= 1)).all():
        raise UserError("the rule takes one chance an item, from 0 to 1; check the log's answers")
    hits = float("inf") if samples is None else float(p.sum() * samples)
    if samples is not None and hits < FEW_HITS:
        misses = samples * len(p) - hits
        drawn = np.random.default_rng(seed).beta(hits + 0.5, misses + 0.5, DRAWS)
    elif len(p) < 2:
        drawn = np.full(DRAWS, p.mean())
    else:
        drawn = bootstrap_draws(p[:, None], draws=DRAWS, seed=seed)[:, 0]
    return np.clip(drawn, LEAST, 1.0)


def choose(
    p: ArrayLike,
    law: Law,
    budget: Budget | int,
    *,
    samples: int | None = None,
    acc: float = 0.0,
    ceiling: float | None = None,
    labels: int = 16,
    label_price: float | None = None,
    share: float = 1.0,
    seed: int = 0,
) -> Choice:
    """Choose what to do with a group of items before RL is paid for.

    Arguments:
        p: (B,) chance of a right sampled answer to each item.
        law: fitted law; of the mark .6 for a rule that is learnt.
        budget: of RL, or its completions.
        samples: an item where p is c / n; None where p is exact.
        acc: Acc@1.
        ceiling: share of items whose picture is read rightly, from the reasoning or a probe; None
            where nobody looked.
        labels: that could be had.
        label_price: in completions a label; None: unknown.
        share: of the completions that are about these items.
        seed: of the bootstrap.

    Raises:
        UserError: no items, or a chance outside 0 to 1.
    """
    n = budget.completions if isinstance(budget, Budget) else int(budget)
    drawn, items = p_draws(p, samples, seed=seed), np.atleast_1d(np.asarray(p, float))
    mean = float(np.clip(items.mean(), LEAST, 1.0))
    low, high = interval(drawn)
    at = Estimate(float(items.mean()), low, high, len(items))
    hits = Estimate(at.value * share * n, low * share * n, high * share * n, len(items))
    said = predict(law, mean, n, share=share, p_draws=drawn)
    chance = Estimate(said.chance, said.low, said.high, len(items))
    gap = (1.0 if ceiling is None else ceiling) - acc

    def decided(action: Action, why: str, more: int | None = 0) -> Choice:
        seen = "" if ceiling is not None else " No probe was run, so sight is taken for granted."
        return Choice(action, at, hits, chance, more, f"{why}{seen}")

    if gap < LEFT:
        if ceiling is not None and ceiling < WORTHWHILE:
            return decided(
                "stop", f"It cannot see: {100 * ceiling:.0f}% of the pictures are read rightly, "
                f"and Acc@1 is {100 * acc:.0f}% already."
            )  # fmt: skip
        return decided(
            "stop", f"Acc@1 is {100 * acc:.0f}%: at most {100 * gap:.0f} points are left."
        )
    told = (
        f"{_count(hits.value)} right completions are expected in {n:,}, and RL takes off with a "
        f"chance of {100 * said.chance:.0f}%"
    )
    with_labels: Action = "bridge" if labels >= ENOUGH_LABELS else "both"
    price = 0.0 if label_price is None else labels * label_price * RUN_WORTH / RUN
    worth_rl, worth_labels = said.chance * gap, gap - price
    if label_price is not None and worth_labels >= max(worth_rl, 0.0):
        return decided(with_labels, f"{told}; {labels} labels are cheaper than that risk.")
    if _open(chance) and label_price is None:
        more = more_items(law, mean, drawn, n, len(items), samples, share)
        outlook = "more items will not decide" if more is None else f"{more} more would decide"
        return decided(
            "too few items to say", f"{told}, but from {100 * chance.low:.0f} to "
            f"{100 * chance.high:.0f}% with {len(items)} items; {outlook}.", more
        )  # fmt: skip
    if label_price is None:
        if said.chance >= WORTHWHILE:
            return decided("sharpen", f"{told}.")
        return decided(with_labels, f"{told}: {labels} labels first.")
    if worth_rl >= LEFT * gap:
        return decided("sharpen", f"{told}; {labels} labels cost more than they add.")
    return decided("stop", f"{told}, and {labels} labels cost more than is left to gain.")


def _count(hits: float) -> str:
    return f"{hits:,.0f}" if hits >= 10 else f"{hits:.2g}"


def _open(chance: Estimate) -> bool:
    """Whether an interval leaves it open on which side of `WORTHWHILE` the chance lies."""
    return chance.low < WORTHWHILE <= chance.high and chance.high - chance.low > WORTHWHILE


def p_for(law: Law, n: float, chance: float = WORTHWHILE, *, share: float = 1.0) -> float:
    """Give the chance p at which RL of n completions takes off with a chance; nan if none does."""

    def short(log_p: float) -> float:
        return float(law.chance(np.exp(log_p), n, share)) - chance

    if short(0.0) < 0:
        return float("nan")
    return float(np.exp(brentq(short, np.log(LEAST), 0.0)))


def more_items(
    law: Law, p: float, drawn: Floats, n: int, items: int, samples: int | None, share: float
) -> int | None:
    """Give about how many more items would decide whether RL is worthwhile; None if none would.

    The value stays, and the draws of log p close in on it with the square root of the items.
    """
    if samples is not None and p <= LEAST:  # nothing right was seen: 3 / p samples rule p out
        wanted = math.ceil(3 / (p_for(law, n, share=share) * samples))
        return max(wanted - items, 1)
    for factor in 2.0 ** np.arange(1, 11):
        closer = np.exp(np.log(p) + (np.log(drawn) - np.log(p)) / np.sqrt(factor))
        found = predict(law, p, n, share=share, p_draws=np.clip(closer, LEAST, 1.0))
        if not _open(Estimate(found.chance, found.low, found.high, items)):
            return round(items * (factor - 1))
    return None


@dataclass(frozen=True)
class Outcomes:
    """What each action led to in situations: groups of items with a number of labels.

    Arguments:
        groups, labels: of the G situations.
        acc, validation: (G, 4, S) Acc@1 on test and on validation items by action (in the order of
            `ACTIONS`) and training seed.
        n_items: test items behind a rate.
    """

    groups: tuple[str, ...]
    labels: tuple[int, ...]
    acc: Floats
    validation: Floats
    n_items: int


def net(acc: Floats, labels: Sequence[int], price: float) -> Floats:
    """Take the price of labels off Acc@1: (..., G, 4)."""
    cost = np.asarray(labels, float) * price * RUN_WORTH / RUN
    paid = np.array([action in ("bridge", "both") for action in ACTIONS])
    return acc - cost[:, None] * paid


FIXED = {"always SFT": "bridge", "always RL": "sharpen", "always SFT, then RL": "both"}
RULE, PAPER, RANDOM, ORACLE = "our rule", "the paper's rule", "random choice", "oracle"


def recipes(
    validation: Floats, labels: Sequence[int], price: float, rules: dict[str, Sequence[str]]
) -> dict[str, Floats]:
    """Give what each recipe chooses at a price: weights of the actions, (G, 4) each.

    Arguments: `validation` (G, 4) Acc@1 that the oracle chooses by; `rules`: name to one action a
        situation; what is not in `ACTIONS` counts as "both".
    """
    place = {action: number for number, action in enumerate(ACTIONS)}
    one = np.eye(len(ACTIONS))
    situations = len(validation)
    found = {name: np.tile(one[place[action]], (situations, 1)) for name, action in FIXED.items()}
    found[RANDOM] = np.full((situations, len(ACTIONS)), 1 / len(ACTIONS))
    for name, actions in rules.items():
        found[name] = one[[place.get(action, place["both"]) for action in actions]]
    found[ORACLE] = one[net(validation, labels, price).argmax(1)]
    return found


@dataclass(frozen=True)
class Regrets:
    """Regrets against the oracle, over situations and prices.

    Arguments: `each` recipe to its regret; `against` recipe to its regret less that of our rule
        (the best fixed one is named in `fixed`); all with intervals.
    """

    each: dict[str, Estimate]
    against: dict[str, Estimate]
    fixed: str


def regrets(
    found: Outcomes,
    chosen: dict[float, dict[str, Sequence[str]]],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Regrets:
    """Hold recipes against an oracle that knows which action did best on validation items.

    Arguments:
        found: what the actions led to.
        chosen: price to rule (`RULE`, `PAPER`) to its action in each situation.
        draws, seed: of the bootstrap over training seeds, then items.

    Returns:
        Regrets in Acc@1 net of the price of labels, mean over situations and prices.
    """
    means = found.acc.mean(-1)
    drawn = rate_draws(found.acc, found.n_items, draws=draws, seed=seed)
    validation = found.validation.mean(-1)
    value: dict[str, Floats] = {}
    spread: dict[str, Floats] = {}
    on_validation: dict[str, Floats] = {}
    for price, rules in chosen.items():
        weights = recipes(validation, found.labels, price, rules)
        for name, weight in weights.items():
            for what, table in ((value, means), (spread, drawn), (on_validation, validation)):
                paid: Floats = (net(table, found.labels, price) * weight).sum(-1).mean(-1)
                what[name] = what.get(name, np.zeros_like(paid)) + paid / len(chosen)
    fixed = max(FIXED, key=lambda name: float(on_validation[name]))
    size = len(found.groups)

    def less(better: str, worse: str) -> Estimate:
        gone = np.atleast_1d(spread[better] - spread[worse])
        return Estimate(float(value[better] - value[worse]), *interval(gone), size)

    each = {name: less(ORACLE, name) for name in value}
    against = {name: less(RULE, name) for name in value if name != RULE} if RULE in value else {}
    return Regrets(each, against, fixed)

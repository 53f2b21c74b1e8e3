"""What is within reach of a base before training: Pass@K, its floors, and its untrained rivals.

    found = reach(lab, "drawn:chest film", temperatures=[0.5, 1.0, 1.5])
    gap_items([found])              # per item: Pass@16 minus the better of greedy and majority
    summary([found])                # one row a group

Rivals are what any gain by training has to be compared with: the best temperature, a vote, and
one answer from p^4 (`medrl_core.score.rivals`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medrl_core.data import groups as kinds
from medrl_core.report.experiment import Experiment
from medrl_core.score import rivals, support
from medrl_core.score.exact_support import Floats
from medrl_core.score.intervals import Estimate, bootstrap_mean, hierarchical_mean
from medrl_core.score.measure import Measured, blank, measure, swapped
from medrl_core.score.passk import guess_floor

K = 16
VALIDATION = 64  # items on which the temperature is chosen
# What is drawn, in the order of legends: column of the items, and the words that a reader sees.
SERIES = {
    "greedy": "Acc@1 (greedy)",
    "vote": "majority of 16",
    "power": "one answer from p^4",
    "pass": "Pass@16",
    "pass_best": "Pass@16, best temperature",
    "pass_blind": "Pass@16 without the picture",
    "pass_swapped": "Pass@16, another picture",
}


@dataclass(frozen=True)
class Reach:
    """One group before training.

    Arguments:
        group: as it was asked.
        base: measured at the temperature asked for.
        temperature: the best one on validation items.
        tried: one row a temperature: temperature, p, pass.
        items: one row a test item, the columns of `SERIES`.
        floor: Pass@16 of a uniform guess.
        floor_labels: Pass@16 of an answerer that knows how often each test report is right.
    """

    group: str
    base: Measured
    temperature: float
    tried: pd.DataFrame
    items: pd.DataFrame
    floor: float
    floor_labels: float


def reach(lab: Experiment, group: str, temperatures: Sequence[float]) -> Reach:
    """Measure the base on a group, its rivals and its floors.

    K is 16 where p is exact, else the samples there are if those are fewer; so is the vote.
    """
    net, processor = lab.model()
    base = lab.base(group)
    k = K if base.exact else min(K, lab.k)
    sampled = 0 if base.exact else k
    best, tried = rivals.best_temperature(
        net, processor, lab.items(group, "val", VALIDATION), temperatures, k=k,
        seed=lab.sampling_seed, decoding=lab.decoding,
    )  # fmt: skip

    def passed(items, temperature: float) -> Floats:
        found = measure(
            net, processor, items, seed=lab.sampling_seed, k=sampled, decoding=lab.at(temperature)
        )
        return found.pass_items(k)

    here = lab.decoding.temperature
    columns = {
        "greedy": base.right.astype(float),
        "vote": rivals.vote(base, min(K, lab.k)),
        "power": rivals.sharpened(base),
        "pass": base.pass_items(k),
        "pass_best": base.pass_items(k) if best == here else passed(base.items, best),
        "pass_blind": passed(blank(base.items), here),
        "pass_swapped": passed(swapped(base.items), here),
    }
    options = np.array([max(item.n_options, 1) for item in base.items])
    floor = np.where(options > 1, guess_floor(options, k), 0.0).mean()
    labels = support.frequency_floor([item.gold for item in base.items], [k])[0]
    return Reach(group, base, best, tried, pd.DataFrame(columns), float(floor), float(labels))


def summary(found: Sequence[Reach]) -> pd.DataFrame:
    """Return one row a group: its names, p, each of `SERIES`, floors, and what answers tell."""
    rows = []
    for one in found:
        numbers = one.base.numbers()
        rows.append(
            {
                "group": kinds.label(one.group),
                "cause": kinds.cause(one.group) or "real",
                "p": numbers["p"],
                **one.items.mean().to_dict(),
                "best_temperature": one.temperature,
                "floor": one.floor,
                "floor_labels": one.floor_labels,
                **{name: numbers.get(name, np.nan) for name in ("commonest", "information")},
            }
        )
    return pd.DataFrame(rows)


def points(found: Sequence[Reach], seed: int = 0) -> pd.DataFrame:
    """Return what the figure of rivals plots: group, what, value, low, high, floor."""
    rows = []
    for one in found:
        for column, what in SERIES.items():
            estimate = bootstrap_mean(one.items[column], seed=seed)
            row = {"group": kinds.label(one.group), "what": what, "floor": one.floor}
            rows.append(row | {name: getattr(estimate, name) for name in ("value", "low", "high")})
    return pd.DataFrame(rows)


def curves(found: Sequence[Reach], seed: int = 0) -> pd.DataFrame:
    """Return Pass@K with its interval over items: group, k, value, low, high; to 1,024 if exact."""
    rows = []
    for one in found:
        for k in support.KS:
            if not one.base.exact and k > one.base.n:
                continue
            estimate = bootstrap_mean(one.base.pass_items(k), seed=seed)
            row = {"group": kinds.label(one.group), "k": k}
            rows.append(row | {name: getattr(estimate, name) for name in ("value", "low", "high")})
    return pd.DataFrame(rows)


def sampled(found: Sequence[Reach]) -> pd.DataFrame:
    """Set what 16 samples see beside what is there, where p is exact.

    Returns:
        One row a group: group, p, counted (c / n), pass16, unbiased and plugged (from the same 16
        samples), unseen (share of items without a hit), reachable (share of those that 256 samples
        would expect to hit: p of 1/256 or more).
    """
    rows = []
    for one in found:
        if not one.base.exact:
            continue
        right = rivals.right_samples(one.base)[:, :K]
        k = right.shape[1]
        curve = support.sampled_pass_curves(right, [k]).iloc[0]
        unseen = ~right.any(1)
        rows.append(
            {
                "group": kinds.label(one.group),
                "p": one.base.p.mean(),
                "counted": right.mean(),
                "pass": one.base.pass_items(k).mean(),
                "unbiased": curve.unbiased,
                "plugged": curve.plugged,
                "unseen": unseen.mean(),
                "reachable": (one.base.p[unseen] >= 1 / 256).mean() if unseen.any() else np.nan,
            }
        )
    return pd.DataFrame(rows)


def by_habit(found: Sequence[Reach]) -> list[Reach]:
    """Return the groups whose support is missing by habit alone; of real groups, all."""
    modalities = [kinds.modality(one.group) for one in found]
    return [
        one for one, modality in zip(found, modalities, strict=True)
        if modality is None or modality.causes == ("habit",)
    ]  # fmt: skip


def gap_items(one: Reach) -> Floats:
    """Return each item's Pass@16 minus the larger, over the group, of Acc@1 and majority: (B,)."""
    better = max(("greedy", "vote"), key=lambda name: one.items[name].mean())
    return (one.items["pass"] - one.items[better]).to_numpy()


def claims(bases: Sequence[Sequence[Reach]], seed: int = 0) -> dict[str, Estimate | None]:
    """Give the numbers of H2, over the groups missing by habit alone.

    Arguments: `bases`, a list of groups for each base; the same groups in all.
    """
    chosen = [by_habit(found) for found in bases]
    if not chosen[0]:
        return dict.fromkeys(["h2", "h2_floor", "h2_blind", "h2_temperature"])

    def mean(values) -> Estimate:
        groups = [np.stack([values(one) for one in same]) for same in zip(*chosen, strict=True)]
        return hierarchical_mean(groups, seed=seed)

    return {
        "h2": mean(gap_items),
        "h2_floor": mean(lambda one: np.full(len(one.items), one.floor_labels)),
        "h2_blind": mean(lambda one: one.items["pass_blind"].to_numpy()),
        "h2_temperature": mean(lambda one: (one.items.pass_best - one.items["pass"]).to_numpy()),
    }


def floors(found: Sequence[Reach]) -> pd.DataFrame:
    """Return the Pass@K of a uniform guess: k, value; none where no group has a known number."""
    options = [max(item.n_options, 1) for one in found for item in one.base.items]
    p = np.array([1 / n for n in options if n > 1])
    rows = [(k, support.pass_curve(p, [k])[0]) for k in support.KS] if len(p) else []
    return pd.DataFrame(rows, columns=["k", "value"])


def temperatures(found: Sequence[Reach]) -> pd.DataFrame:
    """Return what was tried on validation items: group, temperature, p, pass."""
    return pd.concat([one.tried.assign(group=kinds.label(one.group)) for one in found])


def estimates(lesson: pd.DataFrame) -> pd.DataFrame:
    """Return `sampled` as the figure plots it: group, from, value, low, high."""
    names = {"pass": "exact", "unbiased": "16 samples, unbiased", "plugged": "16 samples, c/n"}
    long = lesson.melt("group", list(names), var_name="from")
    return long.assign(**{"from": long["from"].map(names)}, low=long.value, high=long.value)


def bias(lesson: pd.DataFrame) -> str:
    """Say how far the plugged estimate lies under the exact one, as a title."""
    short = (lesson["pass"] - lesson.plugged).mean()
    return f"Pass@16 by c/n is {100 * abs(short):.0f} points too {'low' if short > 0 else 'high'}"


def title(table: pd.DataFrame) -> str:
    """Say as a title how often greedy answers and 16 samples are right."""
    best = table[["greedy", "vote"]].max(axis=1)
    wide = table.iloc[(table["pass"] - best).argmax()]
    return (
        f"{wide.group}: greedy right in {100 * wide.greedy:.0f}%, one of 16 samples in "
        f"{100 * wide['pass']:.0f}%, without the picture in {100 * wide.pass_blind:.0f}%"
    )


def curve_title(curve: pd.DataFrame) -> str:
    """Say as a title where Pass@K ends."""
    last = curve[curve.k == curve.k.max()]
    low, high = 100 * last.value.min(), 100 * last.value.max()
    k = curve.k.max()
    return f"After {k:,} samples, {low:.0f} to {high:.0f}% of a group's items were right once"


def finding(table: pd.DataFrame, numbers: dict[str, Estimate | None]) -> str:
    """Say what was found as Markdown."""
    found = [numbers[f"h2{what}"] for what in ("", "_temperature", "_blind", "_floor")]
    there = [one for one in found if one is not None]
    if len(there) < len(found):
        return "No group is missing by habit alone: the gap is not tested here."
    gap, hot, *floors = there
    which = "groups missing by habit" if (table.cause == "habit").any() else "groups"
    blind, labels = (one.value for one in floors)
    return (
        f"Over the {which}, Pass@16 lies **{100 * gap.value:+.0f} points** "
        f"[{100 * gap.low:+.0f}, {100 * gap.high:+.0f}] from the better of the greedy answer and "
        f"the majority. The best temperature adds {100 * hot.value:+.0f} points to it. Without "
        f"the picture Pass@16 is {100 * blind:.1f}%, and one that knows only how often "
        f"each test report is right has {100 * labels:.1f}%. p reaches from {table.p.min():.2g} to "
        f"{table.p.max():.2g}."
    )

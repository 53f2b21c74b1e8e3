"""How far the decision rule hangs on its thresholds, on K and on how many items are measured.

Nothing is sampled or trained: the rollouts of the base and of the arms are read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score import boundary, effects, recipes
from medrl_core.score.intervals import Estimate
from medrl_core.score.passk import excess_support, guess_floor, pass_at_k
from medrl_core.score.statistics import estimates
from medrl_core.score.thresholds import DELTA_GAP, TAU_SUPPORT

RULE = "boundary rule"


def measured(items: pd.DataFrame, k: int, seed: int = 0) -> pd.DataFrame:
    """What the rule looks at, for each data set: as `score.score` gives it, and nothing else.

    Arguments: `items` from `score.per_item`, all of them sampled and asked greedily; `k`; `seed`
    of the bootstrap. Returns: rows for `boundary.diagnose`.
    """
    rows = []
    for name, part in items.groupby("dataset", sort=True):
        options = part.n_options.to_numpy()
        floor = np.where(options > 0, guess_floor(np.maximum(options, 1), k), 0.0)
        values = {
            ("pass@k", k): pass_at_k(part.n, part.c, k),
            ("guess_floor@k", k): floor,
            ("acc@1", 1): part.greedy.to_numpy(),
        }
        derived = {
            ("excess_support@k", k): (excess_support, ("pass@k", k), ("guess_floor@k", k)),
            ("gap@k", k): (np.subtract, ("pass@k", k), ("acc@1", 1)),
        }
        shown = [("pass@k", k), ("acc@1", 1), *derived]
        found = estimates(part, values, derived, shown, seed)
        rows += [{"scope": "dataset", "name": name} | row for row in found]
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Trial:
    """What a decision is made from and what it is held against.

    Arguments:
        base: `score.per_item` of the base model on validation items.
        validation: arm to its table of `effects.item_values` on validation items; `base` too.
        test: the same on test items.
        exposure: data set to images that the base model was trained on; empty where not known.
        seed: of the bootstrap and of drawn items.
    """

    base: pd.DataFrame
    validation: Mapping[str, pd.DataFrame]
    test: Mapping[str, pd.DataFrame]
    exposure: Mapping[str, int]
    seed: int = 0
    # By the actions taken: many thresholds and draws of items lead to the same ones.
    _regrets: dict[tuple[str, ...], Estimate] = field(default_factory=dict, repr=False)

    def judge(self, decisions: pd.DataFrame) -> dict[str, float]:
        """The rule's regret against the oracle on test items, and how its decisions stand.

        Arguments: `decisions` of `boundary.diagnose`.
        Returns: value, low, high of the regret; right, the share of decided data sets on the right
        side of the true boundary (nan where it is not known or nothing is decided); undecided, the
        share of data sets.
        """
        taken = tuple(decisions.sort_values("name").action)
        if taken not in self._regrets:
            plans = recipes.plans(decisions, self.validation)
            reached = recipes.outcomes({key: plans[key] for key in (RULE, "oracle")}, self.test)
            lost = recipes.minus(reached, "oracle", RULE)
            self._regrets[taken] = effects.mean_over_datasets(lost, seed=self.seed)
        regret = self._regrets[taken]
        return {
            "value": regret.value,
            "low": regret.low,
            "high": regret.high,
            "right": recipes.agreement(decisions, self.exposure),
            "undecided": float((decisions.action == "undecided").mean()),
        }

    def decide(
        self, k: int, tau_support: float, delta_gap: float, images: Iterable[str] | None = None
    ) -> pd.DataFrame:
        """Decisions from the base's validation items, or from those on some images alone."""
        items = self.base if images is None else self.base[self.base.image_id.isin(images)]
        found = measured(items, k, self.seed)
        return boundary.diagnose(found, k, tau_support=tau_support, delta_gap=delta_gap)

    @cached_property
    def sampled(self) -> int:
        """Samples that every item has."""
        return int(self.base.n.min())


def by_threshold(
    trial: Trial, k: int, taus: Sequence[float], deltas: Sequence[float]
) -> pd.DataFrame:
    """Judge the rule at every pair of thresholds.

    Returns: a row a pair: tau_support, delta_gap and what `Trial.judge` gives.
    """
    found = measured(trial.base, k, trial.seed)
    rows = []
    for tau in taus:
        for delta in deltas:
            made = boundary.diagnose(found, k, tau_support=tau, delta_gap=delta)
            rows.append({"tau_support": tau, "delta_gap": delta} | trial.judge(made))
    return pd.DataFrame(rows)


def by_k(
    trial: Trial,
    ks: Sequence[int],
    *,
    tau_support: float = TAU_SUPPORT,
    delta_gap: float = DELTA_GAP,
) -> pd.DataFrame:
    """Judge the rule when support and gap are measured at other K; a K not sampled is left out.

    Returns: a row a K: k and what `Trial.judge` gives.
    """
    return pd.DataFrame(
        {"k": k} | trial.judge(trial.decide(k, tau_support, delta_gap))
        for k in ks
        if k <= trial.sampled
    )


def by_items(
    trial: Trial,
    k: int,
    sizes: Sequence[int],
    repeats: int,
    *,
    tau_support: float = TAU_SUPPORT,
    delta_gap: float = DELTA_GAP,
) -> pd.DataFrame:
    """Judge the rule when fewer validation images of each data set are measured.

    Arguments:
        trial: what to decide from.
        k: of support and gap.
        sizes: images of each data set, drawn without replacement; more than there are is left out.
        repeats: draws a size.
        tau_support, delta_gap: thresholds.

    Returns:
        A row a size and quantity: images, quantity (regret, right, undecided), value (mean over
        the draws), low and high (the middle 95% of them).
    """
    pools = [part.image_id.unique() for _, part in trial.base.groupby("dataset", sort=True)]
    rows = []
    for size in sizes:
        if size > min(map(len, pools)):
            continue
        rng = np.random.default_rng([trial.seed, size])
        judged = []
        for _ in range(repeats):
            images = np.concatenate([rng.choice(pool, size, replace=False) for pool in pools])
            judged.append(trial.judge(trial.decide(k, tau_support, delta_gap, images)))
        table = pd.DataFrame(judged).rename(columns={"value": "regret"})
        for quantity in ("regret", "right", "undecided"):
            values = table[quantity].dropna()
            low, high = values.quantile([0.025, 0.975]) if len(values) else (np.nan, np.nan)
            rows.append((size, quantity, values.mean(), low, high))
    return pd.DataFrame(rows, columns=["images", "quantity", "value", "low", "high"])


def tuned(trial: Trial, k: int, taus: Sequence[float], deltas: Sequence[float]) -> pd.DataFrame:
    """Decide each data set with the thresholds that did best on the others' validation items.

    So no threshold is chosen on the data set that it decides, nor on any test item.

    Arguments: `trial`; `k`; `taus` and `deltas` tried. Best is the highest mean Acc@1 of the arms
    that the rule takes; of equals the pair nearest to the defaults.
    Returns: decisions as of `boundary.diagnose`, with the columns tau_support and delta_gap.
    Raises: UserError with fewer than two data sets.
    """
    names = sorted(trial.base.dataset.unique())
    if len(names) < 2:
        raise UserError("thresholds are chosen on other data sets: measure two at least")
    found = measured(trial.base, k, trial.seed)
    pairs = sorted(
        ((tau, delta) for tau in taus for delta in deltas),
        key=lambda pair: abs(pair[0] - TAU_SUPPORT) + abs(pair[1] - DELTA_GAP),
    )
    made, reached = {}, {}
    for pair in pairs:
        decisions = boundary.diagnose(found, k, tau_support=pair[0], delta_gap=pair[1])
        plan = {RULE: recipes.plans(decisions, trial.validation)[RULE]}
        made[pair] = decisions
        reached[pair] = recipes.outcomes(plan, trial.validation).groupby("dataset")["value"].mean()
    parts = []
    for name in names:
        best = max(pairs, key=lambda pair, name=name: round(reached[pair].drop(name).mean(), 12))
        row = made[best][made[best].name == name]
        parts.append(row.assign(tau_support=best[0], delta_gap=best[1]))
    return pd.concat(parts, ignore_index=True)

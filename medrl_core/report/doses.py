"""RL by dose and support: runs that are looked at on the way, their controls, and the claims.

    doses = Doses(lab, RL(completions=4096), seeds=[100], every=512)
    doses.train("drawn:brain MRI", ["rl", "coin", "format", "wrong"])
    doses.table()           # one row a run, in the columns of `medrl_core.report.grids`
    claims(doses.table())   # the numbers of H3 and N2; None where the situation did not occur

A coin is yoked to the rate at which its own run of RL was right, step by step. What is recorded has
the same columns, so each figure and number takes either. Its test: `pytest
tests/report/test_doses.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from medrl_core.data import groups as kinds
from medrl_core.data.drawn import labels as drawn_labels
from medrl_core.data.drawn.modalities import BOOKS_WORLD, RULES_WORLD
from medrl_core.data.items import Item
from medrl_core.report.experiment import Experiment
from medrl_core.report.grids import (
    COLUMNS,
    MARKS,
    NAMES,
    Grid,
    cube,
    plain_law,
    trainings,
    with_room,
)
from medrl_core.report.palette import CONTROLS
from medrl_core.score import law as laws
from medrl_core.score import rivals
from medrl_core.score.intervals import (
    Estimate,
    interval,
    rate_draws,
    share_difference,
    share_of,
)
from medrl_core.score.measure import Measured
from medrl_core.score.rule import p_for
from medrl_core.train.rewards import reading_of
from medrl_core.train.rl import RL
from medrl_core.train.scale import Scale
from medrl_core.train.watch import Watch

WORLDS = {"drawn": RULES_WORLD, "books": BOOKS_WORLD}
ENOUGH, HOPELESS = 3.0, 0.3  # expected hits, as data/claims.yaml words H3
WEAK = 0.01  # p under which N2 asks how far a control moves it
BUDGETS = tuple(512 * 2**i for i in range(6))
BINS = (0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
PLAIN = ("n1", "n1_base_rate", "n1_error", "n1_twin", "n2_p")  # numbers that are no points


class Doses:
    """Runs of RL on several groups.

    Arguments:
        lab: the experiment.
        rl: settings of every run.
        seeds: of training.
        every: completions between looks at the test items.
        lora, scale: as `arms.make`.
    """

    def __init__(
        self, lab: Experiment, rl: RL, *, seeds: Sequence[int], every: int, lora: bool = False,
        scale: Scale | None = None,
    ):  # fmt: skip
        self.lab, self.rl, self.seeds, self.every = lab, rl, seeds, every
        self.layout = {"lora": lora, "scale": scale}
        self.rows: list[dict] = []
        self.looks: list[pd.DataFrame] = []
        self.rates: dict[tuple[str, int], list[float]] = {}
        self.before: dict[str, Measured] = {}

    def train(self, group: str, arms: Sequence[str] = ("rl",)) -> None:
        """Train arms on a group from each seed, the true reward first."""
        for seed in self.seeds:
            for arm in sorted(arms, key=lambda name: name != "rl"):
                self._run(arm, group, seed)

    def _run(self, arm: str, group: str, seed: int) -> None:
        lab, settings = self.lab, self.rl
        if arm == "care":
            settings = replace(settings, objective="care")
        if arm == "rate0":
            settings = replace(settings, learning_rate=0.0)
        train = lab.items(group, "train", max(1, settings.completions // settings.group))
        if arm == "wrong":
            train = wrong(train, group, seed)
        watch = Watch(
            lab.model()[1], lab.items(group), settings, self.every, k=lab.k,
            seed=lab.sampling_seed,
        )  # fmt: skip
        before = self.before[group] = lab.base(group)
        made, found = lab.arm(
            arm, group, seed, rl=settings, train=train, callbacks=[watch],
            coin_rates=self.rates.get((group, seed), ()), **self.layout,
        )  # fmt: skip
        record = made.of_rl()
        if arm == "rl":
            self.rates[group, seed] = record["accuracy"].tolist()
        label = kinds.label(group)
        looks = watch.frame()
        if looks.empty:  # several processes trained: nobody looked on the way
            ends = [{"n": 0, **before.numbers()}, {"n": made.completions, **found[group].numbers()}]
            looks = pd.DataFrame(ends)
        looks = looks.assign(group=label, arm=arm, seed=seed)
        self.looks.append(looks)
        first = record["first_right"].dropna()
        row = run_row(before, found[group], looks, settings)
        self.rows.append(
            {
                "world": kinds.kind(group), "base": 0, "group": label, "arm": arm, "seed": seed,
                "first": float(first.iloc[0]) if len(first) else np.nan,
                "run": len(self.rows), "grid": "live", "n_items": len(before.items), **row,
            }
        )  # fmt: skip

    def table(self) -> pd.DataFrame:
        """Return one row a run, in the columns of `grids.COLUMNS`."""
        return pd.DataFrame(self.rows).reindex(columns=list(COLUMNS))

    def curves(self) -> pd.DataFrame:
        """Return one row a look: group, arm, seed, n, acc, p, ..."""
        return pd.concat(self.looks, ignore_index=True)

    def rivals(self) -> pd.DataFrame:
        """Return what each base reaches untrained: group, gain over Acc@1, by a vote or p^4."""
        rows = []
        for group, base in self.before.items():
            best = max(rivals.vote(base, self.lab.k).mean(), rivals.sharpened(base).mean())
            rows.append({"group": kinds.label(group), "p": float(base.p.mean()),
                         "gain": float(best) - base.acc})  # fmt: skip
        return pd.DataFrame(rows)


def wrong(items: Sequence[Item], group: str, seed: int) -> list[Item]:
    """Give all items the answer of the habit; of groups without one, another item's answer."""
    if kinds.kind(group) in WORLDS:
        return drawn_labels.mixed(items, WORLDS[kinds.kind(group)], 1.0, seed)
    return drawn_labels.shuffled(items, seed)


def run_row(before: Measured, after: Measured, looks: pd.DataFrame, settings: RL) -> dict:
    """Give what a run changed, in the columns of `grids.COLUMNS` that it knows."""
    numbers = after.numbers()
    p, acc0 = float(before.p.mean()), before.acc
    thought = thinks(after)
    return {
        "objective": settings.objective, "kl": settings.beta, "labels": 0,
        "n": settings.completions, "base_p": p, "hits": p * settings.completions, "acc0": acc0,
        "acc": after.acc, "gain": after.acc - acc0, "p": float(after.p.mean()),
        "pass0": float(before.pass_items(256).mean()), "pass": float(after.pass_items(256).mean()),
        "words": numbers.get("words", np.nan), "commonest": numbers["commonest"],
        "information": numbers.get("information", np.nan),
        "thought": thought["thought"], "right_thought": thought["right_thought"],
        "bonus": settings.care.bonus if settings.objective == "care" else 0.0,
        "per_group": settings.group, "learning_rate": settings.learning_rate,
        **{
            name: bool(np.isfinite(laws.take_off(looks["n"], looks["acc"], mark)[1]))
            for name, mark in MARKS.items()
        },
    }  # fmt: skip


def thinks(found: Measured) -> dict[str, float]:
    """Give the share of right reasonings among all rollouts, and among those answered rightly."""
    right = {item.item_id: item.reading for item in found.items}
    rows = found.rollouts
    thought = np.array(
        [reading_of(text) == right[one] for one, text in zip(rows.item_id, rows.text, strict=True)]
    )
    answered = rows.correct.to_numpy(bool)
    share = float(thought[answered].mean()) if answered.any() else np.nan
    return {"thought": float(thought.mean()), "right_thought": share}


def claims(runs: pd.DataFrame, *, seed: int = 0) -> dict[str, Estimate | None]:
    """Give the numbers of H3 and N2; None where no runs are in that situation.

    Arguments: `runs` in the columns of `grids.COLUMNS`, of one length; `seed` of the bootstrap.
    """
    enough, few = runs[runs["hits"] >= ENOUGH], runs[runs["hits"] <= HOPELESS]
    true, hopeless = (one[one["arm"] == "rl"] for one in (enough, few))
    coin = enough[enough["arm"] == "coin"]
    # A coin yoked to a run without a right answer never pays: that run is its own coin.
    never = pd.concat([few[few["arm"] == "coin"], hopeless[hopeless["first"].isna()]])
    controls = runs[runs["arm"].isin(CONTROLS) & (runs["base_p"] < WEAK)]
    return {
        "h3": took_off_more(true, hopeless, seed),
        "h3_coin": took_off_more(coin, never, seed),
        "h3_passk": change(hopeless, "pass", "pass0", seed),
        "h3_passk_above": change(true, "pass", "pass0", seed),
        "n2": true_reward(enough, seed),
        "n2_rate0": change(enough[enough["arm"] == "rate0"], "acc", "acc0", seed),
        "n2_p": moved(controls, seed),
    }


def shares(runs: pd.DataFrame, law: laws.Law | None, n: int) -> dict[str, Estimate]:
    """Give the share of RL runs that took off with enough expected hits, and with hardly any.

    Arguments: `runs` in the columns of `grids.COLUMNS`; `law` and `n` completions for "p_half", the
        p at which the law's chance of take-off is one half. Runs that had no room to take off do
        not count; in claim H3, as it was worded, they do.
    Returns: "took_off_enough" and "took_off_hopeless" with Wilson's interval over runs, and
        "p_half"; nan where nothing speaks to them.
    """
    true = with_room(runs[runs["arm"] == "rl"])
    sides = {"enough": true[true["hits"] >= ENOUGH], "hopeless": true[true["hits"] <= HOPELESS]}
    found = {
        f"took_off_{name}": share_of(int(part["took_off"].sum()), len(part))
        for name, part in sides.items()
    }
    half = p_for(law, n) if law is not None else float("nan")
    return found | {"p_half": Estimate(half, float("nan"), float("nan"), len(true))}


def items_of(runs: pd.DataFrame) -> int:
    """Give the number of test items behind the rates of runs."""
    return int(runs["n_items"].min())


def took_off_more(above: pd.DataFrame, below: pd.DataFrame, seed: int) -> Estimate | None:
    """Estimate the share of runs that took off above minus below.

    By a bootstrap over training seeds; where all or none of a side took off, which has no spread,
    by Newcombe's interval over runs.
    """
    if above.empty or below.empty:
        return None
    counts = [(int(one["took_off"].sum()), len(one)) for one in (above, below)]
    if any(count in (0, of) for count, of in counts):
        return share_difference(counts[0], counts[1])
    ends = []
    for one in (above, below):
        _, table = cube(one.assign(value=one["took_off"].astype(float)), "value", ["base", "group"])
        ends.append(rate_draws(table, seed=seed).mean(1))
    value = above["took_off"].mean() - below["took_off"].mean()
    return Estimate(float(value), *interval(ends[0] - ends[1]), len(above) + len(below))


def change(runs: pd.DataFrame, after: str, before: str, seed: int) -> Estimate | None:
    """Mean change of a rate: training seeds and items drawn, cells counted alike."""
    # Of few samples there is no Pass@256.
    runs = runs.dropna(subset=[after, before])
    if runs.empty:
        return None
    cells, table = cube(runs, after, ["base", "group"])
    first = runs.groupby(["base", "group"])[before].mean().reindex(cells).to_numpy()
    value = np.nanmean(table, 1) - first
    drawn = rate_draws(table, items_of(runs), seed=seed) - first
    return Estimate(float(value.mean()), *interval(np.nanmean(drawn, 1)), len(runs))


def true_reward(runs: pd.DataFrame, seed: int) -> Estimate | None:
    """Estimate the gain by the true reward minus the largest mean gain among the controls."""
    arms = [arm for arm in ("rl", "coin", "format", "wrong") if (runs["arm"] == arm).any()]
    if "rl" not in arms or len(arms) < 2:
        return None
    shared = set.intersection(
        *(set(runs[runs["arm"] == arm].set_index(["base", "group"]).index) for arm in arms)
    )
    here = runs[[cell in shared for cell in zip(runs["base"], runs["group"], strict=True)]]
    if here.empty:
        return None
    seeds = sorted(set.intersection(*(set(part["seed"]) for _, part in here.groupby("arm"))))
    if not seeds:
        return None
    means, drawn = {}, {}
    for arm in arms:
        own = here[here["arm"] == arm]
        cells, table = cube(own, "acc", ["base", "group"], seeds)
        first = own.groupby(["base", "group"])["acc0"].mean().reindex(cells).to_numpy()
        means[arm] = float(np.nanmean(table, 1).mean() - first.mean())
        drawn[arm] = np.nanmean(rate_draws(table, items_of(own), seed=seed) - first, 1)
    largest = max(arms[1:], key=lambda arm: means[arm])
    rest = np.max([drawn[arm] for arm in arms[1:]], axis=0)
    return Estimate(means["rl"] - means[largest], *interval(drawn["rl"] - rest), len(here))


def moved(runs: pd.DataFrame, seed: int) -> Estimate | None:
    """The largest mean factor by which a control changed p, as log10, with its sign."""
    # From a p that no sample showed there is no factor.
    runs = runs[runs["base_p"] > 0]
    if runs.empty:
        return None
    logs = runs.assign(log=np.log10(runs["p"].clip(1e-12) / runs["base_p"]))
    arms = [arm for arm in CONTROLS if (logs["arm"] == arm).any()]
    cells, table = cube(logs, "log", ["arm", "base", "group"])
    by_arm = [np.array([cell[0] == arm for cell in cells]) for arm in arms]
    means = np.nanmean(table, 1)
    drawn = rate_draws(table, seed=seed)
    value = max((means[one].mean() for one in by_arm), key=abs)
    spread = np.array([np.nanmean(drawn[:, one], 1) for one in by_arm])
    largest = np.take_along_axis(spread, np.abs(spread).argmax(0)[None], 0)[0]
    return Estimate(float(value), *interval(largest), len(runs))


def _held_out(table: pd.DataFrame) -> tuple[laws.Law, pd.DataFrame, pd.DataFrame] | None:
    """The law of the seeds that it is fitted to; these runs, and those that judge it."""
    if table.empty:
        return None
    fitted, judged = table[table["seed"] < laws.HELD_OUT], table[table["seed"] >= laws.HELD_OUT]
    if judged.empty or np.isfinite(fitted["high"]).sum() < 2:
        return None
    return laws.fit(fitted, mark=float(table["mark"].iloc[0]), draws=0), fitted, judged


def brier(table: pd.DataFrame, *, seed: int = 0) -> dict[str, Estimate] | None:
    """Judge the law on seeds that it was not fitted to.

    Arguments: `table` as `plain_law` gives it; `seed` of the bootstrap over training seeds.
    Returns: "hits" and "rate", the Brier scores of the rule N p >= 3 and of the mean rate of the
        fitted runs, each minus the law's; and "error", the law's mean absolute calibration error.
        None without held-out runs.
    """
    parts = _held_out(table)
    if parts is None:
        return None
    law, fitted, judged = parts
    rows = []
    for n in BUDGETS:
        seen, before = (
            one[(one["low"] >= n) | np.isfinite(one["high"])] for one in (judged, fitted)
        )
        if seen.empty or before.empty:
            continue
        observed = (seen["high"] <= n).astype(float)
        lost = (law.chance(seen["p"], n) - observed) ** 2
        rate = float((before["high"] <= n).mean())
        rows.append(
            seen[["base", "modality", "seed"]].assign(
                n=n, hits=((seen["p"] * n >= ENOUGH) - observed) ** 2 - lost,
                rate=(rate - observed) ** 2 - lost,
            )
        )  # fmt: skip
    found, result = pd.concat(rows), {}
    for name in ("hits", "rate"):
        _, cells = cube(found, name, ["base", "modality", "n"])
        drawn = np.nanmean(rate_draws(cells, seed=seed), 1)
        result[name] = Estimate(float(found[name].mean()), *interval(drawn), len(judged))
    off = laws.calibration(law, judged, BUDGETS, BINS)
    error = float(np.average((off["predicted"] - off["observed"]).abs(), weights=off["rows"]))
    return result | {"error": Estimate(error, float("nan"), float("nan"), len(judged))}


def law_numbers(drawn: Grid, twin: Grid, *, seed: int = 0) -> dict[str, Estimate | None]:
    """Give the numbers of N1 from recorded runs; None where none are held out."""
    here, there = (brier(plain_law(grid), seed=seed) or {} for grid in (drawn, twin))
    return {
        "n1": here.get("hits"), "n1_base_rate": here.get("rate"), "n1_error": here.get("error"),
        "n1_twin": there.get("hits"),
    }  # fmt: skip


def calibration(*grids: Grid) -> pd.DataFrame:
    """Hold the law of each world against runs of seeds that it was not fitted to.

    Returns: as `law.calibration`, with the column world; empty without held-out runs.
    """
    rows = []
    for grid in grids:
        parts = _held_out(plain_law(grid))
        if parts is not None:
            law, _, judged = parts
            off = laws.calibration(law, judged, BUDGETS, BINS)
            rows.append(off.assign(world=NAMES[grid.world]))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def together(**sources: pd.DataFrame) -> pd.DataFrame:
    """Put runs of several sources into one table with the column source."""
    there = [table.assign(source=name) for name, table in sources.items() if len(table)]
    if not there:
        return pd.DataFrame(columns=[*COLUMNS, "source"])
    return pd.concat(there, ignore_index=True)


def controlled(runs: pd.DataFrame) -> pd.DataFrame:
    """Give the runs of groups on which a control ran, those with pictures."""
    with_pictures = runs[runs["source"] != "twin"]
    names = set(with_pictures[with_pictures["arm"].isin(CONTROLS)]["group"])
    return with_pictures[with_pictures["group"].isin(names)]


def bonuses(grid: Grid, live: pd.DataFrame) -> pd.DataFrame:
    """Give runs with the consistency bonus beside plain RL on the same groups."""
    past = trainings(grid, ["care", "rl"], ["care", "law"])
    table = together(recorded=past, live=live[live["arm"].isin(["rl", "care"])])
    names = set(table[table["arm"] == "care"]["group"])
    return table[table["group"].isin(names)].dropna(subset=["right_thought"])


def finding(runs: pd.DataFrame, law: laws.Law | None, n: int, grid: Grid) -> str:
    """Say what was found as Markdown: what the law asks for, and what its runs did."""
    lines = []
    if law is not None:
        source = law.about.get("source", "recorded")
        least = p_for(law, n)
        half = f"p is {least:.2g}: {least * n:.2g} expected hits"
        if np.isnan(least):
            half = "no p is large enough, since growth takes longer"
        lines.append(
            f"- RL of {n:,} completions takes off with a chance of one half where {half}. The law "
            f"is fitted to {law.about.get('trainings', 0)} {source} runs."
        )
    for name, part in runs[runs["arm"] == "rl"].groupby("source"):
        met = part["first"].notna()
        lines.append(
            f"- {name}: {int(met.sum())} of {len(part)} runs met a right answer, "
            f"{int(part['took_off'].sum())} took off, {int(part['learnt'].sum())} learnt the rule."
        )
    return "\n".join([*lines, f"- {grid.said()}."])

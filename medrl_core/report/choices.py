"""Who wins by support, labels and price; what the rule chooses, and what that costs.

    study = Arms(lab, rl, SFT(), seeds=[100], labels=[16])
    study.train("drawn:cardiac echo")
    table = study.table()               # one row a training, in `grids.COLUMNS`
    found = outcomes(table, [16])       # what each action led to, where all were trained
    decide(found, facts(table), law, 4096, prices=[0, 1, 10])

Recorded rows have the same form. Its test: `pytest tests/report/test_choices.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from medrl_core.data import groups as kinds
from medrl_core.data.drawn.modalities import RULES_WORLD
from medrl_core.report.bookfigure import FONT, WIDTH, BookFigure, style
from medrl_core.report.doses import items_of
from medrl_core.report.experiment import Experiment
from medrl_core.report.figures import GREY, points
from medrl_core.report.grids import COLUMNS, Grid, cube, trainings
from medrl_core.report.growth import axes, legend, percent
from medrl_core.report.palette import ARM_COLOUR, NAME_COLOUR
from medrl_core.score import boundary, rule
from medrl_core.score.intervals import Estimate, interval, rate_draws
from medrl_core.score.law import Law
from medrl_core.score.measure import Measured, measure
from medrl_core.train.arms import ARMS, SFT
from medrl_core.train.rewards import reading_of
from medrl_core.train.rl import RL

SHORT = {"stop": "base", "sharpen": "RL", "bridge": "SFT", "both": "both"}
H5_LABELS, READ_BY_RL, WEAK = 16, 512, 0.003  # as data/claims.yaml words H5
REPAIRED = ("habit", "words", "loose")  # causes that H5 is about; sight is not one
VALIDATION = 64
DRAWS = 1000


@dataclass(frozen=True)
class Facts:
    """What is known of a group before training.

    Arguments: `p` (B,) chances of its items; `samples` behind each, None where exact; `acc` Acc@1;
        `ceiling` share of items whose greedy reasoning is right, None where there is none;
        `pass_16` Pass@16.
    """

    p: np.ndarray
    samples: int | None
    acc: float
    ceiling: float | None
    pass_16: float


class Arms:
    """The arms of the map on several groups, measured on validation and test items.

    Arguments: `lab`; `rl`, `sft` settings; `seeds` of training; `labels` amounts.
    """

    def __init__(
        self, lab: Experiment, rl: RL, sft: SFT, *, seeds: Sequence[int], labels: Sequence[int]
    ):
        self.lab, self.rl, self.sft, self.seeds, self.labels = lab, rl, sft, seeds, labels
        self.rows: list[dict] = []
        self.facts: dict[str, Facts] = {}

    def train(self, group: str) -> None:
        """Train RL, SFT at each number of labels, and SFT, then RL, on a group."""
        lab = self.lab
        net, processor = lab.model()
        before = self._validate(net, processor, group)
        self.facts[kinds.label(group)] = facts_of(before)
        self._keep("base", group, self.seeds[0], 0, lab.base(group), before)
        for seed in self.seeds:
            self._arm("rl", group, seed, rl=self.rl)
            for n in self.labels:
                labelled = kinds.load(group, "train", n=n, seed=seed, **lab.where)
                self._arm("sft", group, seed, sft=self.sft, labelled=labelled)
                self._arm("sft_rl", group, seed, sft=self.sft, rl=self.rl, labelled=labelled)

    def _arm(self, arm: str, group: str, seed: int, **settings) -> None:
        made, found = self.lab.arm(arm, group, seed, **settings)
        validated = self._validate(made.net, made.processor, group)
        self._keep(arm, group, seed, made.labels, found[group], validated)

    def _validate(self, net, processor, group: str) -> Measured:
        lab = self.lab
        return measure(
            net, processor, lab.items(group, "val", VALIDATION), seed=lab.sampling_seed, k=lab.k,
            decoding=lab.decoding,
        )  # fmt: skip

    def _keep(
        self, arm: str, group: str, seed: int, labels: int, found: Measured, val: Measured
    ) -> None:
        base = self.lab.base(group)
        self.rows.append(
            {
                "world": kinds.kind(group), "base": 0, "group": kinds.label(group), "arm": arm,
                "seed": seed, "labels": labels, "n": self.rl.completions,
                "base_p": float(base.p.mean()), "acc0": base.acc, "acc": found.acc,
                "acc_validation": val.acc, "gain": found.acc - base.acc,
                "p": float(found.p.mean()), "n_items": len(base.items), "grid": "live",
            }
        )  # fmt: skip

    def table(self) -> pd.DataFrame:
        """Return one row a training, and one of the base a group."""
        return pd.DataFrame(self.rows).reindex(columns=list(COLUMNS))


def facts_of(found: Measured) -> Facts:
    """Take what the rule needs from a measured base."""
    ceiling = None
    if found.exact:
        said = found.greedy().set_index("item_id").text
        ceiling = float(np.mean([reading_of(said[i.item_id]) == i.reading for i in found.items]))
    k = 16 if found.exact else min(16, found.n)
    samples = None if found.exact else found.n
    return Facts(found.p, samples, found.acc, ceiling, float(found.pass_items(k).mean()))


def recorded(grid: Grid) -> pd.DataFrame:
    """Give recorded arms of the map in `grids.COLUMNS`, with RL of 4,096 completions."""
    found = trainings(grid, ["base", "rl", "sft", "sft_rl"], ["base", "controls", "law", "map"])
    usual = (found["arm"].isin(["base", "sft"])) | (found["n"] <= 4096)
    return found[usual & np.isclose(found["kl"].astype(float), 0.01)]


def recorded_facts(grid: Grid) -> dict[tuple, Facts]:
    """Give what is known of each base's modalities before training, from its recorded rows."""
    runs = grid.runs
    if runs.empty:
        return {}
    looks = grid.looks
    first = looks[(looks["n"] == 0) & (looks["labels"] == 0)]
    read = first.groupby(["base", "modality"])["thought"].mean().to_dict()
    found = {}
    untrained = runs[runs["arm"] == "base"].drop_duplicates(["base", "modality"])
    for one in cast(Any, untrained.sort_values("base", kind="stable").itertuples()):
        p = np.asarray(one.base_test_p, float)
        ceiling = read.get((one.base, one.modality), float(one.thought))
        passed = float(np.mean(1 - (1 - p) ** 16))
        found[one.base, one.modality] = Facts(p, None, float(one.acc), ceiling, passed)
    return found


def cells_of(table: pd.DataFrame, labels: Sequence[int]) -> list[tuple]:
    """Give the cells (base, group) in which every action was trained at each number of labels.

    By base, then in the order of the table: so facts of a group meet its own cells.
    """
    there = table.sort_values("base", kind="stable").groupby(["base", "group"], sort=False)
    wanted = {("base", 0), ("rl", 0)} | {(arm, n) for arm in ("sft", "sft_rl") for n in labels}
    return [
        cell for cell, part in there
        if wanted <= set(zip(part["arm"], part["labels"].astype(int), strict=True))
    ]  # fmt: skip


def outcomes(table: pd.DataFrame, labels: Sequence[int]) -> rule.Outcomes | None:
    """Put trainings into what each action led to; None where no group has them all.

    Returns: situations are (cell, labels), cell by cell in the order of `cells_of`.
    """
    cells = cells_of(table, labels)
    if not cells:
        return None
    seeds = sorted(table[table["arm"] == "rl"]["seed"].unique())
    shape = (len(cells) * len(labels), len(rule.ACTIONS), len(seeds))
    acc, validation = np.full(shape, np.nan), np.full(shape, np.nan)
    for row, (cell, n) in enumerate((cell, n) for cell in cells for n in labels):
        here = table[(table["base"] == cell[0]) & (table["group"] == cell[1])]
        for column, action in enumerate(rule.ACTIONS):
            arm = rule.ARM_OF[action]
            part = here[(here["arm"] == arm) & (here["labels"] == (n if "sft" in arm else 0))]
            if arm == "base":  # greedy answers of the untouched base do not vary with the seed
                acc[row, column] = part["acc"].iloc[0]
                validation[row, column] = part["acc_validation"].iloc[0]
                continue
            by_seed = part.groupby("seed")[["acc", "acc_validation"]].mean().reindex(seeds)
            acc[row, column], validation[row, column] = by_seed.to_numpy().T
    names = tuple(cell[1] for cell in cells for _ in labels)
    kept = np.isfinite(acc).all((0, 1))
    if not kept.any():
        return None
    every = tuple(labels) * len(cells)
    return rule.Outcomes(names, every, acc[..., kept], validation[..., kept], items_of(table))


def decide(
    found: rule.Outcomes, facts: Sequence[Facts], law: Law | None, n: int,
    prices: Sequence[float],
) -> dict[float, dict[str, list[str]]]:  # fmt: skip
    """Choose an action for each situation and price, by our rule (with a law) and by the paper's.

    Arguments: `facts` of each situation; `n` completions of RL.
    """
    chosen: dict[float, dict[str, list[str]]] = {}
    paper = {"bridge": "both", "sharpen": "sharpen", "stop": "stop"}
    for price in prices:
        said = [boundary.paper_rule(one.pass_16, one.acc).action for one in facts]
        chosen[price] = {rule.PAPER: [paper[one] for one in said]}
        if law is not None:
            chosen[price][rule.RULE] = [
                choice(one, law, n, labels, price).action
                for one, labels in zip(facts, found.labels, strict=True)
            ]
    return chosen


def choice(facts: Facts, law: Law, n: int, labels: int, price: float | None) -> rule.Choice:
    """Ask the rule about one group."""
    return rule.choose(
        facts.p, law, n, samples=facts.samples, acc=facts.acc, ceiling=facts.ceiling,
        labels=labels, label_price=price,
    )  # fmt: skip


def choices(
    facts: Mapping, law: Law | None, n: int, labels: int, prices: Sequence[float]
) -> pd.DataFrame:
    """Give what the rule says of each group: group, p, hits, chance, actions by price, why."""
    rows = []
    for name, one in facts.items():
        if law is None:
            continue
        said = [choice(one, law, n, labels, price) for price in prices]
        rows.append(
            {
                "group": name if isinstance(name, str) else f"{name[1]} (base {name[0]})",
                "p": said[0].p.value, "expected hits": said[0].expected_hits.value,
                "chance": said[0].chance.value, "low": said[0].chance.low,
                "high": said[0].chance.high,
                "actions": ", ".join(
                    f"{price:g}: {one.action}" for price, one in zip(prices, said, strict=True)
                ),
                "why": said[-1].why,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _mean(found: rule.Outcomes) -> pd.DataFrame:
    """Mean Acc@1 by group, labels and action; groups of several bases together."""
    rows = [
        {"group": name, "labels": n, **dict(zip(rule.ACTIONS, acc, strict=True))}
        for name, n, acc in zip(found.groups, found.labels, found.acc.mean(-1), strict=True)
    ]
    return pd.DataFrame(rows).groupby(["group", "labels"], sort=False).mean().reset_index()


def winners(
    found: rule.Outcomes, prices: Sequence[float], order: Sequence[str]
) -> pd.DataFrame:
    """Give who wins: group, labels, price, winner (an action), net, margin over the next best.

    Arguments: `order` of the groups.
    """
    rows = []
    for one in cast(Any, _mean(found).itertuples()):
        acc = np.array([[getattr(one, action) for action in rule.ACTIONS]])
        for price in prices:
            paid = rule.net(acc, [one.labels], price)[0]
            best = int(paid.argmax())
            rows.append(
                {
                    "group": one.group, "labels": one.labels, "price": price,
                    "winner": rule.ACTIONS[best], "net": float(paid[best]),
                    "margin": float(paid[best] - np.sort(paid)[-2]),
                }
            )  # fmt: skip
    table = pd.DataFrame(rows)
    place = {name: number for number, name in enumerate(order)}
    return table.sort_values("group", key=lambda one: one.map(place), kind="stable")


def map_figure(table: pd.DataFrame, p: Mapping[str, float]) -> BookFigure:
    """Draw who wins, groups down by p, prices across, a panel a number of labels.

    Arguments: `table` of `winners`; `p` of the base by group.
    """
    names, prices = list(dict.fromkeys(table["group"])), sorted(table["price"].unique())
    labels = sorted(table["labels"].unique())
    with mpl.rc_context(style()):
        height = 1.9 + 0.34 * len(names)
        fig = BookFigure(figsize=(WIDTH, height * -(-len(labels) // 2)), layout="constrained")
        columns = min(2, len(labels))
        grid = fig.subplots(-(-len(labels) // columns), columns, squeeze=False, sharey=True)
        for spare in grid.flat[len(labels) :]:
            spare.remove()
        for ax, n in zip(grid.flat, labels, strict=False):
            for row in table[table["labels"] == n].itertuples():
                x, y = prices.index(row.price), names.index(row.group)
                colour, pale = ARM_COLOUR[rule.ARM_OF[row.winner]], min(1, 2 * row.margin)
                ax.add_patch(Rectangle(
                    (x - 0.5, y - 0.5), 1, 1, color=colour, alpha=0.25 + 0.6 * pale, linewidth=0
                ))  # fmt: skip
                ax.text(x, y, f"{100 * row.net:.0f}", ha="center", va="center", fontsize=8.5)
            ax.set_xlim(-0.5, len(prices) - 0.5)
            ax.set_ylim(len(names) - 0.5, -0.5)
            ax.set_xticks(range(len(prices)), [f"{price:g}" for price in prices])
            ax.set_yticks(range(len(names)), [f"{name}\n(p {p[name]:.1g})" for name in names])
            ax.tick_params(labelsize=8.5)
            ax.grid(visible=False)
            ax.set_title(f"{n} labels", loc="left", fontsize=FONT - 1)
        for action in rule.ACTIONS:
            arm = rule.ARM_OF[action]
            grid.flat[0].plot([], [], "s", color=ARM_COLOUR[arm], label=f"{ARMS[arm]} wins")
        fig.supxlabel("price of a label in completions", fontsize=FONT)
        legend(fig)
    return fig


def map_title(table: pd.DataFrame) -> str:
    """Say how often each action wins."""
    counts = table["winner"].value_counts()
    said = [
        f"{ARMS[rule.ARM_OF[one]]} {100 * counts[one] / len(table):.0f}%"
        for one in rule.ACTIONS if one in counts
    ]  # fmt: skip
    return f"Who wins, over support, labels and prices: {', '.join(said)}"


def bars(table: pd.DataFrame, labels: int) -> pd.DataFrame:
    """Give Acc@1 of each arm by group, with its interval: group, arm, value, low, high, base_p."""
    rows = []
    shown = table[table["labels"].isin([0, labels])]
    for (name, arm), part in cast(Any, shown.groupby(["group", "arm"], sort=False)):
        _, own = cube(part, "acc", ["base"])
        drawn = np.nanmean(rate_draws(own, items_of(part), draws=500), 1)
        low, high = interval(drawn)
        rows.append((name, ARMS[arm], np.nanmean(own), low, high, part["base_p"].mean()))
    names = ["group", "arm", "value", "low", "high", "base_p"]
    found = pd.DataFrame(rows, columns=names)
    order = {ARMS[arm]: place for place, arm in enumerate(ARMS)}
    found["place"] = found["arm"].map(order)
    return found.sort_values(["base_p", "place"], ascending=[False, True]).drop(columns="place")


def regret_figure(found: rule.Regrets) -> BookFigure:
    """Draw the regret of each recipe against the oracle, our rule first."""
    names = sorted(
        (name for name in found.each if name != rule.ORACLE), key=lambda one: found.each[one].value
    )
    with mpl.rc_context(style()):
        fig, (ax,) = axes(1.4 + 0.38 * len(names))
        for y, name in enumerate(names):
            one = found.each[name]
            colour = "k" if name == rule.RULE else GREY
            ax.hlines(y, one.low, one.high, color=colour, linewidth=1.8)
            ax.plot(one.value, y, "o", color=colour)
        ax.axvline(0, color=GREY, linewidth=1, linestyle="--", label="oracle")
        ax.set_yticks(range(len(names)), names)
        ax.set_ylim(len(names) - 0.5, -0.5)
        percent(ax, y=False)
        ax.set_xlabel("regret in Acc@1 net of the price of labels (points)")
        legend(fig)
    return fig


def regret_title(found: rule.Regrets) -> str:
    """Say the rule's regret beside that of the best fixed recipe."""
    fixed = f"{found.fixed} {100 * found.each[found.fixed].value:.1f}"
    if rule.RULE not in found.each:
        return f"No law was fitted, so the rule is silent; regret of {fixed} points"
    return f"Regret of the rule: {100 * found.each[rule.RULE].value:.1f} points, of {fixed}"


def regret_numbers(found: rule.Regrets | None) -> dict[str, Estimate | None]:
    """Give the numbers of H7; None without outcomes, or without a law."""
    against = {} if found is None else found.against
    return {
        "h7": against.get(found.fixed) if found is not None else None,
        "h7_random": against.get(rule.RANDOM), "h7_paper": against.get(rule.PAPER),
    }  # fmt: skip


def claims(table: pd.DataFrame, *, seed: int = 0) -> dict[str, Estimate | None]:
    """Give the numbers of H5; None where no group of that kind was trained with these labels.

    Arguments: `table` in `grids.COLUMNS`; `seed` of the bootstrap over training seeds, then items.
    """
    known = {one.name for one in RULES_WORLD.modalities if one.cause in REPAIRED}
    here = table[table["group"].isin(known)]
    weak = here[here["base_p"] < WEAK]
    return {
        "h5": _both_more(here, None, seed), "h5_labels": _both_more(here, READ_BY_RL, seed),
        "h5_weak": _both_more(weak, None, seed),
    }  # fmt: skip


def _both_more(table: pd.DataFrame, labels: int | None, seed: int) -> Estimate | None:
    """SFT on 16 labels, then RL, minus the better single arm, or minus SFT on more labels."""
    single = [("sft", H5_LABELS), ("rl", 0)] if labels is None else [("sft", labels)]
    wanted = {("sft_rl", H5_LABELS), *single}
    cells = [
        cell for cell, part in table.groupby(["base", "group"], sort=False)
        if wanted <= set(zip(part["arm"], part["labels"].astype(int), strict=True))
    ]  # fmt: skip
    if not cells:
        return None
    pairs, seeds = [], sorted(table[table["arm"] == "sft_rl"]["seed"].unique())
    for base, name in cells:
        here = table[(table["base"] == base) & (table["group"] == name)]
        parts = {
            key: here[(here["arm"] == key[0]) & (here["labels"] == key[1])] for key in wanted
        }
        best = max(single, key=lambda key: parts[key]["acc_validation"].mean())
        pairs.append([
            parts[key].groupby("seed")["acc"].mean().reindex(seeds).to_numpy(float)
            for key in (("sft_rl", H5_LABELS), best)
        ])  # fmt: skip
    rates = np.array(pairs)
    value = np.nanmean(rates, -1)
    drawn = rate_draws(rates, items_of(table), draws=DRAWS, seed=seed)
    gone = np.nanmean(drawn[..., 0] - drawn[..., 1], 1)
    return Estimate(float((value[:, 0] - value[:, 1]).mean()), *interval(gone), len(cells))


def finding(table: pd.DataFrame, found: rule.Regrets | None, source: str) -> str:
    """Say what was found as Markdown."""
    lines = [f"- {map_title(table)}."] if len(table) else []
    if found is not None:
        lines.append(f"- {regret_title(found)}.")
    return "\n".join([*lines, f"- {source}."])


def label_amounts(table: pd.DataFrame) -> list[int]:
    """Give the numbers of labels at which both arms with SFT were trained."""
    amounts = [set(table[table["arm"] == arm]["labels"].astype(int)) for arm in ("sft", "sft_rl")]
    return sorted(set.intersection(*amounts))


def in_order(found: rule.Outcomes | None, facts: Mapping) -> list[Facts]:
    """Give the facts of each situation, in the order of the outcomes."""
    if found is None:
        return []
    by_name: dict[str, list[Facts]] = {}
    for name, one in facts.items():
        by_name.setdefault(name if isinstance(name, str) else name[1], []).append(one)
    cells = len(found.groups) // len(set(found.labels))
    amounts = len(found.groups) // cells
    rows, seen = [], dict.fromkeys(by_name, 0)
    for name in found.groups[::amounts]:
        rows += [by_name[name][seen[name] % len(by_name[name])]] * amounts
        seen[name] += 1
    return rows


def regret_table(found: rule.Regrets) -> pd.DataFrame:
    """Give the regret of each recipe: recipe, value, low, high."""
    rows = [(name, one.value, one.low, one.high) for name, one in found.each.items()]
    return pd.DataFrame(rows, columns=["recipe", "value", "low", "high"])


def bars_figure(levels: pd.DataFrame) -> BookFigure:
    """Draw Acc@1 of each arm on each group."""
    return points(levels, group="group", by="arm", xlabel="Acc@1 (%)", palette=NAME_COLOUR)


def bars_title(levels: pd.DataFrame, labels: int) -> str:
    """Say the mean Acc@1 of each arm."""
    mean = levels.groupby("arm", sort=False)["value"].mean()
    said = ", ".join(f"{name} {100 * value:.0f}%" for name, value in mean.items())
    return f"Mean Acc@1 with {labels} labels: {said}"

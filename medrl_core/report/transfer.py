"""What training on one group does to all others: by their rule, by the weight of KL; hump or line.

    study = Transfers(lab, rl, sft, seeds=[100], labels=64)
    study.train("drawn:chest film", betas=[0.01, 0.05], test_on=groups)
    study.table()       # one row a trained group, arm, beta, seed and tested group

A rule is what a group's reports follow and its base does not: a group of the same rule wants it
too, one of the opposite rule wants its reverse. Its test: `pytest
tests/report/test_transfer_numbers.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from medrl_core.data import groups as kinds
from medrl_core.data.drawn.modalities import RULES_WORLD, Modality
from medrl_core.report.bookfigure import BookFigure, style
from medrl_core.report.doses import items_of
from medrl_core.report.experiment import Experiment
from medrl_core.report.figures import GREY, heat
from medrl_core.report.grids import Grid, cube, trainings
from medrl_core.report.growth import axes, legend, percent, plain_logs
from medrl_core.report.palette import ARM_COLOUR, ARM_MARKER, CONTROLS, UNTRAINED
from medrl_core.score.intervals import Estimate, interval, rate_draws
from medrl_core.train.arms import ARMS, SFT
from medrl_core.train.rl import RL

# In the order of columns; the words are what a reader sees.
RELATIONS = (
    "itself", "same rule", "same rule, known", "opposite rule", "opposite rule, known",
    "other rules", "missing words or sight",
)  # fmt: skip
COLOURS = dict(zip(RELATIONS, ("C2", "C0", "C9", "C3", "C1", "C7", "C4"), strict=True))
MIDDLE = (0.003, 0.3)  # p of the hump, as data/claims.yaml words H6
DRAWS = 1000
LEAST_GROUPS = 5  # of a rank correlation


def related(trained: Modality, tested: Modality) -> str:
    """Say how a tested modality's rule relates to what another one teaches."""
    if trained.name == tested.name:
        return "itself"
    if tested.cause in ("words", "sight"):
        return "missing words or sight"
    taught = [i for i, q in enumerate(trained.follows) if q < 1]
    same = [tuple(trained.convention)[i] == tuple(tested.convention)[i] for i in taught]
    if not taught or 0 < sum(same) < len(same):
        return "other rules"
    ending = ", known" if tested.cause == "known" else ""
    return f"{'same' if all(same) else 'opposite'} rule{ending}"


def relation(trained: str, tested: str) -> str:
    """Say how two groups relate; groups outside the drawn world are "itself" or "other rules"."""
    a, b = kinds.modality(trained), kinds.modality(tested)
    if a is None or b is None:
        return "itself" if trained == tested else "other rules"
    return related(a, b)


class Transfers:
    """Arms that are trained on one group and measured on all.

    Arguments:
        lab: the experiment.
        rl, sft: settings.
        seeds: of training.
        labels: of SFT.
    """

    def __init__(self, lab: Experiment, rl: RL, sft: SFT, *, seeds: Sequence[int], labels: int):
        self.lab, self.rl, self.sft, self.seeds, self.labels = lab, rl, sft, seeds, labels
        self.rows: list[dict] = []

    def train(self, group: str, betas: Sequence[float], test_on: Sequence[str]) -> None:
        """Train RL at each weight of KL, and SFT, on a group; measure on all groups."""
        tested = list(dict.fromkeys([group, *test_on]))
        for seed in self.seeds:
            for beta in betas:
                rl = replace(self.rl, beta=beta)
                _, found = self.lab.arm("rl", group, seed, rl=rl, test_on=tested, beta=beta)
                self._keep("rl", group, seed, beta, found)
            labelled = kinds.load(group, "train", n=self.labels, seed=seed, **self.lab.where)
            _, found = self.lab.arm(
                "sft", group, seed, sft=self.sft, labelled=labelled, test_on=tested
            )
            self._keep("sft", group, seed, np.nan, found)

    def _keep(self, arm: str, group: str, seed: int, beta: float, found: dict) -> None:
        for tested, after in found.items():
            before = self.lab.base(tested)
            self.rows.append(
                {
                    "base": 0, "trained": kinds.label(group), "arm": arm, "beta": beta,
                    "seed": seed, "tested": kinds.label(tested),
                    "relation": relation(group, tested), "acc_before": before.acc,
                    "acc_after": after.acc, "gain": after.acc - before.acc,
                    "p_before": float(before.p.mean()), "p_after": float(after.p.mean()),
                    "n_items": len(before.items),
                }
            )  # fmt: skip

    def table(self) -> pd.DataFrame:
        """Return one row a trained group, arm, beta, seed and tested group."""
        return pd.DataFrame(self.rows)


def recorded(grid: Grid) -> pd.DataFrame:
    """Give recorded transfers in the columns of `Transfers.table`."""
    table = grid.transfer
    if table.empty or "acc_after" not in table:
        return pd.DataFrame()
    table = table.rename(columns={"modality": "trained", "to": "tested", "kl": "beta"})
    pairs = zip(table["trained"], table["tested"], strict=True)
    said = [related(RULES_WORLD[a], RULES_WORLD[b]) for a, b in pairs]
    gain = table["acc_after"] - table["acc_before"]
    return table.assign(relation=said, gain=gain, n_items=128)


def matrix(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Give the mean gain by what was trained and how the tested group relates to it.

    Returns: columns trained, relation, value, low, high; interval over seeds, then items.
    """
    rows = []
    order = {name: number for number, name in enumerate(RELATIONS)}
    beta = table["beta"].dropna().min()
    shown = table[(table["arm"] != "rl") | np.isclose(table["beta"], beta)]
    cells: Any = shown.groupby(["trained", "arm", "relation"], sort=False)
    for (trained, arm, related_to), part in cells:
        estimate = mean_gain(part, seed)
        rows.append(
            {
                "trained": f"{trained}, {ARMS[arm]}", "relation": related_to,
                "value": estimate.value, "low": estimate.low, "high": estimate.high,
            }
        )  # fmt: skip
    found = pd.DataFrame(rows)
    return found.sort_values("relation", key=lambda one: one.map(order), kind="stable")


def mean_gain(part: pd.DataFrame, seed: int = 0) -> Estimate:
    """Estimate a mean gain in Acc@1 over tested groups."""
    drawn, value = _gains(part, seed)
    return Estimate(float(value.mean()), *interval(drawn.mean(1)), len(part))


def _gains(part: pd.DataFrame, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws (D, cells) and values (cells,) of gains."""
    cells, table = cube(part, "acc_after", ["base", "trained", "tested"])
    keys = ["base", "trained", "tested"]
    before = part.groupby(keys)["acc_before"].mean().reindex(cells).to_numpy()
    drawn = rate_draws(table, int(part["n_items"].iloc[0]), draws=DRAWS, seed=seed)
    return np.nan_to_num(drawn - before), np.nanmean(table, 1) - before


def matrix_figure(found: pd.DataFrame) -> BookFigure:
    """Draw the matrix of gains by relation."""
    fig = heat(found, row="trained", column="relation", label="gain (points)")
    fig.set_figheight(3.0 + 0.4 * found["trained"].nunique())
    return fig


def matrix_title(table: pd.DataFrame) -> str:
    """Say what RL gives to groups of the same and takes from groups of the opposite rule."""
    mean = table[table["arm"] == "rl"].groupby("relation")["gain"].mean()
    said = [f"{one} {100 * mean[one]:+.0f}" for one in RELATIONS[:5] if one in mean]
    return f"RL moves Acc@1 by rule, in points: {', '.join(said)}"


def p_figure(table: pd.DataFrame) -> BookFigure:
    """Draw p before and after training on another group, coloured by relation."""
    arms = list(dict.fromkeys(table["arm"]))
    with mpl.rc_context(style()):
        fig, panels = axes(3.6, len(arms))
        for ax, arm in zip(panels, arms, strict=True):
            here = table[table["arm"] == arm]
            for one in RELATIONS:
                dots = here[here["relation"] == one]
                if len(dots):
                    ax.scatter(
                        dots["p_before"].clip(1e-7), dots["p_after"].clip(1e-7), s=26,
                        color=COLOURS[one], label=one, alpha=0.8,
                    )  # fmt: skip
            ax.plot([1e-7, 1], [1e-7, 1], color=GREY, linewidth=1, label="unchanged (base)")
            ax.set(xscale="log", yscale="log", xlabel="p before")
            plain_logs(ax, y=True)
            ax.set_title(ARMS[arm], loc="left", fontsize=9.5)
        panels[0].set_ylabel("p after")
        legend(fig)
    return fig


def p_title(table: pd.DataFrame) -> str:
    """Say by what factor p changes in groups of the same and of the opposite rule."""
    factor = table["p_after"].clip(1e-12) / table["p_before"].clip(1e-12)
    logs = table.assign(logs=np.log10(factor))
    mean = logs[logs["arm"] == "rl"].groupby("relation")["logs"].mean()
    said = [f"{10 ** mean[one]:.2g}-fold ({one})" for one in RELATIONS[1:5] if one in mean]
    return f"p changes {', '.join(said)}"


def kl_figure(table: pd.DataFrame) -> BookFigure:
    """Draw gains against the weight of KL: on the group itself, and what known groups lose."""
    here = table[table["arm"] == "rl"]
    weights = sorted(here["beta"].unique())
    with mpl.rc_context(style()):
        fig, (ax,) = axes(3.6)
        for one in RELATIONS[:5]:
            part = here[here["relation"] == one]
            if part.empty:
                continue
            ends = [mean_gain(part[part["beta"] == beta]) for beta in weights]
            at = range(len(weights))
            ax.plot(at, [end.value for end in ends], "o-", color=COLOURS[one], label=one)
            ax.vlines(at, [e.low for e in ends], [e.high for e in ends], color=COLOURS[one])
        ax.axhline(0, color=GREY, linewidth=1)
        ax.set_xticks(range(len(weights)), [f"{beta:g}" for beta in weights])
        percent(ax)
        ax.set_xlabel("weight of the KL to the base")
        ax.set_ylabel("gain in Acc@1 (points)")
        legend(fig)
    return fig


def kl_title(table: pd.DataFrame) -> str:
    """Say what known groups of the opposite rule lose at the least and the largest KL."""
    here = table[(table["arm"] == "rl") & (table["relation"] == "opposite rule, known")]
    if here.empty:
        return "No known group of the opposite rule was tested"
    mean = here.groupby("beta")["gain"].mean()
    said = [f"{100 * value:+.0f} points at KL {beta:g}" for beta, value in mean.items()]
    return f"Known groups of the opposite rule change by {', '.join(said)}"


def on_itself(grid: Grid, arms: Sequence[str] = ("rl",)) -> pd.DataFrame:
    """Give recorded RL of 4,096 completions on each modality, in `grids.COLUMNS`.

    Arguments: `grid`; `arms`: RL, and the controls that are to be there too.
    """
    found = trainings(grid, arms, ["law", "controls"])
    return found[(found["n"] <= 4096) & np.isclose(found["kl"].astype(float), 0.01)]


def claims(runs: pd.DataFrame, transfers: pd.DataFrame, *, seed: int = 0) -> dict:
    """Give the numbers of H6 from runs on each group itself; None where there are too few groups.

    Arguments: `runs` in `grids.COLUMNS`; `transfers` as `Transfers.table`; `seed` of the bootstrap.
    """
    numbers: dict[str, Estimate | None] = dict.fromkeys(("h6", "h6_hump", "h6_rule"))
    if not runs.empty and runs["group"].nunique() >= LEAST_GROUPS:
        numbers["h6"], numbers["h6_hump"] = _by_support(runs, seed)
    if len(transfers):
        beta = transfers["beta"].dropna()
        usual = beta[np.argmin(np.abs(beta - 0.01))] if len(beta) else np.nan
        rl = transfers[(transfers["arm"] == "rl") & np.isclose(transfers["beta"], usual)]
        same = rl[rl["relation"].str.startswith("same rule")]
        opposite = rl[rl["relation"].str.startswith("opposite rule")]
        if len(same) and len(opposite):
            (a, x), (b, y) = _gains(same, seed), _gains(opposite, seed)
            value = float(x.mean() - y.mean())
            ends = interval(a.mean(1) - b.mean(1))
            numbers["h6_rule"] = Estimate(value, *ends, len(same) + len(opposite))
    return numbers


def _by_support(runs: pd.DataFrame, seed: int) -> tuple[Estimate, Estimate | None]:
    """Rank correlation of gain and p, and the hump; modalities, seeds and items are drawn."""
    cells, table = cube(runs, "acc", ["base", "group"])
    first = runs.groupby(["base", "group"])[["acc0", "base_p"]].mean().reindex(cells)
    before, p = first["acc0"].to_numpy(), first["base_p"].to_numpy()
    drawn = rate_draws(table, items_of(runs), draws=DRAWS, seed=seed)
    gains = np.nan_to_num(drawn - before)
    value = np.nanmean(table, 1) - before
    names = cells.get_level_values("group")
    members = [np.flatnonzero(names == name) for name in dict.fromkeys(names)]
    rng = np.random.default_rng([seed, 1])
    middle = (p >= MIDDLE[0]) & (p <= MIDDLE[1])

    def hump(chosen: np.ndarray, of: np.ndarray) -> float:
        low, high = chosen[middle[chosen]], chosen[p[chosen] > MIDDLE[1]]
        return of[low].mean() - of[high].mean() if len(low) and len(high) else np.nan

    ranks, humps = [], []
    for gain in gains:
        chosen = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        ranks.append(_rank(p[chosen], gain[chosen]))
        humps.append(hump(chosen, gain))
    every = np.arange(len(p))
    found = Estimate(_rank(p, value), *interval(np.array(ranks)), len(members))
    humped = hump(every, value)
    if np.isnan(humped):
        return found, None
    return found, Estimate(humped, *interval(np.array(humps)), len(members))


def _rank(p: np.ndarray, gain: np.ndarray) -> float:
    """Spearman's correlation; 0 where all gains are equal, which rank nothing."""
    if np.ptp(gain) == 0 or np.ptp(p) == 0:
        return 0.0
    return float(spearmanr(p, gain).statistic)


def null(grid: Grid, *, seed: int = 0) -> Estimate | None:
    """Give the same correlation when the untouched base is sampled a second time.

    One answer to each item is drawn twice from its exact chance; greedy answers would never vary.
    The interval is that of the correlation over such pairs.
    """
    runs = grid.runs
    if runs.empty or not (runs["arm"] == "base").any():
        return None
    base = runs[runs["arm"] == "base"].drop_duplicates(["base", "modality"])
    if base["modality"].nunique() < LEAST_GROUPS:
        return None
    p, rng = base["base_p"].to_numpy(float), np.random.default_rng(seed)
    ranks = np.zeros(DRAWS)
    chances = [np.asarray(one, float) for one in base["base_test_p"]]
    for draw in range(DRAWS):
        twice = [(rng.random((2, len(one))) < one).mean(1) for one in chances]
        ranks[draw] = _rank(p, np.array([after - before for before, after in twice]))
    return Estimate(float(ranks.mean()), *interval(ranks), len(p))


def hump_figure(runs: pd.DataFrame, rivals: pd.DataFrame | None = None) -> BookFigure:
    """Draw the gain in Acc@1 by RL on each group against the base's p, with the room there was."""
    with mpl.rc_context(style()):
        fig, (ax,) = axes(4.0)
        for source, size in (("recorded", 16), ("live", 44)):
            arms: Any = runs[runs["source"] == source].groupby("arm", sort=False)
            for arm, here in arms:
                face = "none" if arm in CONTROLS else ARM_COLOUR[arm]
                ax.scatter(
                    here["base_p"], here["gain"], s=size, marker=ARM_MARKER[arm],
                    edgecolors=ARM_COLOUR[arm], facecolors=face,
                    alpha=0.5 if source == "recorded" else 0.9, label=f"{ARMS[arm]} ({source})",
                )  # fmt: skip
        true = runs[runs["arm"] == "rl"]
        mean = true.groupby("group")[["base_p", "gain", "acc0"]].mean().sort_values("base_p")
        ax.plot(mean["base_p"], mean["gain"], color=ARM_COLOUR["rl"], linewidth=1, alpha=0.6)
        ax.plot(
            mean["base_p"], 1 - mean["acc0"], "_", color=GREY, markersize=10,
            label="room left above the base's Acc@1",
        )  # fmt: skip
        if rivals is not None and len(rivals):
            ax.scatter(rivals["p"], rivals["gain"], marker="_", s=160, color="k", label=UNTRAINED)
        ax.axhline(0, color=GREY, linewidth=1, label="base")
        ax.axvspan(*MIDDLE, color=GREY, alpha=0.08, linewidth=0)
        ax.set_xscale("log")
        plain_logs(ax)
        percent(ax)
        ax.set_xlabel("p of the base")
        ax.set_ylabel("gain in Acc@1 (points)")
        legend(fig)
    return fig


def hump_title(runs: pd.DataFrame) -> str:
    """Say what RL gains at low, middle and high support."""
    edges = (("under", 0, MIDDLE[0]), ("", *MIDDLE), ("over", MIDDLE[1], 1))
    said = []
    for word, low, high in edges:
        part = runs[(runs["arm"] == "rl") & (runs["base_p"] > low) & (runs["base_p"] <= high)]
        if len(part):
            where = f"p {word} {MIDDLE[0] if word == 'under' else MIDDLE[1]:g}"
            where = where if word else f"p from {MIDDLE[0]:g} to {MIDDLE[1]:g}"
            said.append(f"{100 * part['gain'].mean():.0f} points at {where}")
    return f"RL gains {', '.join(said)}"


def finding(table: pd.DataFrame, numbers: dict[str, Estimate | None], grid: Grid) -> str:
    """Say what was found as Markdown."""
    lines = [f"- {matrix_title(table)}.", f"- {p_title(table)}."]
    found = numbers.get("h6")
    if found is not None:
        lines.append(
            f"- Rank correlation of gain and p over {found.n} modalities: {found.value:.2f} "
            f"[{found.low:.2f}, {found.high:.2f}]."
        )
    return "\n".join([*lines, f"- {grid.said()}."])

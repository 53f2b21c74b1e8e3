"""SFT by the number and the kind of its labels: what each does to support.

    study = LabelStudy(lab, SFT(), seeds=[100], labels=[4, 16, 64, 256], mixed=[0.2])
    study.train("drawn:cardiac echo", off_target="drawn:skin photo")
    study.table()           # one row a group, kind and number of labels

Clean labels make the curve; shuffled, mixed and off-target ones are its controls, all at one number
of labels. The untouched base, measured again with another seed, is the null of every change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter, ScalarFormatter

from medrl_core.data import groups as kinds
from medrl_core.data.drawn import labels as drawn_labels
from medrl_core.data.drawn.modalities import BOOKS_WORLD, RULES_WORLD
from medrl_core.data.drawn.world import FACTS
from medrl_core.data.items import Item
from medrl_core.report.bookfigure import FONT, WIDTH, BookFigure, colours, style
from medrl_core.report.doses import change
from medrl_core.report.experiment import Experiment
from medrl_core.report.grids import Grid, trainings
from medrl_core.report.reach import K, Reach, reach
from medrl_core.score import support
from medrl_core.score.exact_support import Floats
from medrl_core.score.intervals import Estimate, hierarchical_mean
from medrl_core.score.measure import Measured, measure
from medrl_core.score.passk import exact_pass_at_k, excess_support, guess_floor
from medrl_core.train.arms import SFT

CONTROLS_AT = 64  # labels of the controls, and of H4
TEMPERATURES = (0.7, 1.0, 1.5)  # of the untrained rival
WEAK = 0.01  # H4 is about groups whose p is below this
CLEAN, SHUFFLED, OFF_TARGET = "clean labels", "shuffled labels", "off-target labels"
AGAIN = "base, measured again"


def mixed_name(share: float) -> str:
    """Return what a reader calls labels of which a share follows the habit."""
    return f"{100 * share:.0f}% by habit"


class LabelStudy:
    """SFT arms on several groups.

    Arguments:
        lab: the experiment.
        sft: settings.
        seeds: of training; each draws labels of its own.
        labels: numbers of clean labels.
        mixed: shares of labels that follow the habit and not the rule.
    """

    def __init__(
        self, lab: Experiment, sft: SFT, *, seeds: Sequence[int], labels: Sequence[int],
        mixed: Sequence[float] = (),
    ):  # fmt: skip
        self.lab, self.sft, self.seeds, self.labels, self.mixed = lab, sft, seeds, labels, mixed
        self.controls_at = min(labels, key=lambda n: abs(n - CONTROLS_AT))
        self.before: dict[str, Reach] = {}
        self.again: dict[str, Measured] = {}
        self.after: dict[tuple[str, str, int], list[Measured]] = {}

    def train(self, group: str, off_target: str | None = None) -> None:
        """Train and measure all arms of a group, beside the base and what it does untrained."""
        lab = self.lab
        self.before[group] = reach(lab, group, TEMPERATURES)
        net, processor = lab.model()
        self.again[group] = measure(
            net, processor, lab.items(group), seed=lab.sampling_seed + 1, decoding=lab.decoding,
            k=0 if self.before[group].base.exact else lab.k,
        )  # fmt: skip
        for seed in self.seeds:
            for n in self.labels:
                self._arm(group, CLEAN, seed, self._labels(group, n, seed))
            few = self._labels(group, self.controls_at, seed)
            for name, labelled in self._controls(group, few, seed, off_target).items():
                self._arm(group, name, seed, labelled)

    def _labels(self, group: str, n: int, seed: int) -> list[Item]:
        return kinds.load(group, "train", n=n, seed=seed, **self.lab.where)

    def _controls(
        self, group: str, few: list[Item], seed: int, off_target: str | None
    ) -> dict[str, list[Item]]:
        found = {SHUFFLED: drawn_labels.shuffled(few, seed)}
        worlds = {"drawn": RULES_WORLD, "books": BOOKS_WORLD}
        if (world := worlds.get(kinds.kind(group))) is not None:
            for share in self.mixed:
                found[mixed_name(share)] = drawn_labels.mixed(few, world, share, seed)
        if off_target not in (None, group):
            found[OFF_TARGET] = self._labels(off_target, len(few), seed)
        return found

    def _arm(self, group: str, kind: str, seed: int, labelled: list[Item]) -> None:
        arm = "shuffled" if kind == SHUFFLED else "sft"
        _, found = self.lab.arm(arm, group, seed, sft=self.sft, labelled=labelled, kind=kind)
        self.after.setdefault((group, kind, len(labelled)), []).append(found[group])

    def excess(self, group: str, found: Measured) -> Floats:
        """Return each item's Pass@16 above the guess floor: (B,), from -1 to 1."""
        k = K if found.exact else min(K, self.lab.k)
        return excess_support(found.pass_items(k), self.before[group].floor)

    def changes(self, group: str, kind: str, n: int, what: str = "excess") -> Floats | None:
        """Return the change of each item by training seed: (S, B); None if that was not trained.

        Arguments: `what` "excess" (Pass@16 above the guess floor) or "acc" (the greedy answer).
        """
        if (group, kind, n) not in self.after:
            return None
        base = self.before[group].base
        return np.stack(
            [self._values(group, one, what) - self._values(group, base, what)
             for one in self.after[group, kind, n]]
        )  # fmt: skip

    def _values(self, group: str, found: Measured, what: str) -> Floats:
        return self.excess(group, found) if what == "excess" else found.right.astype(float)

    def table(self) -> pd.DataFrame:
        """Return one row a group, kind and number of labels, the base and its null among them.

        Columns: group, cause, kind, labels, acc, commonest, information, p, change_p (log10 of p
        after by p before), excess, low, high (interval over training seeds, then items).
        """
        rows = []
        for group, before in self.before.items():
            measured = {("base", 0): [before.base], (AGAIN, 0): [self.again[group]]}
            measured |= {key[1:]: found for key, found in self.after.items() if key[0] == group}
            for (kind, n), found in measured.items():
                excess = hierarchical_mean([[self.excess(group, one) for one in found]])
                acc = hierarchical_mean([[one.right for one in found]])
                numbers = pd.DataFrame([one.numbers() for one in found]).mean()
                p = max(numbers.p, 1e-12) / max(before.base.p.mean(), 1e-12)
                rows.append(
                    {
                        "group": kinds.label(group),
                        "cause": kinds.cause(group) or "real",
                        "kind": kind,
                        "labels": n,
                        "acc": acc.value,
                        "acc_low": acc.low,
                        "acc_high": acc.high,
                        "commonest": numbers.get("commonest", np.nan),
                        "information": numbers.get("information", np.nan),
                        "p": numbers.p,
                        "change_p": float(np.log10(p)),
                        "excess": excess.value,
                        "excess_low": excess.low,
                        "excess_high": excess.high,
                    }
                )
        return pd.DataFrame(rows)

    def rivals(self) -> pd.DataFrame:
        """Return the best untrained rival of each group: group, excess, acc."""
        rows = []
        for group, one in self.before.items():
            items = one.items.mean()
            rows.append(
                {
                    "group": kinds.label(group),
                    "excess": float(excess_support(max(items["pass"], items.pass_best), one.floor)),
                    "acc": items[["greedy", "vote", "power"]].max(),
                }
            )
        return pd.DataFrame(rows)

    def ledgers(self) -> pd.DataFrame:
        """Return the ledger of clean labels beside its null: group, k, kept, lost, new, out, ..."""
        parts = []
        for group, before in self.before.items():
            after = self.after[group, CLEAN, self.controls_at][0]
            rows = support.ledgers(before.base.p, after.p, self.again[group].p)
            parts.append(rows.assign(group=kinds.label(group)))
        return pd.concat(parts)

    def claims(self, seed: int = 0) -> dict[str, Estimate | None]:
        """Give the numbers of H4; None where no group is of that kind."""
        weak = [group for group, one in self.before.items() if one.base.p.mean() < WEAK]
        of = {cause: [g for g in self.before if kinds.cause(g) == cause] for cause in kinds.CAUSES}

        def mean(groups: Sequence[str], kind: str, what: str) -> Estimate | None:
            found = [self.changes(group, kind, CONTROLS_AT, what) for group in groups]
            found = [one for one in found if one is not None]
            return hierarchical_mean(found, seed=seed) if found else None

        return {
            "h4": mean(weak, CLEAN, "excess"),
            "h4_shuffled": mean(weak, SHUFFLED, "excess"),
            "h4_words": mean(of["words"], CLEAN, "excess"),
            "h4_sight": mean(of["sight"], CLEAN, "acc"),
        }


def recorded(grid: Grid, seed: int = 0) -> dict[str, Estimate | None]:
    """Give the numbers of H4 from recorded trainings with pictures; None where there are none."""
    numbers: dict[str, Estimate | None] = dict.fromkeys(
        ("h4", "h4_shuffled", "h4_words", "h4_sight")
    )
    if grid.runs.empty:
        return numbers
    runs = grid.runs[
        (grid.runs["labels"] == CONTROLS_AT) & (grid.runs["completions"] == 0)
        & (grid.runs["first"] == "") & (grid.runs["mixed"] == 0)
    ]  # fmt: skip
    floor = guess_floor(len(FACTS), K)

    def excess(chances: pd.Series) -> Floats:
        return excess_support(exact_pass_at_k(np.stack(list(chances)), K), floor)

    def mean(rows: pd.DataFrame) -> Estimate | None:
        found = [
            excess(one["test_p"]) - excess(one["base_test_p"])
            for _, one in rows.groupby(["base", "modality"])
        ]
        return hierarchical_mean(found, seed=seed) if found else None

    clean = runs[runs["arm"] == "sft"]
    cause = clean["modality"].map({one.name: one.cause for one in RULES_WORLD.modalities})
    numbers["h4"] = mean(clean[clean["base_p"] < WEAK])
    numbers["h4_shuffled"] = mean(runs[(runs["arm"] == "shuffled") & (runs["base_p"] < WEAK)])
    numbers["h4_words"] = mean(clean[cause == "words"])
    unseen = trainings(grid, ["sft"]).set_index("run").loc[clean[cause == "sight"]["run"]]
    numbers["h4_sight"] = change(unseen, "acc", "acc0", seed)
    return numbers


WHAT = {"excess": "excess support, K = 16", "acc": "Acc@1 (%)"}


def label_figure(table: pd.DataFrame, rivals: pd.DataFrame, what: str) -> BookFigure:
    """Draw a curve over clean labels, a panel a group, with base, controls and untrained rival.

    Arguments: `table`, `rivals` of a `LabelStudy`; `what` a key of `WHAT`.
    """
    names = list(dict.fromkeys(table.group))
    others = [kind for kind in dict.fromkeys(table.kind) if not kind.startswith(("base", "clean"))]
    colour = colours([CLEAN, "untrained", *others])
    ticks = sorted(set(table.labels) - {0})
    with mpl.rc_context(style()):
        columns = min(3, len(names))
        rows = -(-len(names) // columns)
        fig = BookFigure(figsize=(WIDTH, 2.4 * rows + 1.8), layout="constrained")
        axes = fig.subplots(rows, columns, squeeze=False, sharey=True, sharex=True)
        for spare in axes.flat[len(names) :]:
            spare.remove()
        for ax, name in zip(axes.flat, names, strict=False):
            here = table[table.group == name]
            curve = here[here.kind == CLEAN].sort_values("labels")
            ax.plot(curve.labels, curve[what], "o-", color=colour[CLEAN], label=f"SFT, {CLEAN}")
            ax.fill_between(
                curve.labels, curve[f"{what}_low"], curve[f"{what}_high"], color=colour[CLEAN],
                alpha=0.18, linewidth=0,
            )  # fmt: skip
            base = here[here.kind == "base"][what].iloc[0]
            ax.axhline(base, color="0.35", linewidth=1, label="base")
            rival = rivals[rivals.group == name][what].iloc[0]
            ax.axhline(rival, color=colour["untrained"], linestyle=":", label="best untrained")
            if what == "excess":
                ax.axhline(0, color="0.35", linestyle="--", label="guess floor")
            shift = np.geomspace(0.8, 1.25, len(others)) if len(others) > 1 else [1.0]
            for other, marker, move in zip(others, "s^DvPX", shift, strict=False):
                dots = here[here.kind == other]
                label = other if "labels" in other else f"labels {other}"
                ax.plot(dots.labels * move, dots[what], marker, color=colour[other], label=label)
            ax.set_title(f"{name} ({here.cause.iloc[0]})", loc="left", fontsize=FONT - 1)
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_locator(FixedLocator(ticks))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.xaxis.set_major_formatter(ScalarFormatter())
            ax.set_ylim((-1.02, 1.02) if what == "excess" else (-0.02, 1.02))
            if what == "acc":
                ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
        axes[0, 0].set_ylabel(WHAT[what])
        axes[-1, 0].set_xlabel("labels")
        handles, words = axes[0, 0].get_legend_handles_labels()
        fig.legend(handles, words, loc="outside upper center", ncols=2)
    return fig


def title(table: pd.DataFrame, at: int) -> str:
    """Say as a title what so many clean labels do to support in each group."""
    said = []
    for name in dict.fromkeys(table.group):
        here = table[table.group == name].set_index(["kind", "labels"])
        before, after = here.excess["base", 0], here.excess[CLEAN, at]
        said.append(f"{name} {before:.2f} to {after:.2f}")
    return f"{at} clean labels move excess support: {', '.join(said)}"


def finding(
    table: pd.DataFrame, sources: Mapping[str, dict[str, Estimate | None]], at: int
) -> str:
    """Say what was found as Markdown.

    Arguments: `table` of a `LabelStudy`; `sources` of H4's numbers by what made them; `at` labels.
    """
    lines = []
    for name in dict.fromkeys(table.group):
        here = table[table.group == name].set_index(["kind", "labels"])
        clean, again = here.loc[CLEAN, at], here.loc[AGAIN, 0]
        shuffled = here.loc[SHUFFLED, at]
        lines.append(
            f"- **{name}** ({clean.cause}): {at} clean labels change p "
            f"{10**clean.change_p:.3g}-fold and bring Acc@1 to {100 * clean.acc:.0f}%; shuffled "
            f"ones change p {10**shuffled.change_p:.3g}-fold, measuring again "
            f"{10**again.change_p:.3g}-fold."
        )
    said = []
    for source, numbers in sources.items():
        clean, shuffled = numbers["h4"], numbers["h4_shuffled"]
        if clean is not None and shuffled is not None:
            said.append(
                f"Where p was under {WEAK}, {CONTROLS_AT} labels raise Pass@16 above the guess "
                f"floor by **{100 * clean.value:+.0f} points** [{100 * clean.low:+.0f}, "
                f"{100 * clean.high:+.0f}], shuffled ones by {100 * shuffled.value:+.1f} "
                f"({source})."
            )
    return "\n".join([*said, "", *lines])


def acc_title(table: pd.DataFrame) -> str:
    """Say as a title where Acc@1 ends with the most clean labels."""
    most = table[table.kind == CLEAN].labels.max()
    rows = table[(table.kind == CLEAN) & (table.labels == most)]
    said = ", ".join(f"{one.group} {100 * one.acc:.0f}%" for one in rows.itertuples())
    return f"Acc@1 after {most} clean labels: {said}"

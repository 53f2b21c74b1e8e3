"""RL with one setting changed at a time: objectives, group sizes, temperatures, curricula.

    table = twin_settings(["grpo", "passk"], [4, 8], [1.0], completions=2048, seeds=[100])
    drawn_settings(lab, RL(completions=2048), ["grpo", "passk"], groups, seeds=[100])

All runs of a group sample the same number of completions from the same start. Controls of the twin
(a coin, a format reward) and what its base does untrained stand in the same table. Its test:
`pytest tests/report/test_settings.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import pandas as pd

from medrl_core.data import groups as kinds
from medrl_core.models.twin import Twin, load
from medrl_core.report.bookfigure import WIDTH, BookFigure, style
from medrl_core.report.experiment import Experiment
from medrl_core.report.figures import GREY
from medrl_core.report.grids import Grid, trainings
from medrl_core.report.growth import legend, percent
from medrl_core.report.palette import UNTRAINED
from medrl_core.report.twin_runs import BASE
from medrl_core.score import rivals as untrained
from medrl_core.score.law import take_off
from medrl_core.score.support import pass_curve
from medrl_core.score.twin import exact_p, greedy, questions, rivals
from medrl_core.train.rl import RL
from medrl_core.train.twin import OBJECTIVES, Rl, train_rl

TWIN_LEVELS = ("brain MRI", "cardiac echo")  # p about .045 and .0025
STEP, GROUP = 64, 8
FIRST, THEN = "angiogram", "liver ultrasound"  # of the curriculum: p about .055 and 1.2e-4
# The names of objectives as a reader knows them.
NAMES = {
    "grpo": "GRPO", "dr_grpo": "Dr. GRPO", "dapo": "DAPO", "gspo": "GSPO", "rloo": "RLOO",
    "care": "consistency bonus", "passk": "Pass@K reward",
}  # fmt: skip
CONTROL = ("coin (control)", "format (control)")
WHAT = ("objective", "group size", "temperature", "curriculum")


def recipes(
    objectives: Sequence[str], group_sizes: Sequence[int], temperatures: Sequence[float],
    completions: int, reward_k: int,
) -> list[tuple[str, str, Rl]]:  # fmt: skip
    """Give the settings that differ from plain GRPO in one thing: what, its value, the recipe."""
    plain = Rl(completions=completions, reward_k=reward_k)
    known = [one for one in objectives if one in OBJECTIVES]
    found = [("objective", NAMES[one], replace(plain, objective=one)) for one in known]
    found += [
        ("group size", f"{size}", replace(plain, group=size, prompts=STEP // size))
        for size in group_sizes
    ]
    found += [("temperature", f"{one:g}", replace(plain, temperature=one)) for one in temperatures]
    return found


def twin_settings(
    objectives: Sequence[str],
    group_sizes: Sequence[int],
    temperatures: Sequence[float],
    *,
    completions: int,
    seeds: Sequence[int],
    reward_k: int = 4,
    levels: Sequence[str] = TWIN_LEVELS,
) -> pd.DataFrame:
    """Run RL on the twin with one setting changed at a time, beside its controls.

    Returns: one row a run: world, what, value, group, seed, p0, acc0, acc, gain, p, passed (change
        of Pass@256), takeoff (completions, inf if it never did); the untrained rival among them.
    """
    base, rows, done = load(BASE), [], {}
    for name in levels:
        start = _level(base, name)
        rows += _untrained(base, name, start)
        for seed in seeds:
            for what, value, recipe in recipes(
                objectives, group_sizes, temperatures, completions, reward_k
            ):
                key = (name, seed, recipe)
                if key not in done:
                    done[key] = train_rl(base, name, recipe, seed=seed, look_every=256)
                net, trace = done[key]
                rows.append({**start, "what": what, "value": value, "seed": seed}
                            | _ends(net, trace, start))  # fmt: skip
            rows += _controls(base, name, completions, seed, start, done)
    return pd.DataFrame(rows)


def _level(base: Twin, name: str) -> dict:
    asked = questions(base.vocabulary, name)
    p = exact_p(base, asked)
    return {
        "world": "twin", "group": name, "p0": float(p.mean()),
        "acc0": float(greedy(base, asked).right.mean()), "pass0": float(pass_curve(p, [256])[0]),
    }  # fmt: skip


def _ends(net: Twin, trace, start: dict) -> dict:
    asked = questions(net.vocabulary, start["group"])
    p, acc = exact_p(net, asked, thinks=8), float(trace.looks["acc"].iloc[-1])
    return {
        "acc": acc, "gain": acc - start["acc0"], "p": float(p.mean()),
        "passed": float(pass_curve(p, [256])[0]) - start["pass0"],
        "takeoff": take_off(trace.looks["n"], trace.looks["acc"], 0.2)[1],
        "words": int(trace.looks["words"].iloc[-1]),
    }  # fmt: skip


def _controls(
    base: Twin, name: str, completions: int, seed: int, start: dict, done: dict
) -> list[dict]:
    plain = Rl(completions=completions)
    true = next(
        (trace for (group, one, recipe), (_, trace) in done.items()
         if (group, one) == (name, seed) and recipe.objective == "grpo" and recipe.group == GROUP),
        None,
    )  # fmt: skip
    rows = []
    for value, reward in zip(CONTROL, ("coin", "format"), strict=True):
        if reward == "coin" and true is None:
            continue
        coin = true.steps["reward"].tolist() if reward == "coin" and true is not None else None
        found = train_rl(base, name, replace(plain, reward=reward), seed=seed, coin=coin)
        rows.append({**start, "what": "objective", "value": value, "seed": seed}
                    | _ends(*found, start))  # fmt: skip
    return rows


def _untrained(base: Twin, name: str, start: dict) -> list[dict]:
    found = rivals(base, questions(base.vocabulary, name))
    best = max(float(p.mean()) for p in found.values())
    row = {**start, "what": "objective", "value": UNTRAINED, "acc": best, "seed": np.nan}
    return [row | {"gain": best - start["acc0"]}]


def curricula(completions: int, seeds: Sequence[int]) -> pd.DataFrame:
    """Run RL on a supported modality of the twin first, against the same completions at once.

    Arguments: `completions` of both stages together, the first a third of them; `seeds`.
    Returns: rows as `twin_settings`.
    """
    base, start, rows = load(BASE), _level(load(BASE), THEN), []
    third = completions // 3 // STEP * STEP
    for seed in seeds:
        bridged, _ = train_rl(base, FIRST, Rl(completions=third), seed=seed)
        after = train_rl(bridged, THEN, Rl(completions=completions - third), seed=seed)
        direct = train_rl(base, THEN, Rl(completions=completions // STEP * STEP), seed=seed)
        for value, found in ((f"{FIRST} first", after), ("at once", direct)):
            rows.append({**start, "what": "curriculum", "value": value, "seed": seed}
                        | _ends(*found, start))  # fmt: skip
    return pd.DataFrame(rows)


def drawn_settings(
    lab: Experiment, rl: RL, objectives: Sequence[str], groups: Sequence[str],
    seeds: Sequence[int],
) -> pd.DataFrame:  # fmt: skip
    """Train each objective on each group with pictures; rows as `twin_settings`."""
    rows = []
    for group in groups:
        before = lab.base(group)
        start = {
            "world": kinds.kind(group), "group": kinds.label(group), "p0": float(before.p.mean()),
            "acc0": before.acc, "pass0": float(before.pass_items(256).mean()), "what": "objective",
        }  # fmt: skip
        best = max(untrained.vote(before, lab.k).mean(), untrained.sharpened(before).mean())
        rows.append({**start, "value": UNTRAINED, "acc": best, "gain": best - before.acc})
        for seed in seeds:
            for one in objectives:
                settings = replace(rl, objective=one)
                made, found = lab.arm("rl", group, seed, rl=settings, objective=one)
                after = found[group]
                rows.append(
                    {
                        **start, "value": NAMES[one], "seed": seed, "acc": after.acc,
                        "gain": after.acc - before.acc, "p": float(after.p.mean()),
                        "passed": float(after.pass_items(256).mean()) - start["pass0"],
                        "words": after.numbers().get("words", np.nan),
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def recorded(grid: Grid) -> pd.DataFrame:
    """Give recorded settings and curricula as rows of `twin_settings`; empty where not recorded."""
    found = trainings(grid, ["rl", "curriculum", "coin", "format"],
                      ["settings", "curricula", "controls", "law"])  # fmt: skip
    if found.empty:
        return pd.DataFrame()
    groups = set(found[found["grid"].isin(["settings", "curricula"])]["group"])
    rows = []
    found = found.assign(passed=found["pass"] - found["pass0"])
    for one in found[found["group"].isin(groups) & np.isclose(found["kl"], 0.01)].itertuples():
        row = {
            "world": grid.world, "group": one.group, "seed": one.seed, "p0": one.base_p,
            "acc0": one.acc0, "pass0": one.pass0, "acc": one.acc, "gain": one.gain, "p": one.p,
            "passed": one.passed, "words": one.words,
        }  # fmt: skip
        rows += [{**row, "what": what, "value": value} for what, value in _named(one)]
    return pd.DataFrame(rows)


def _named(one) -> list[tuple[str, str]]:
    """What a recorded run is a value of."""
    if one.grid == "curricula":
        return [("curriculum", f"{FIRST} first" if one.arm == "curriculum" else "at once")]
    if one.arm in ("coin", "format"):
        return [("objective", CONTROL[one.arm == "format"])]
    usual_rate = np.isclose(one.learning_rate, 3e-4)
    if one.objective != "grpo" or (usual_rate and one.per_group == GROUP):
        found = [("objective", NAMES[one.objective])]
        return found + ([("group size", f"{GROUP}")] if one.objective == "grpo" else [])
    return [("group size", f"{one.per_group}")] if usual_rate else []


def figure(table: pd.DataFrame, what: str) -> BookFigure:
    """Draw the gain in Acc@1 and the change of Pass@256 by the values of one setting.

    Arguments: `table` of rows with a column source; `what` one of `WHAT`.
    """
    here = table[table["what"] == what]
    values = [one for one in dict.fromkeys(here["value"]) if one != UNTRAINED]
    values.sort(key=lambda one: one in CONTROL)
    names = list(dict.fromkeys(here.sort_values("p0", ascending=False)["group"]))
    colour = dict(zip(names, ("C0", "C3", "C2", "C4"), strict=False))
    with mpl.rc_context(style()):
        fig = BookFigure(figsize=(WIDTH, 1.9 + 0.36 * len(values)), layout="constrained")
        left, right = fig.subplots(1, 2, sharey=True)
        sides = {left: "gain", right: "passed"}
        shift = dict(zip(names, np.linspace(-0.2, 0.2, len(names) + 1), strict=False))
        for ax, column in sides.items():
            for (name, source), part in cast(Any, here.groupby(["group", "source"], sort=False)):
                rows = part[part["value"] != UNTRAINED].dropna(subset=[column])
                y = [values.index(one) + shift[name] for one in rows["value"]]
                ax.plot(
                    rows[column], y, marker={"twin": "^", "recorded": "."}.get(source, "o"),
                    linestyle="", color=colour[name], alpha=0.8, label=f"{name} ({source})",
                )  # fmt: skip
                rival = part[part["value"] == UNTRAINED]["gain"]
                if column == "gain" and len(rival):
                    ax.axvline(
                        rival.mean(), color=colour[name], linestyle=":", linewidth=1,
                        label=f"{UNTRAINED}, {name}",
                    )
            ax.axvline(0, color=GREY, linewidth=1)
            percent(ax, y=False)
        left.set_yticks(range(len(values)), values)
        left.set_ylim(len(values) - 0.5, -0.5)
        left.set_xlabel("gain in Acc@1 (points)")
        right.set_xlabel("change of Pass@256 (points)")
        legend(fig)
    return fig


def there(table: pd.DataFrame) -> list[str]:
    """Give the settings of which more than one value was run."""
    tried = table[~table["value"].isin([UNTRAINED, *CONTROL])].groupby("what")["value"].nunique()
    return [one for one in WHAT if tried.get(one, 0) > 1]


def title(table: pd.DataFrame, what: str) -> str:
    """Say the range of mean gains over the values of one setting, group by group."""
    here = table[(table["what"] == what) & ~table["value"].isin([UNTRAINED, *CONTROL])]
    said = []
    for name, part in here.groupby("group", sort=False):
        mean = part.groupby("value")["gain"].mean()
        low, high = mean.min(), mean.max()
        ends = f"{100 * low:.0f} ({mean.idxmin()}) to {100 * high:.0f} ({mean.idxmax()})"
        alike = f"{100 * low:.0f} for all" if low == high else ends
        said.append(f"{alike} on {name}")
    return f"Gain by {what}, in points: {'; '.join(said)}"


def finding(tables: Sequence[pd.DataFrame], grids: Sequence[Grid]) -> str:
    """Say what was found as Markdown, with the controls."""
    table = pd.concat([one for one in tables if len(one)])
    lines = [f"- {title(table, what)}." for what in there(table)]
    controls = table[table["value"].isin(CONTROL)]
    if len(controls):
        lines.append(f"- Controls gain {100 * controls['gain'].mean():.0f} points on average.")
    return "\n".join([*lines, *(f"- {grid.said()}." for grid in grids)])

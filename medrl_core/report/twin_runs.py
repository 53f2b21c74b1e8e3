"""Runs of the twin that a notebook makes while the reader waits, in the columns of recorded ones.

    looks = law_looks_of(seeds=[100, 101], completions=4096)
    runs_of(looks, 4096), fitted(looks, mark=0.2)
    turned(q=0.1, seeds=[100], completions=4096)    # one dial as the reader turns it

Its test: `pytest tests/report/test_twin_runs.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from medrl_core.models.twin import load
from medrl_core.report.grids import COLUMNS, MARKS
from medrl_core.score.law import Law, fit, take_off
from medrl_core.train.twin import Rl
from medrl_core.train.twin_base import redial
from medrl_core.train.twin_live import LAW_LEVELS, law_looks, to_runs

BASE = Path("data/twin-base/rules-11.safetensors")
TURNED = "chest film"  # one rule, so that p is about its q


def law_looks_of(
    seeds: Sequence[int], completions: int, modalities: Sequence[str] = LAW_LEVELS, base=None
) -> pd.DataFrame | None:
    """Run RL on the twin's six levels of support, as `twin_live.law_looks`; None without seeds."""
    if not seeds:
        return None
    return law_looks(
        base or load(BASE), modalities, seeds=list(seeds), recipe=Rl(completions=completions)
    )


def runs_of(looks: pd.DataFrame | None, completions: int) -> pd.DataFrame:
    """Put runs of `twin_live.law_looks` into the columns of `grids.COLUMNS`; none of None."""
    rows = []
    if looks is None:
        return pd.DataFrame(columns=list(COLUMNS))
    for run, part in looks.groupby("run"):
        first, last = part.iloc[0], part.iloc[-1]
        row = {
            "world": "twin", "base": 11, "group": first.modality, "arm": "rl", "objective": "grpo",
            "seed": first.seed, "kl": 0.01, "labels": 0, "n": completions, "base_p": first.p,
            "hits": first.p * completions, "first": first.first_right, "acc0": first["acc"],
            "acc": last["acc"], "gain": last["acc"] - first["acc"], "words": last["words"],
            "grid": "live", "run": run,
        }  # fmt: skip
        for name, mark in MARKS.items():
            row[name] = bool(take_off(part["n"], part["acc"], mark)[1] <= completions)
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))


def fitted(looks: pd.DataFrame | None, mark: float) -> Law | None:
    """Fit the law to live runs; None where fewer than two took off."""
    if looks is None:
        return None
    runs = to_runs(looks, mark)
    if (runs["high"] < float("inf")).sum() < 2:
        return None
    return fit(runs, mark=mark, draws=40, about={"trainings": len(runs), "source": "live"})


def turned(q: float, seeds: Sequence[int], completions: int, *, seed: int = 100) -> pd.DataFrame:
    """Turn the dial of one modality of the twin, then run RL on it; the looks at its test items."""
    base = redial(load(BASE), TURNED, (q, 1, 1), seed=seed)
    recipe = Rl(completions=completions)
    return law_looks(base, [TURNED], seeds=list(seeds), recipe=recipe)


def beside(looks: pd.DataFrame, law: Law | None, q: float, completions: int) -> str:
    """Say what the law predicts at the reader's dial, and what its runs did."""
    p = float(looks["p"].iloc[0])
    runs = runs_of(looks, completions)
    said = (
        f"q = {q:g} gives p = {p:.2g}: {p * completions:.3g} right completions are expected in "
        f"{completions:,}."
    )
    if law is not None and p > 0:
        said += f" The law gives RL a chance of {100 * float(law.chance(p, completions)):.0f}%;"
    return f"{said} {int(runs['took_off'].sum())} of {len(runs)} runs took off."

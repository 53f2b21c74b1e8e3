"""The law on the first page, to be played with: its data, computed here once for every setting.

    player = data(Path("data/law.json"), Path("data/records"))   # None: nothing was fitted yet
    write(player, target)                                        # data.js beside law.js

The page's script only looks up: chance, interval and the rule's words come from
`medrl_core.score.law` and `medrl_core.score.rule`, so there is one implementation of each.
Run its test: `pytest tests/book/test_law_player.py`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medrl_core.errors import UserError
from medrl_core.report import grids
from medrl_core.score import rule
from medrl_core.score.law import LEARNT, Law, load_law

LABELS = 16
P = tuple(float(f"{p:.2g}") for p in np.geomspace(1e-6, 1, 49))
BUDGETS = tuple(512 * 2**i for i in range(9))
PRICES = (0, 1, 10, 30, 100, 300, 1000, 3000)


def data(law: Path, records: Path) -> dict[str, Any] | None:
    """Compute what the page shows at each position of its sliders.

    Arguments:
        law: the file of fitted laws.
        records: folder of the recorded grids.

    Returns:
        p, budgets, prices (the positions); chance, low, high (a row a p, a column a budget); words
        (a number into texts a p, budget and price); dots (one a modality and base: world, name, p,
        runs, and by budget how many had learnt the rule and how many were watched so far); said,
        what the law was fitted to. None where no law of this mark was fitted.

    Raises:
        UserError: the file is not one of laws.
    """
    if not law.is_file():
        return None
    fitted = load_law(law, mark=LEARNT)
    # Where labels have a price, the rule's words say no interval: draws would cost minutes.
    plain = replace(fitted, draws=())
    texts: dict[str, int] = {}
    words = [
        [[texts.setdefault(_said(plain, p, n, price), len(texts)) for price in PRICES]
         for n in BUDGETS]
        for p in P
    ]  # fmt: skip
    return {
        "p": P, "budgets": BUDGETS, "prices": PRICES,
        **{name: np.round(one, 4).tolist() for name, one in chances(fitted).items()},
        "words": words, "texts": list(texts), "dots": dots(records), "said": said(fitted),
    }  # fmt: skip


def chances(law: Law) -> dict[str, NDArray[np.float64]]:
    """Give the chance of take-off with its 95 % interval: chance, low, high, each (P, BUDGETS)."""
    p, n = np.asarray(P)[:, None], np.asarray(BUDGETS)
    drawn = [replace(law, a=a, b=b, scatter=scatter).chance(p, n) for a, b, scatter in law.draws]
    low, high = np.quantile(drawn or [law.chance(p, n)], [0.025, 0.975], axis=0)
    return {"chance": law.chance(p, n), "low": low, "high": high}


def _said(law: Law, p: float, n: int, price: float) -> str:
    chosen = rule.choose([p], law, n, acc=0.0, ceiling=1.0, labels=LABELS, label_price=price)
    return f"{chosen.action}|{chosen.why}"


def said(law: Law) -> str:
    """Say what the law was fitted to."""
    about = law.about
    return f"{about.get('trainings', about.get('runs', 0)):,} recorded trainings of the twin"


def dots(records: Path) -> list[dict[str, Any]]:
    """Count the recorded trainings of each modality and base that learnt the rule by each budget.

    A training counts at a budget that it was watched to, and after it had learnt.
    """
    found = []
    for world in ("twin", "drawn"):
        table = grids.plain_law(grids.read(world, records), LEARNT)
        if table.empty:
            continue
        parts: Any = table.groupby(["base", "modality"], sort=True)
        for (base, name), part in parts:
            found.append(
                {
                    "world": grids.NAMES[world], "name": str(name), "base": int(base),
                    "p": float(f"{part['p'].iloc[0]:.3g}"), **_by_budget(part),
                }
            )  # fmt: skip
    return found


def _by_budget(part: pd.DataFrame) -> dict[str, list[int]]:
    learnt = [int((part["high"] <= n).sum()) for n in BUDGETS]
    watched = [int(((part["low"] >= n) | np.isfinite(part["high"])).sum()) for n in BUDGETS]
    return {"learnt": learnt, "watched": watched}


def write(found: dict[str, Any] | None, target: Path) -> None:
    """Write the data for the page's script; without a law the page keeps its figure alone."""
    target.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, separators=(",", ":"), allow_nan=False)
    if "</" in text:
        raise UserError("data/records: a name of a modality would end the script of the first page")
    (target / "data.js").write_text(f"window.medrlLaw={text};\n", encoding="utf-8")

"""Does a run say the same as the record of a larger study that holds it?

Study `micro` trains from one seed while the book is made; `micro-seeds` is recorded with three. The
page says which is which, and this compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medrl.studies import manifest
from medrl_core.errors import UserError
from medrl_core.report import results

# What may differ: run and record hold other trainings too, but one that both hold is the same.
MORE = {"study", "seeds", "arms", "n_train", "epochs_curve", "mixture"}


@dataclass(frozen=True)
class Agreement:
    """Numbers that a run and a record both hold.

    Arguments:
        n: how many.
        equal: how many are the same.
        inside: how many lie within the record's interval, its ends included.
        largest: largest difference, a fraction.
    """

    n: int
    equal: int
    inside: int
    largest: float


def compare(live: pd.DataFrame, recorded: pd.DataFrame, keys: list[str]) -> Agreement:
    """Compare the values of the rows that both tables hold.

    Arguments:
        live: columns of `keys` and value.
        recorded: columns of `keys`, value, low and high.
        keys: columns that name a row in both.
    """
    both = live[[*keys, "value"]].merge(recorded, on=keys, suffixes=("_live", ""))
    apart = (both.value_live - both["value"]).abs()
    inside = both.value_live.between(both.low - 1e-9, both.high + 1e-9)
    largest = float(apart.max()) if len(both) else 0.0
    return Agreement(len(both), int((apart < 1e-9).sum()), int(inside.sum()), largest)


def changed(live: Path, recorded: Path) -> list[str]:
    """Names of the parameters that keep a run and a record from being compared.

    Arguments:
        live, recorded: run folders.
    """
    ours, theirs = (manifest.read(folder).parameters for folder in (live, recorded))
    names = sorted((set(ours) | set(theirs)) - MORE)
    return [name for name in names if ours.get(name) != theirs.get(name)]


def sentence(live: Path, recorded: Path, table: str, keys: list[str]) -> str:
    """Say in one sentence how a run and a record agree.

    Arguments:
        live, recorded: run folders.
        table: name of the table that both hold.
        keys: columns that name a row of it.

    Raises:
        UserError: one of them lacks the table.
    """
    if names := changed(live, recorded):
        return f"Not compared with the record: other {', '.join(names)}."
    frames = []
    for folder in (live, recorded):
        tables = results.read(folder)["tables"]
        if table not in tables:
            raise UserError(f"{folder}/results.json has no table {table!r}")
        frames.append(pd.DataFrame(tables[table]))
    found = compare(*frames, keys)
    if not found.n:
        return "No training of this run is in the record: not compared."
    return (
        f"Of the {found.n} values that this run and the record both hold, {found.equal} are equal "
        f"and {found.inside} lie within the record's intervals; the largest difference is "
        f"{100 * found.largest:.1f} points."
    )

"""Two logs item by item, as text: differences, the support ledger, where the curves cross."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pandas as pd

from medrl_core.errors import UserError, printable
from medrl_core.report import tables
from medrl_core.score.comparison import compare, matched
from medrl_core.score.curves import crossings
from medrl_core.score.intervals import holm
from medrl_core.score.ledger import ledger
from medrl_core.score.logs.grading import Graded
from medrl_core.score.logs.pairing import same_ids
from medrl_core.score.statistics import all_ks
from medrl_core.score.thresholds import SUPPORT_K


def pairs(first: list[Graded], second: list[Graded]) -> list[tuple[str, Graded, Graded]]:
    """Pair the logs of two places: the only one of each, or those of one data set or format.

    Raises: UserError where a place holds several logs of one name, or no name is common.
    """
    own = all(graded.log.format == "medrl" for graded in [*first, *second])
    if len(first) == len(second) == 1 and not own:
        return [(_name(first[0]), first[0], second[0])]
    sides = [_by_name(side) for side in (first, second)]
    common = [name for name in sides[0] if name in sides[1]]
    if not common:
        names = [", ".join(side) for side in sides]
        raise UserError(
            f"the two share no answer format or data set ({names[0]} against {names[1]}); "
            "sample both on the same items"
        )
    return [(name, sides[0][name], sides[1][name]) for name in common]


def _name(graded: Graded) -> str:
    formats = sorted(graded.log.items.answer_format.unique())
    own = graded.log.format == "medrl"
    return ", ".join(formats) if own else graded.log.dataset or ", ".join(formats)


def _by_name(side: list[Graded]) -> dict[str, Graded]:
    found: dict[str, Graded] = {}
    for graded in side:
        name = _name(graded)
        if name in found:
            raise UserError(
                f"{graded.log.source} holds several models or samplings; compare logs that hold "
                "one each"
            )
        found[name] = graded
    return found


def table(name: str, a: Graded, b: Graded, seed: int = 0) -> tuple[str, dict[str, Any]]:
    """Compare two logs on the items that both answered: A minus B, and what B lost and gained.

    Returns: the text, and the same as a dict: rows, ledger, crossings.
    Raises: UserError where a log is a series of steps, or as `same_ids`.
    """
    for graded in (a, b):
        if len(graded.log.steps) > 1:
            raise UserError(
                f"{graded.log.source} is a series of {len(graded.log.steps)} steps; compare the "
                "files of two steps"
            )
    rows_a, rows_b = a.rollouts, same_ids(a, b)
    rows_a = rows_a.assign(gold=_filled(rows_a, rows_b))
    items_a, items_b, unpaired = matched(rows_a, rows_b)
    most = all_ks(pd.concat([items_a, items_b]))[-1:]  # none without samples
    found = named(compare(rows_a, rows_b, most, seed))
    rows = list(cast(Any, found).itertuples())
    shown = pd.DataFrame(
        {
            "": found.shown,
            "items": found.n_items,
            "metric": [
                row.metric.replace("k", str(row.k)).capitalize() for row in rows
            ],
            "A - B (points)": [
                tables.interval(r.value, r.low, r.high, "points") for r in rows
            ],
            "p": found.p.map("{:.4f}".format),
            "p (Holm)": [f"{p:.4f}" for p in holm(found.p)],
        }
    )
    cross = crossings(rows_a, rows_b, seed)
    sampled = (items_a.n > 0) & (items_b.n > 0)
    book = _ledger(items_a[sampled], items_b[sampled], most)
    text = [
        f"{printable(name)}, items of one side only: {unpaired}",
        *(
            f"{side}: {printable(graded.log.model) or graded.log.source}, {_sampling(graded)}"
            for side, graded in (("A", a), ("B", b))
        ),
        shown.to_string(index=False) if len(shown) else "no answers of one kind on both sides",
        *_ledger_lines(book),
        *_crossing_lines(cross),
    ]
    as_rows = [found.to_dict("records"), cross.to_dict("records")]
    return "\n".join(text), {"rows": as_rows[0], "crossings": as_rows[1], "ledger": book,
                             "unpaired": unpaired}  # fmt: skip


def _filled(rows_a: pd.DataFrame, rows_b: pd.DataFrame) -> pd.Series:
    """Gold answers of A, from B where A has none: a comparison needs them only to be the same."""
    theirs = rows_b.drop_duplicates("item_id").set_index("item_id").gold
    return rows_a.gold.where(rows_a.gold.ne(""), rows_a.item_id.map(theirs).fillna(""))


def _sampling(graded: Graded) -> str:
    names = set(graded.rollouts.decoding) - {"greedy"}
    return ", ".join(sorted(names)) or "greedy"


def _ledger(a: pd.DataFrame, b: pd.DataFrame, most: list[int]) -> list[dict[str, Any]]:
    """The ledger from A to B at the small K of the rule and at the largest."""
    if a.empty or not most:
        return []
    ks = sorted({min(SUPPORT_K, most[0]), most[0]})
    return [{"k": k, "items": len(a), **ledger(a, b, k)} for k in ks]


def _ledger_lines(book: list[dict[str, Any]]) -> Iterator[str]:
    for row in book:
        yield (
            f"Ledger from A to B at K = {row['k']}: of {row['items']} items {row['kept']} kept, "
            f"{row['lost']} lost ({row['lost_by_chance']:.1f} by chance), {row['new']} new "
            f"({row['new_by_chance']:.1f} by chance), {row['never']} never"
        )


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows over all items and of each data set, with their name in the column shown."""
    rows = rows[rows.scope.isin(["overall", "dataset"])]
    names = rows.name.map(printable)  # of any file: it may hold signs that steer a terminal
    return rows.assign(shown=names.where(rows.scope == "dataset", "all items"))


def _crossing_lines(found: pd.DataFrame) -> Iterator[str]:
    """One sentence for all items and for each data set."""
    for row in cast(Any, named(found)).itertuples():
        if pd.isna(row.k):
            yield f"{row.shown}: the Pass@K curves do not cross"
        else:
            ends = tables.interval(row.k, row.low, row.high, "number")
            yield f"{row.shown}: the Pass@K curves cross at K = {ends}, in " + (
                f"{tables.number(row.share)} of the draws"
            )

"""The numbers that data/claims.yaml asks a notebook for, in the world that each is decided in.

    keep(results, {"h4": estimate, "h4_words": None}, groups, world="drawn")

A run on other groups keeps the same numbers under names that end in that world's, and None under
the claim's own: nothing measured elsewhere decides a claim.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from medrl_core.data import groups as kinds
from medrl_core.report.results import Results
from medrl_core.score.intervals import Estimate


def world_of(groups: Sequence[str]) -> str:
    """Return the kind of all groups, "drawn" for one; "mixed" where they differ."""
    found = {kinds.kind(group) for group in groups}
    return found.pop() if len(found) == 1 else "mixed"


def keep(
    results: Results,
    numbers: Mapping[str, Estimate | None],
    groups: Sequence[str],
    *,
    world: str,
    levels: Collection[str] = (),
) -> None:
    """Keep claim numbers; None where the situation did not occur.

    Arguments:
        results: of the run.
        numbers: name in data/claims.yaml to estimate.
        groups: that were asked.
        world: in which the claim is decided.
        levels: names of those that are no differences: they are shown in percent.
    """
    here = world_of(groups)
    for name, estimate in numbers.items():
        unit = "percent" if name in levels else "points"
        if here != world:
            results.number(name, None, unit=unit)
        kept = name if here == world else f"{name}_{here}"
        if estimate is None:
            results.number(kept, None, unit=unit)
        else:
            results.estimate(kept, estimate, unit)

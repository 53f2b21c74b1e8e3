"""Verdicts: what an interval says of a claim, corrected for the number of claims.

    >>> one = Finding(value=0.62, low=0.50, high=0.74, threshold=0.5, margin=0.1)
    >>> judge([one]).verdict
    ['undecided']

A claim says that a number lies above a threshold. Its verdict is one of `VERDICTS`, by the whole
interval and never by its middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from medrl_core.score.intervals import holm

VERDICTS = ("reproduced", "reversed", "no effect", "undecided", "not tested")
LEVEL = 0.05
POWER = 0.8


@dataclass(frozen=True)
class Finding:
    """The number that decides a claim, and what the claim says of it.

    Arguments:
        value, low, high: the number and its 95 % interval; None or nan where it was not measured.
        threshold: the claim says that the number lies above it; 0 or more.
        margin: what lies between plus and minus this counts as no effect.
        above: False where the claim says "below minus the threshold"; the signs are turned first.
    """

    value: float | None
    low: float | None
    high: float | None
    threshold: float
    margin: float
    above: bool = True

    @property
    def tested(self) -> bool:
        """Whether there is a number with an interval."""
        ends = [np.nan if end is None else end for end in (self.value, self.low, self.high)]
        return bool(np.isfinite(ends).all())

    @property
    def error(self) -> float:
        """Standard error, read off the interval as if it were a normal one; nan if not tested."""
        _, low, high = _ends(self)
        return float((high - low) / (2 * norm.isf(LEVEL / 2)))


def detectable(error: float) -> float:
    """Give the smallest effect that a two-sided test would have found with 80 % power.

    Arguments: `error` standard error of the estimate.
    Source: (z of 1 - level / 2 plus z of the power) standard errors.
    """
    return float((norm.isf(LEVEL / 2) + norm.isf(1 - POWER)) * error)


def judge(findings: Sequence[Finding]) -> pd.DataFrame:
    """Judge the deciding numbers of one study together.

    Arguments: `findings` in the order of the claims.
    Returns: one row a finding: verdict, p (two-sided, that the number lies on the nearer of the
    claim's two thresholds, Holm-adjusted over what was tested; nan if not) and detectable.
    Source: Holm 1979 for the correction; p by a normal approximation of the interval.
    """
    tested = [number for number, one in enumerate(findings) if one.tested]
    adjusted = np.full(len(findings), np.nan)
    adjusted[tested] = holm([_p(findings[number]) for number in tested])
    return pd.DataFrame(
        {
            "verdict": [_verdict(one, p) for one, p in zip(findings, adjusted, strict=True)],
            "p": adjusted,
            "detectable": [detectable(one.error) for one in findings],
        }
    )


def _ends(one: Finding) -> tuple[float, float, float]:
    """Value, low and high, turned round where the claim is of a number below; nan where missing."""
    value, low, high = (np.nan if end is None else end for end in (one.value, one.low, one.high))
    return (value, low, high) if one.above else (-value, -high, -low)


def _p(one: Finding) -> float:
    value, *_ = _ends(one)
    near = one.threshold if value >= 0 else -one.threshold
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(2 * norm.sf(abs(np.nan_to_num(np.divide(value - near, one.error)))))


def _verdict(one: Finding, p: float) -> str:
    if not one.tested:
        return "not tested"
    _, low, high = _ends(one)
    if low > one.threshold and p < LEVEL:
        return "reproduced"
    if high < -one.threshold and p < LEVEL:
        return "reversed"
    if -one.margin < low and high < one.margin:
        return "no effect"
    return "undecided"

"""The law: one right completion is enough, then the run needs time to grow.

    P(take-off by N) = 1 - exp(-p s (N - G)),   G = a p^-b

N completions are sampled, each right with chance p; a share s of them is about the items that one
change would fix (1 where one rule governs all). G scatters from run to run; a p^-b is its median.
The parameters come from recorded runs and are kept with their bootstrap draws in `data/law.json`:

    python -m medrl_core.score.law data/records/twin/law.parquet --out data/law.json

    >>> law = load_law("data/law.json", mark=0.2)
    >>> predict(law, p=0.003, n=4096)
    Prediction(chance=..., low=..., high=..., expected_hits=12.288, growth=..., enough=...)

It needs no torch. Run its test: `pytest tests/score/test_law.py`.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize
from scipy.special import ndtri

from medrl_core.errors import UserError
from medrl_core.files import sha256, write_text
from medrl_core.score.intervals import share_of

Floats = NDArray[np.float64]
PATH = Path("data/law.json")
# Gains in Acc@1: a first one, which constant words reach, and the rule learnt.
TOOK_OFF, LEARNT = 0.2, 0.6
KL = 0.01  # weight in the usual runs
DRAWS = 200
HELD_OUT = 200  # runs of seeds from this on are for calibration, and never fitted
# Growth times are lognormal about their median: averages over them take these quantiles.
_QUANTILES = ndtri((np.arange(41) + 0.5) / 41)
_START = (np.log(500.0), 0.25, np.log(0.4))
_LEAST = 1e-12  # likelihood of a run that the law excludes; keeps the logarithm finite
RUN_COLUMNS = ("p", "share", "low", "high")


@dataclass(frozen=True)
class Law:
    """Fitted parameters of the law.

    Arguments:
        mark: what counts as take-off: the gain in Acc@1 that a run or a fact must pass.
        unit: "run", or "fact" where each entry of a code book takes off by itself.
        kl: weight of the KL divergence in the runs that it was fitted to.
        a: median growth in completions at p = 1, were it to hold there.
        b: how it falls with p.
        scatter: standard deviation of the logarithm of the growth; 0 for none.
        draws: (D, 3) bootstrap draws of a, b and scatter; D may be 0.
        about: what it was fitted on: runs, runs that met a right answer, settings, source.
    """

    mark: float
    unit: str
    kl: float
    a: float
    b: float
    scatter: float
    draws: tuple[tuple[float, float, float], ...] = ()
    about: dict[str, Any] = field(default_factory=dict[str, Any])

    def growth(self, p: ArrayLike) -> Floats:
        """Give the median of completions from the first right one to take-off."""
        return _growth(self.a, self.b, _chances(p))

    def chance(self, p: ArrayLike, n: ArrayLike, share: ArrayLike = 1.0) -> Floats:
        """Give the chance of take-off within n completions.

        Arguments: `p` in [0, 1], `n`, `share`: arrays that broadcast.
        """
        return _taken(np.array([self.a, self.b, self.scatter]), p, n, share)


@dataclass(frozen=True)
class Prediction:
    """What the law says of a run before it is paid for.

    Arguments:
        chance: of take-off; `low` and `high` are its interval, nan where the law has no draws.
        expected_hits: right completions that the base would sample in the budget.
        growth: median of completions from the first right one to take-off.
        enough: completions for a chance of 95 %.
    """

    chance: float
    low: float
    high: float
    expected_hits: float
    growth: float
    enough: float


def predict(
    law: Law, p: float, n: float, *, share: float = 1.0, p_draws: ArrayLike | None = None
) -> Prediction:
    """Predict whether RL takes off.

    Arguments: `p` chance of a right completion over the items that one change would fix; `n`
        completions in the budget; `share` of them on those items; `p_draws` (M,) draws of p, such
        as those of a bootstrap over items, which widen the interval.
    Returns: the chance with a 95 % interval over the law's parameters and p.
    """
    low = high = float("nan")
    if law.draws:
        ps = np.atleast_1d(_chances(p if p_draws is None else p_draws))
        size = max(len(law.draws), len(ps))
        some = [
            float(_taken(np.array(law.draws[i % len(law.draws)]), ps[i % len(ps)], n, share))
            for i in range(size)
        ]
        low, high = (float(end) for end in np.quantile(some, [0.025, 0.975]))
    return Prediction(
        float(law.chance(p, n, share)), low, high, float(p * share * n), float(law.growth(p)),
        completions_for(law, p, share=share),
    )  # fmt: skip


def completions_for(law: Law, p: float, chance: float = 0.95, *, share: float = 1.0) -> float:
    """Give the completions after which RL has taken off with a chance; inf where p is 0."""
    rate = float(_chances(p)) * share
    if rate == 0:
        return float("inf")
    most = float(law.growth(p)) * np.exp(10 * law.scatter) - np.log(1 - chance) / rate
    return float(brentq(lambda n: float(law.chance(p, n, share)) - chance, 0.0, most + 1))


def _chances(p: ArrayLike) -> Floats:
    p = np.asarray(p, dtype=float)
    if np.any(~((p >= 0) & (p <= 1))):
        raise UserError("the law is of a chance p from 0 to 1; give p from exact support or c / n")
    return p


def _growth(a: float, b: float, p: Floats) -> Floats:
    with np.errstate(divide="ignore"):  # without support it takes forever
        return a * p**-b


def _taken(parameters: Floats, p: ArrayLike, n: ArrayLike, share: ArrayLike) -> Floats:
    a, b, scatter = parameters
    p, n, share = np.broadcast_arrays(_chances(p), np.asarray(n, float), np.asarray(share, float))
    growth = _growth(a, b, p)[..., None] * np.exp(scatter * _QUANTILES)
    left = np.maximum(n[..., None] - growth, 0.0)
    return -np.expm1(-(p * share)[..., None] * left).mean(-1) + 0.0  # no -0.0


def take_off(n: ArrayLike, acc: ArrayLike, mark: float) -> tuple[float, float]:
    """Find between which evaluations Acc@1 first gained more than a mark.

    Arguments: `n` completions at each evaluation, from 0; `acc` Acc@1 there; `mark`.
    Returns: the evaluation before and the one at which it is passed; the last one and inf where it
        never is.
    """
    at, reached = np.asarray(n, float), np.asarray(acc, float)
    passed = np.flatnonzero(reached - reached[0] > mark)
    if not len(passed):
        return float(at[-1]), float("inf")
    return float(at[passed[0] - 1]), float(at[passed[0]])


def fit(
    runs: pd.DataFrame, *, mark: float, unit: str = "run", kl: float = KL,
    draws: int | None = None, seed: int = 0, about: dict[str, Any] | None = None,
) -> Law:
    """Fit the law by maximum likelihood to runs whose take-off lies between two evaluations.

    Arguments:
        runs: one row a run (or fact): p of the base, share, low and high as `take_off` gives; and
            cluster, which is resampled as a whole (each row its own where there is none).
        mark, unit, kl, about: kept with the law.
        draws: bootstrap draws of the clusters, 0 for none; None for DRAWS.
        seed: of the bootstrap.
    Raises: UserError: columns missing, or fewer than two runs that took off.
    """
    missing = [name for name in RUN_COLUMNS if name not in runs]
    if missing:
        raise UserError(f"the law is fitted to runs with the columns {', '.join(RUN_COLUMNS)}; "
                        f"missing: {', '.join(missing)}")  # fmt: skip
    if np.isfinite(runs.high).sum() < 2:
        raise UserError("the law needs at least two runs that took off: add runs or completions")
    columns = runs[list(RUN_COLUMNS)].to_numpy(float)
    best = _maximise(columns, np.array(_START))
    clusters = runs.cluster if "cluster" in runs else pd.Series(range(len(runs)))
    codes = np.asarray(pd.factorize(clusters)[0], dtype=np.int64)
    members: list[NDArray[np.int64]] = [
        np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)
    ]
    rng = np.random.default_rng(seed)
    found: list[tuple[float, float, float]] = []
    while len(found) < (DRAWS if draws is None else draws):
        picked: list[int] = rng.integers(len(members), size=len(members)).tolist()
        drawn = np.concatenate([members[i] for i in picked])
        if np.isfinite(columns[drawn, 3]).sum() >= 2:
            found.append(_natural(_maximise(columns[drawn], best)))
    return Law(mark, unit, kl, *_natural(best), tuple(found), about or {})


def _natural(free: Floats) -> tuple[float, float, float]:
    return float(np.exp(free[0])), float(free[1]), float(np.exp(free[2]))


def _maximise(columns: Floats, start: Floats) -> Floats:
    """Maximise the likelihood over log a, b and log scatter."""
    p, share, low, high = columns.T
    ended = np.isinf(high)
    watched = high.copy()
    watched[ended] = low[ended]

    def loss(free: Floats) -> float:
        if abs(free[2]) > 5:
            return 1e12
        parameters = np.array(_natural(free))
        by_low = _taken(parameters, p, low, share)
        by_high = np.where(ended, 1.0, _taken(parameters, p, watched, share))
        return -float(np.log(np.maximum(by_high - by_low, _LEAST)).sum())

    # The likelihood has kinks where N = G, so no gradient is used.
    found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-4})
    return np.asarray(found.x, dtype=float)


def calibration(
    law: Law, runs: pd.DataFrame, budgets: Sequence[float], bins: Sequence[float]
) -> pd.DataFrame:
    """Hold predictions against what runs did, best on runs that the law was not fitted on.

    A run counts at every budget that it was watched to. Rows of one run are not independent, so
    the interval (Wilson) takes the number of runs, not of rows.

    Arguments: `runs` as for `fit`; `budgets` in completions; `bins` edges of the predicted chance.
    Returns: one row a bin that is not empty: predicted (mean), observed, rows, runs, low, high.
    """
    parts: list[pd.DataFrame] = []
    for budget in budgets:
        watched = runs[(runs.low >= budget) | np.isfinite(runs.high)]
        parts.append(
            pd.DataFrame(
                {
                    "run": watched.index,
                    "predicted": law.chance(watched.p, budget, watched.share),
                    "observed": (watched.high <= budget).to_numpy(float),
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    table["bin"] = pd.cut(table.predicted, bins, include_lowest=True)
    rows: list[tuple[float, ...]] = []
    for part in _parts(table, ["bin"]):
        n, observed = part.run.nunique(), float(part.observed.mean())
        ends = share_of(round(observed * n), n)
        rows.append((part.predicted.mean(), observed, len(part), n, ends.low, ends.high))
    return pd.DataFrame(rows, columns=["predicted", "observed", "rows", "runs", "low", "high"])


def _parts(table: pd.DataFrame, by: list[str]) -> list[pd.DataFrame]:
    """Split a table by columns, in the order of their values."""
    return [cast(pd.DataFrame, part) for _, part in table.groupby(by, observed=True)]  # pyright: ignore


def expected_to_meet(runs: pd.DataFrame) -> float:
    """Give how many runs should meet a right answer within what they sampled of the base.

    Arguments: `runs` with p, share and completions (sampled in all, whether or not they took off).
    """
    return float(-np.expm1(-runs.p * runs.share * runs.completions).sum())


def save_laws(laws: Sequence[Law], path: str | os.PathLike[str], source: dict[str, Any]) -> None:
    """Write laws and where they come from as JSON."""
    text = json.dumps({"source": source, "laws": [asdict(law) for law in laws]}, indent=1)
    write_text(Path(path), text + "\n")


def load_law(
    path: str | os.PathLike[str], *, mark: float, unit: str = "run", kl: float = KL
) -> Law:
    """Load a fitted law.

    Raises: UserError if the file is absent, is not one of laws, or has none of that kind.
    """
    try:
        laws = [Law(**one) for one in json.loads(Path(path).read_text(encoding="utf-8"))["laws"]]
    except FileNotFoundError:
        raise UserError(f"{path}: there is no fitted law; fit it to recorded runs") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a file of laws; fit it again ({error})") from error
    for law in laws:
        if (law.mark, law.unit, law.kl) == (mark, unit, kl):
            return replace(law, draws=tuple((a, b, scatter) for a, b, scatter in law.draws))
    known = "; ".join(f"{law.unit}, mark {law.mark}, KL {law.kl}" for law in laws)
    raise UserError(f"{path} has no law of {unit}, mark {mark}, KL {kl}; it has: {known}")


def main() -> None:
    """Fit the laws to recorded runs of the twin and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, help="law.parquet of a grid")
    parser.add_argument("--out", type=Path, default=PATH)
    asked = parser.parse_args()
    recorded = pd.read_parquet(asked.runs)
    table: pd.DataFrame = recorded.loc[recorded.seed < HELD_OUT]
    laws: list[Law] = []
    for part in _parts(table, ["unit", "mark", "kl"]):
        unit, mark, kl = str(part.unit.iloc[0]), float(part.mark.iloc[0]), float(part.kl.iloc[0])
        about = {
            "runs": len(part), "took_off": int(np.isfinite(part.high).sum()),
            "met": int(part["first"].notna().sum()), "expected_to_meet": expected_to_meet(part),
            "trainings": part.cluster.nunique(), "seeds": sorted(part.seed.unique().tolist()),
            "bases": sorted(part.base.unique().tolist()),
            "commits": sorted(part.commit.unique().tolist()),
        }  # fmt: skip
        laws.append(fit(part, mark=mark, unit=unit, kl=kl, about=about))
    save_laws(laws, asked.out, {"file": asked.runs.as_posix(), "sha256": sha256(asked.runs)})


if __name__ == "__main__":
    main()

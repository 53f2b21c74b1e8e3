"""Ours beside the published row of six VQA benchmarks, and what it would take to fill the gaps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from medrl_core.data.homes import EVAL
from medrl_core.score.intervals import Estimate

# Assumed, not measured here: a 7B model on one GPU of 80 GB, many answers at a time by vLLM.
TOKENS_PER_SECOND = 2000
AVERAGE = "average"


def gpu_hours(n_items: int, k: int, max_new_tokens: int) -> float:
    """GPU hours of asking a benchmark, if every answer were as long as allowed.

    Arguments: `n_items` items, each asked greedily and `k` times; `max_new_tokens` of an answer.
    Returns: items x (K + 1) x tokens / TOKENS_PER_SECOND / 3600.
    """
    return n_items * (k + 1) * max_new_tokens / TOKENS_PER_SECOND / 3600


def command(benchmark: str, study: str = "paper") -> str:
    """What a reader with a GPU and the hub types to ask a benchmark; HASH is the commit to pin."""
    source = f"'sources={{{benchmark}: {EVAL}@HASH}}'"
    return f"medrl run 07_vqa --study {study} -p 'benchmarks=[{benchmark}]' -p {source}"


def beside(
    published: Mapping[str, float],
    ours: Mapping[str, Estimate],
    *,
    n_items: int,
    k: int,
    max_new_tokens: int,
) -> pd.DataFrame:
    """One row a benchmark, then the average of the columns and the average as published.

    Arguments:
        published: benchmark to accuracy in percent as listed, and `average`.
        ours: benchmark to Acc@1 on its closed questions, where it was asked.
        n_items, k, max_new_tokens: how the others would be asked.

    Returns:
        Columns benchmark, published (percent), value, low, high (fractions, nan where not run),
        n, gpu_hours and command (of what is not run). Our average has no interval, and is there
        only if all benchmarks are.
    """
    hours = gpu_hours(n_items, k, max_new_tokens)
    names = [name for name in published if name != AVERAGE]
    rows = []
    for name in names:
        row = {"benchmark": name, "published": float(published[name])}
        if name in ours:
            one = ours[name]
            row |= {"value": one.value, "low": one.low, "high": one.high, "n": one.n}
        else:
            row |= {"gpu_hours": hours, "command": command(name)}
        rows.append(row)
    whole = all(name in ours for name in names)
    mean = float(np.mean([ours[name].value for name in names])) if whole else np.nan
    listed = float(np.mean([published[name] for name in names]))
    rows.append({"benchmark": "average of the column", "published": listed, "value": mean})
    rows.append({"benchmark": "average as published", "published": float(published[AVERAGE])})
    columns = ["benchmark", "published", "value", "low", "high", "n", "gpu_hours", "command"]
    return pd.DataFrame(rows, columns=columns)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table of `beside` as text: benchmark, published, ours, questions, GPU hours to run."""
    averages = table.benchmark.str.startswith(AVERAGE)
    rows = []
    for row, average in zip(table.itertuples(), averages, strict=True):
        ours = "" if average else "not run"
        if not np.isnan(row.value):
            ours = f"{100 * row.value:.1f}"
            if not np.isnan(row.low):
                ours += f" [{100 * row.low:.1f}, {100 * row.high:.1f}]"
        listed = f"{row.published:.2f}" if average else f"{row.published:g}"
        n = "" if np.isnan(row.n) else f"{row.n:.0f}"
        hours = "" if np.isnan(row.gpu_hours) else f"at most {row.gpu_hours:.1f}"
        rows.append((row.benchmark, listed, ours, n, hours))
    columns = ["benchmark", "published", "ours", "questions", "GPU hours to run"]
    return pd.DataFrame(rows, columns=columns)

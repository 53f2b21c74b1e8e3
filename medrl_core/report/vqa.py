"""What a model says on VQA benchmarks: closed and open questions apart, each with its guess floor.

    scores = ask(lab, benchmarks.load(["VQA-RAD"], "vqa"))      # rows of `statistics.score`
    closed(scores)                                              # benchmark to Acc@1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medrl_core.data import benchmarks as files
from medrl_core.data.items import Item
from medrl_core.report.experiment import Experiment
from medrl_core.sample.sampling import GREEDY
from medrl_core.score import support
from medrl_core.score.evaluate import evaluate
from medrl_core.score.intervals import Estimate
from medrl_core.score.statistics import SCORE_COLUMNS, score

TOLD = ("answered", "commonest", "information")  # columns beside each Acc@1


def ask(lab: Experiment, asked: Mapping[str, Sequence[Item]]) -> pd.DataFrame:
    """Ask each benchmark and score closed, open and all questions.

    Returns:
        Rows of `statistics.score` over all items of each, with benchmark, questions and panel.
    """
    parts = []
    for name, items in asked.items():
        net, processor = lab.model()
        frame = evaluate(
            net, processor, items, lab.store, k=lab.k, decoding=lab.decoding,
            seed=lab.sampling_seed, model_name="base", model_hash=lab.init_hash,
        )  # fmt: skip
        kinds = frame.n_options.gt(0).map({True: "closed", False: "open"})
        for kind, part in (*frame.groupby(kinds), ("all", frame)):
            found = score(part, seed=lab.seed)
            found = found[found.scope == "overall"]
            named = {"benchmark": name, "questions": kind, "panel": f"{name}, {kind}"}
            parts.append(found.assign(**named, **_told(part)))
    columns = [*SCORE_COLUMNS, "benchmark", "questions", "panel", *TOLD]
    return pd.concat(parts) if parts else pd.DataFrame(columns=columns)


def _told(frame: pd.DataFrame) -> dict[str, float]:
    """What greedy answers tell: share that could be read, of those the commonest, and bits."""
    greedy = frame[frame.sample_index == GREEDY]
    said = greedy.parsed.dropna().astype(str)
    commonest = support.commonest_share(said) if len(said) else np.nan
    bits = support.information(greedy.gold.astype(str), greedy.parsed.fillna("").astype(str))
    return dict(zip(TOLD, (len(said) / len(greedy), commonest, bits), strict=True))


def narrow(scores: pd.DataFrame, k: int) -> pd.DataFrame:
    """Return Acc@1, Pass@K and its floor, with what answers tell, one row a metric."""
    at_k = scores.metric.isin(["pass@k", "guess_floor@k"]) & (scores.k == k)
    columns = ["benchmark", "questions", "metric", "value", "low", "high", "n_items", *TOLD]
    return scores[(scores.metric == "acc@1") | at_k][columns]


def accuracies(scores: pd.DataFrame) -> dict[str, Estimate]:
    """Return Acc@1 by the name of its number, for example acc1_vqa_rad_closed."""
    return {
        f"acc1_{files.slug(row.benchmark)}_{row.questions}": _estimate(row)
        for row in _rows(scores[scores.metric == "acc@1"])
    }


def closed(scores: pd.DataFrame) -> dict[str, Estimate]:
    """Return Acc@1 on closed questions by benchmark."""
    rows = scores[(scores.metric == "acc@1") & (scores.questions == "closed")]
    return {row.benchmark: _estimate(row) for row in _rows(rows)}


def _rows(table: pd.DataFrame) -> Any:
    return table.itertuples()


def _estimate(row) -> Estimate:
    return Estimate(row.value, row.low, row.high, row.n_items)


def there(
    names: Sequence[str], asked: Mapping[str, Sequence[Item]], vqa_root: str | None
) -> pd.DataFrame:
    """Say what each benchmark has here: items, closed ones, pictures, and what training has too."""
    rows = []
    for name in names:
        items = asked.get(name)
        if items is None:
            missing = dict.fromkeys(["items", "closed", "pictures"], "not run")
            rows.append({"benchmark": name} | missing)
            continue
        trained = files.training(name, vqa_root)
        found = files.shared(trained, items)
        rows.append(
            {
                "benchmark": name,
                "items": len(items),
                "closed": sum(item.n_options > 0 for item in items),
                "pictures": found["pictures"],
                "also in training": found["also_trained"] if trained else "no training items there",
                "items on those": found["items"] if trained else "",
            }
        )
    return pd.DataFrame(rows).fillna("")


def title(scores: pd.DataFrame, k: int) -> str:
    """Say as a title where Pass@K of all questions lies beside its guess floor."""
    said = []
    for name, part in scores[(scores.questions == "all") & (scores.k == k)].groupby("benchmark"):
        value = part.set_index("metric").value
        said.append(f"{name} {100 * value['pass@k']:.0f}% ({100 * value['guess_floor@k']:.0f}%)")
    return f"Pass@{k} (guess floor): {', '.join(said)}"


def finding(scores: pd.DataFrame, k: int) -> str:
    """Say what was found as Markdown."""
    if not len(scores):
        return "Not run: no benchmark's files are there (parameter vqa_root)."
    lines = []
    for panel, part in scores.groupby("panel", sort=False):
        acc = part[part.metric == "acc@1"].iloc[0]
        at_k = part[part.k == k].set_index("metric").value
        lines.append(
            f"- **{panel}** ({acc.n_items} items): Acc@1 {100 * acc.value:.1f}% "
            f"[{100 * acc.low:.1f}, {100 * acc.high:.1f}], Pass@{k} {100 * at_k['pass@k']:.1f}%, "
            f"guess floor {100 * at_k['guess_floor@k']:.1f}%; {100 * acc.answered:.0f}% could "
            f"be read, the answers tell {acc.information:.2f} bits"
        )
    return "\n".join(lines)

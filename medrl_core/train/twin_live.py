"""Small studies on the twin that a notebook runs while the reader waits: the law, and SFT's map.

    >>> base = load("data/twin-base/rules-11.safetensors")
    >>> looks = law_looks(base, LAW_LEVELS, seeds=(100, 101, 102, 103))  # 24 runs, about 70 CPU-s
    >>> beside(load_law("data/law.json", mark=0.2), to_runs(looks, mark=0.2), (512, 2048, 4096))

To move a dial, take `redial(base, "chest film", (0.02, 1, 1), seed=100)`
of `medrl_core.train.twin_base`
first: 14
CPU-seconds, and the law is asked at a p of the reader's choice.
Run its test: `pytest tests/train/test_twin_live.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medrl_core.models.twin import Twin
from medrl_core.score.law import Law, take_off
from medrl_core.score.support import pass_curve
from medrl_core.score.twin import exact_p, greedy, questions
from medrl_core.train.twin import Rl, Sft, train_rl, train_sft

# Six levels of support: p about .23, .045, .011, .0025, 6e-4 and 1.2e-4.
LAW_LEVELS = (
    "chest film", "brain MRI", "thyroid scan", "cardiac echo", "dental film", "liver ultrasound",
)  # fmt: skip


def law_looks(
    base: Twin, modalities: Sequence[str], *, seeds: Sequence[int], recipe: Rl | None = None
) -> pd.DataFrame:
    """Run RL on modalities and look at Acc@1 on the way.

    Arguments: `base`; `modalities`; `seeds` of training; `recipe` of every run.
    Returns: one row an evaluation: modality, seed, run, p (of the base), n, hits, acc, words, and
        the first right completion of the run.
    """
    rows = []
    for number, modality in enumerate(modalities):
        p = float(exact_p(base, questions(base.vocabulary, modality)).mean())
        for seed in seeds:
            _, trace = train_rl(base, modality, recipe, seed=seed, look_every=256, enough=0.95)
            looks = trace.looks[["n", "hits", "acc", "words"]].assign(
                modality=modality, seed=seed, run=number * len(seeds) + list(seeds).index(seed),
                p=p, first_right=trace.first_right,
            )  # fmt: skip
            rows.append(looks)
    return pd.concat(rows, ignore_index=True)


def to_runs(looks: pd.DataFrame, mark: float) -> pd.DataFrame:
    """Give of each run when it took off, as `medrl_core.score.law` takes it.

    Arguments: `looks` as `law_looks` returns; `mark`: the gain in Acc@1.
    Returns: one row a run: modality, seed, p, share, low, high, first_right.
    """
    rows = []
    for _, part in looks.groupby("run"):
        one, (low, high) = part.iloc[0], take_off(part.n, part.acc, mark)
        rows.append((one.modality, one.seed, one.p, 1.0, low, high, one.first_right))
    names = ["modality", "seed", "p", "share", "low", "high", "first_right"]
    return pd.DataFrame(rows, columns=names)


def beside(law: Law, runs: pd.DataFrame, budgets: Sequence[float]) -> pd.DataFrame:
    """Put the runs that took off beside what the law predicts.

    Arguments: `law`; `runs` as `to_runs` returns; `budgets` in completions.
    Returns: one row a modality and budget: p, n, expected_hits, runs, took_off, predicted.
    """
    rows = []
    for _, part in runs.groupby(["modality", "p"], sort=False):
        modality, p = part.modality.iloc[0], float(part.p.iloc[0])
        for n in budgets:
            rows.append(
                {
                    "modality": modality, "p": p, "n": n, "expected_hits": p * n,
                    "runs": len(part), "took_off": int((part.high <= n).sum()),
                    "predicted": float(law.chance(p, n)),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def sft_map(
    base: Twin, modalities: Sequence[str], labels: Sequence[int], *, seeds: Sequence[int],
    then: Rl | None = None,
) -> pd.DataFrame:
    """Fine-tune on a few labels, and go on with RL where that is asked for.

    Arguments: `base`; `modalities`; `labels`, 0 for the base itself; `seeds` of training; `then`:
        settings of RL after SFT, None for none.
    Returns: one row a training: modality, labels, seed, arm ("base", "sft", "rl", "sft_rl"),
        base_p, acc, p, pass@16, pass@256, cpu_seconds.
    """
    rows = []
    for modality in modalities:
        asked = questions(base.vocabulary, modality)
        base_p = float(exact_p(base, asked).mean())
        for seed in seeds:
            for count in labels:
                net, seconds, arm = base, 0.0, "base"
                if count:
                    net, cost = train_sft(base, modality, Sft(labels=count), seed=seed)
                    seconds, arm = cost.cpu_seconds, "sft"
                stages = [(arm, net, seconds)]
                if then is not None:
                    net, trace = train_rl(net, modality, then, seed=seed)
                    arm = "sft_rl" if count else "rl"
                    stages.append((arm, net, seconds + trace.cost.cpu_seconds))
                for arm, net, seconds in stages:
                    p = exact_p(net, asked, thinks=8, seed=seed)
                    passed = pass_curve(p, ks=(16, 256))
                    rows.append(
                        {
                            "modality": modality, "labels": count, "seed": seed, "arm": arm,
                            "base_p": base_p, "acc": float(np.mean(greedy(net, asked).right)),
                            "p": float(p.mean()), "pass@16": passed[0], "pass@256": passed[1],
                            "cpu_seconds": seconds,
                        }
                    )  # fmt: skip
    return pd.DataFrame(rows)

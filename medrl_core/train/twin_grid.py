"""Run the recorded grids of the twin: thousands of trainings that resume, written as tables.

    python -m medrl_core.train.twin_grid run law --work runs/twin --part 0/2
    python -m medrl_core.train.twin_grid collect --work runs/twin --out data/records/twin

Every finished cell is one line of JSON in `--work`, so a run that was killed goes on where it was,
and parts run side by side, one thread each. `collect` writes runs.parquet (one row a training),
looks.parquet (its evaluations), facts.parquet (its facts), transfer.parquet (all other modalities,
before and after) and law.parquet (what the law is fitted to). The cells are in `twin_cells.py`.
Run its test: `pytest tests/train/test_twin_grid.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from medrl_core.errors import UserError
from medrl_core.models.twin import Twin, load
from medrl_core.score.law import LEARNT, TOOK_OFF, take_off
from medrl_core.score.support import pass_curve
from medrl_core.score.twin import divergence, exact_p, greedy, measure, questions, rivals
from medrl_core.train.care import Care
from medrl_core.train.finished_cells import commit, finished, kept, short
from medrl_core.train.twin import Rl, Sft, train_rejection, train_rl, train_sft
from medrl_core.train.twin_cells import GRIDS, SEEDS, Cell, cells
from medrl_core.train.twin_trace import Cost, Trace

BASES = Path(__file__).parents[2] / "data" / "twin-base"
MARKS = (TOOK_OFF, LEARNT)
PASS = {f"pass@{k}": k for k in (16, 256, 1024)}
# What tells runs apart, repeated in the rows of every table.
KEYS = ("grid", "world", "base", "modality", "arm", "objective", "kl", "labels", "seed", "commit")
FACT_LEARNT = 0.5  # share of a fact's test items that are right


def rl_of(cell: Cell, **changes) -> Rl:
    """Give the settings of a cell's RL, some of them changed."""
    names = ("completions", "learning_rate", "prompts", "group", "kl", "objective", "mixed")
    own = {name: getattr(cell, name) for name in names}
    return Rl(**{**own, "care": Care(bonus=cell.bonus), **changes})


def stream_of(cell: Cell) -> int:
    """Give the seed of a cell's random stream: training seed and base, so that bases differ.

    Arms of one base, modality and training seed share a stream: they see the same items.
    """
    return 1000 * cell.base + cell.seed


Outcome = tuple[Twin, Cost, Trace | None]


def _rl(start: Twin, cell: Cell) -> Outcome:
    asked = questions(start.vocabulary, cell.modality, "test")

    def watch(n: int, net: Twin) -> dict[str, float]:
        """Add p and Pass@K at the start, and at 512 completions and their doubles."""
        if n not in (0, *(512 * 2**i for i in range(9))):
            return {}
        p = exact_p(net, asked, thinks=4, seed=cell.seed)
        passed = dict(zip(PASS, pass_curve(p, ks=PASS.values()), strict=True))
        return {"p": float(p.mean()), **passed}

    net, trace = train_rl(
        start, cell.modality, rl_of(cell), seed=stream_of(cell), look_every=256, enough=cell.enough,
        watch=watch,
    )  # fmt: skip
    return net, trace.cost, trace


def _coin(start: Twin, cell: Cell) -> Outcome:
    _, true = train_rl(start, cell.modality, rl_of(cell), seed=stream_of(cell))
    net, trace = train_rl(
        start, cell.modality, rl_of(cell, reward="coin"), seed=stream_of(cell),
        coin=true.steps.reward.tolist(),
    )  # fmt: skip
    return net, trace.cost, trace


def _format(start: Twin, cell: Cell) -> Outcome:
    net, trace = train_rl(start, cell.modality, rl_of(cell, reward="format"), seed=stream_of(cell))
    return net, trace.cost, trace


def _sft(start: Twin, cell: Cell) -> Outcome:
    recipe = Sft(labels=cell.labels, mixed=cell.mixed)
    return *train_sft(start, cell.first or cell.modality, recipe, seed=stream_of(cell)), None


def _shuffled(start: Twin, cell: Cell) -> Outcome:
    recipe = Sft(labels=cell.labels, shuffled=True)
    return *train_sft(start, cell.modality, recipe, seed=stream_of(cell)), None


def _sft_rl(start: Twin, cell: Cell) -> Outcome:
    bridged, before, _ = _sft(start, cell)
    net, cost, trace = _rl(bridged, cell)
    return net, before + cost, trace


def _rejection(start: Twin, cell: Cell) -> Outcome:
    net, cost = train_rejection(
        start, cell.modality, completions=cell.completions, group=cell.group, seed=stream_of(cell)
    )
    return net, cost, None


def _curriculum(start: Twin, cell: Cell) -> Outcome:
    third = rl_of(cell, completions=cell.completions // 3 // 64 * 64)
    bridged, before = train_rl(start, cell.first, third, seed=stream_of(cell))
    rest = cell.completions - third.completions
    net, cost, trace = _rl(bridged, replace(cell, completions=rest))
    return net, before.cost + cost, trace


def _base(start: Twin, cell: Cell) -> Outcome:
    return start, Cost(), None


ARMS = {
    "base": _base,
    "rl": _rl,
    "sft": _sft,
    "sft_rl": _sft_rl,
    "rft": _rejection,
    "care": _rl,
    "coin": _coin,
    "format": _format,
    "wrong": _rl,
    "shuffled": _shuffled,
    "rate0": _rl,
    "curriculum": _curriculum,
}


@lru_cache(maxsize=1)
def _start(world: str, seed: int) -> Twin:
    return load(BASES / f"{world}-{seed}.safetensors")


@lru_cache(maxsize=64)
def _before(world: str, seed: int, modality: str) -> dict:
    """What is known of a base before training: its p on training items, by fact, and on test."""
    start = _start(world, seed)
    asked = questions(start.vocabulary, modality, "train")
    p, test = exact_p(start, asked), questions(start.vocabulary, modality, "test")
    by_fact = pd.Series(p).groupby(asked.fact).mean()
    return {"p": float(p.mean()), "by_fact": by_fact.tolist(), "test": exact_p(start, test)}


def run_cell(cell: Cell) -> dict:
    """Train and measure one cell.

    Returns: `run`, what is known of the training; `looks`, `facts` and `transfer`, rows.
    """
    start = _start(cell.world, cell.base)
    asked = questions(start.vocabulary, cell.modality, "test")
    validation = questions(start.vocabulary, cell.modality, "validation")
    before = _before(cell.world, cell.base, cell.modality)
    net, cost, trace = ARMS[cell.arm](start, cell)
    after = measure(net, asked, seed=cell.seed)
    row = {
        **asdict(cell), **{f"cost_{name}": value for name, value in vars(cost).items()},
        "base_p": before["p"], "base_test_p": short(before["test"]),
        **vars(after), "p": float(after.p.mean()), "test_p": short(after.p),
        **dict(zip(PASS, pass_curve(after.p, ks=PASS.values()), strict=True)),
        "acc_validation": float(greedy(net, validation).right.mean()),
        "divergence": divergence(net, start, asked, seed=cell.seed),
        "first_right": trace and trace.first_right, "commit": commit(), "torch": torch.__version__,
    }  # fmt: skip
    if cell.arm == "base" and cell.seed == SEEDS[0]:
        untrained = rivals(net, asked, seed=cell.seed)
        row |= {f"{name.replace(' ', '_')}_p": short(p) for name, p in untrained.items()}
    return {
        "run": row,
        "looks": [] if trace is None else _looks(trace).to_dict("records"),
        "facts": [] if trace is None else _facts(trace, before["by_fact"]),
        "transfer": _transfer(net, start) if cell.grid == "transfer" else [],
    }


def _looks(trace: Trace) -> pd.DataFrame:
    """Evaluations, each with the means of the steps since the one before."""
    steps = trace.steps.copy()
    steps["look"] = np.searchsorted(trace.looks.n, steps.n)
    means = steps.groupby("look").mean().drop(columns="n").add_prefix("step_")
    facts = [name for name in trace.looks.columns.astype(str) if name.startswith("acc_")]
    return trace.looks.drop(columns=facts).join(means)


def _facts(trace: Trace, base_p: list[float]) -> list[dict]:
    """One row a fact: the base's p, its first right completion, hits, and when it was learnt."""
    rows = []
    for fact, (first, hits) in enumerate(
        zip(trace.first_by_fact, trace.hits_by_fact, strict=True)
    ):
        column = "acc" if len(base_p) == 1 else f"acc_{fact}"
        low, high = take_off(trace.looks.n, trace.looks[column], FACT_LEARNT)
        rows.append(
            {
                "fact": fact, "base_p": base_p[fact], "share": 1 / len(base_p), "first": first,
                "hits": hits, "low": low, "high": high, "acc": trace.looks[column].iloc[-1],
            }
        )  # fmt: skip
    return rows


def _transfer(net: Twin, start: Twin) -> list[dict]:
    rows = []
    for one in start.vocabulary.world.modalities:
        asked = questions(start.vocabulary, one.name, "test")
        before, after = (exact_p(twin, asked, thinks=4).mean() for twin in (start, net))
        rows.append({"to": one.name, "p_before": float(before), "p_after": float(after)})
    return rows


def run(
    names: list[str], work: Path, part: tuple[int, int], seeds: Sequence[int] = ()
) -> None:
    """Run what is not finished of a part of grids; each finished cell is a line in `work`.

    Arguments: `names` of grids; `work` folder; `part` (i, n); `seeds`: of training, none: all.
    """
    todo = [cell for name in names for cell in cells(name)][part[0] :: part[1]]
    todo = [cell for cell in todo if not seeds or cell.seed in seeds]
    done = {one["key"] for one in finished(work)}
    with kept(work / f"{'-'.join(names)}-{part[0]}-of-{part[1]}.jsonl") as keep:
        for number, cell in enumerate(todo, start=1):
            if cell.key in done:
                continue
            found = {"key": cell.key, **run_cell(cell)}
            keep(found)
            took = found["run"]["cost_cpu_seconds"]
            print(
                f"{number} of {len(todo)}: {cell.arm}, {cell.modality}, seed {cell.seed}: Acc@1 "
                f"{found['run']['acc']:.2f}, {took:.1f} CPU-s", flush=True,
            )  # fmt: skip


def collect(work: Path, out: Path) -> dict[str, pd.DataFrame]:
    """Write the tables of all finished cells.

    Returns: the tables by name.
    Raises: UserError: no cell is finished.
    """
    found = {one["key"]: one for one in finished(work)}
    if not found:
        raise UserError(f"{work}: no cell of a grid is finished there; run one first")
    cells_done = [found[key] for key in sorted(found)]
    tables = {"runs": pd.DataFrame([{"run": i, **one["run"]} for i, one in enumerate(cells_done)])}
    for name in ("looks", "facts", "transfer"):
        rows = [
            {"run": i, **{key: one["run"][key] for key in KEYS}, **row}
            for i, one in enumerate(cells_done) for row in one[name]
        ]  # fmt: skip
        tables[name] = pd.DataFrame(rows)
    tables["law"] = law_runs(tables["runs"], tables["looks"], tables["facts"])
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        for column in table.columns.astype(str):
            if column.endswith("_p") and table[column].dtype == object:  # one number an item
                table[column] = table[column].map(np.float32, na_action="ignore")
        table.to_parquet(out / f"{name}.parquet", index=False, compression="zstd")
    return tables


def law_runs(runs: pd.DataFrame, looks: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Give what the law is fitted to: runs of RL from a base, at the default settings.

    Returns: one row a run and mark, or a fact of a book, with the columns of
        `medrl_core.score.law.fit`, unit, mark, seed, base, kl, completions, first and cluster.
    """
    plain = runs[runs.grid.isin(["law", "law without KL", "facts"])].set_index("run")
    rows = []
    for run, one in plain.iterrows():
        shared = {
            "run": run, "cluster": run, "world": one.world, "base": one.base,
            "modality": one.modality, "seed": one.seed, "kl": one.kl, "commit": one.commit,
        }  # fmt: skip
        if one.world == "books":
            for fact in facts[facts.run == run].itertuples():
                rows.append(
                    {
                        **shared, "unit": "fact", "mark": FACT_LEARNT, "p": fact.base_p,
                        "share": fact.share, "first": fact.first, "low": fact.low,
                        "high": fact.high, "completions": one.completions,
                    }
                )  # fmt: skip
            continue
        seen = looks[looks.run == run]
        for mark in MARKS:
            if seen.acc.iloc[0] > 0.95 - mark:  # no room for such a gain
                continue
            low, high = take_off(seen.n, seen.acc, mark)
            rows.append(
                {
                    **shared, "unit": "run", "mark": mark, "p": one.base_p, "share": 1.0,
                    "first": one.first_right, "low": low, "high": high,
                    "completions": one.completions,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Run a part of a grid, or collect what is finished."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    doing = parser.add_subparsers(dest="doing", required=True)
    running = doing.add_parser("run", help="train what is not finished")
    running.add_argument("grids", nargs="+", choices=GRIDS)
    running.add_argument("--seeds", type=int, nargs="*", default=[], help="of training; all")
    running.add_argument("--part", default="0/1", help="i/n: every n-th cell, from the i-th on")
    collecting = doing.add_parser("collect", help="write the tables")
    collecting.add_argument("--out", type=Path, default=Path("data/records/twin"))
    for one in (running, collecting):
        one.add_argument("--work", type=Path, default=Path("runs/twin"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.doing == "collect":
        for name, table in collect(asked.work, asked.out).items():
            print(f"{name}: {len(table)} rows")
    else:
        first, of = (int(number) for number in asked.part.split("/"))
        run(asked.grids, asked.work, (first, of), asked.seeds)


if __name__ == "__main__":
    main()

"""Run the recorded grid with pictures: trainings that resume, written as tables.

    python -m medrl_core.train.drawn_grid run --work runs/drawn
    python -m medrl_core.train.drawn_grid collect --work runs/drawn --out data/records/drawn

Every finished cell is one line of JSON in `--work`, so a run that was killed goes on where it was;
`--part 0/2` and `--part 1/2` run side by side, one thread each. The cells and their order are in
`drawn_cells.py`; the tables are those of the twin (`twin_grid.collect`): runs, looks, facts,
transfer and law. Each row says its commit, seed and cost.
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch

from medrl_core.data.drawn.items import build_items
from medrl_core.data.drawn.labels import mixed, shuffled
from medrl_core.data.drawn.modalities import WORLDS, World
from medrl_core.data.items import Item
from medrl_core.models import hub
from medrl_core.sample.sampling import Decoding, sample
from medrl_core.score import rivals
from medrl_core.score.evaluate import rollout_rows
from medrl_core.score.exact_support import report_support
from medrl_core.score.law import take_off
from medrl_core.score.support import pass_curve
from medrl_core.train import rl, sft
from medrl_core.train.care import Care
from medrl_core.train.drawn_cells import DrawnCell, cells
from medrl_core.train.drawn_looks import Looks, numbers
from medrl_core.train.finished_cells import commit, finished, kept, short
from medrl_core.train.rewards import Coin, reading_of
from medrl_core.train.twin_grid import FACT_LEARNT, PASS, collect
from medrl_core.train.twin_trace import Cost

DATA = Path(__file__).parents[2] / "data"
BASES = {("rules", 11): DATA / "drawn-base", ("rules", 12): DATA / "drawn-base-12"}
MOST_NEW_TOKENS = 24
ITEMS = 128  # test items
TRAIN_ITEMS = 256  # training items that the base's p is taken over
TOKENS = 48  # of a prompt and a completion
BATCH, PASSES, RATE = 16, 8, 1e-3  # of SFT


@dataclass
class Outcome:
    """A trained model with what its training showed and consumed."""

    net: Any
    cost: Cost
    record: pd.DataFrame | None = None
    looks: Looks | None = None


class Bench:
    """The base of a cell, its items, and the arms.

    Arguments: `cell`; `rates` the accuracy of the RL arm at each step, by `_place`, where known.
    """

    def __init__(self, cell: DrawnCell, rates: dict[str, list[float]]):
        self.cell, self.rates, self.world = cell, rates, WORLDS[cell.world]
        self.start, self.processor = _start(cell.world, cell.base)

    def items(self, split: str, n: int | None = None, modality: str = "") -> list[Item]:
        """Items of the cell's modality, or of another; those of training are the seed's."""
        seed = self.cell.seed if split == "train" else 0
        return build_items(self.world, modality or self.cell.modality, split, n=n, seed=seed)

    def net(self) -> torch.nn.Module:
        """A copy of the base."""
        return copy.deepcopy(self.start)

    def rl(self, net, *, rewards=("accuracy",), modality: str = "", **changes) -> Outcome:
        """Train with RL; looks at the test items of the cell's own modality."""
        cell = self.cell
        settings = rl.RL(
            **{
                "completions": cell.completions,
                "objective": cell.objective,
                "rewards": rewards,
                "learning_rate": cell.learning_rate,
                "beta": cell.kl,
                "group": cell.group,
                "per_step": cell.prompts * cell.group,
                "max_new_tokens": MOST_NEW_TOKENS,
                "train_vision": cell.train_vision,
                "care": Care(bonus=cell.bonus),
                **changes,
            }
        )
        asked = self.items("train", settings.completions // settings.group, modality)
        if cell.mixed:
            asked = mixed(asked, self.world, cell.mixed, cell.seed)
        looks = Looks(net, self.processor, self.items("test", ITEMS), settings, cell.enough, PASS)
        started = time.process_time()
        trained = rl.train(
            net, self.processor, asked, settings, seed=cell.seed, label=f"{cell.arm}",
            callbacks=[looks],
        )  # fmt: skip
        seconds = time.process_time() - started - looks.seconds
        n = len(trained.record) * settings.per_step
        cost = Cost(n, 0, n // settings.group, 5 / 3 * TOKENS * n, seconds)
        return Outcome(trained.net, cost, trained.record, looks)

    def sft(self, net, items: list[Item], passes: int = PASSES) -> Outcome:
        """Train on labelled items: reading and report."""
        steps = passes * -(-len(items) // BATCH)
        started = time.process_time()
        net, _ = sft.train(
            net, self.processor, items, steps=steps, batch_size=min(BATCH, len(items)),
            learning_rate=RATE, train_vision=self.cell.train_vision, seed=self.cell.seed,
            label=self.cell.arm,
        )  # fmt: skip
        shown = passes * len(items)
        seconds = time.process_time() - started
        return Outcome(net, Cost(0, shown, len(items), float(TOKENS * shown), seconds))

    def labelled(self) -> list[Item]:
        """The cell's labels: of another modality, of mixed convention, or shuffled."""
        cell = self.cell
        items = self.items("train", cell.labels, cell.first)
        if cell.arm == "shuffled":
            return shuffled(items, cell.seed)
        return mixed(items, self.world, cell.mixed, cell.seed) if cell.mixed else items

    def make(self) -> Outcome:
        """Train the arm that the cell names."""
        return getattr(self, f"_{self.cell.arm}")()

    def _base(self) -> Outcome:
        return Outcome(self.net(), Cost())

    def _rl(self) -> Outcome:
        return self.rl(self.net())

    _care = _wrong = _rate0 = _rl

    def _format(self) -> Outcome:
        return self.rl(self.net(), rewards=("format",))

    def _coin(self) -> Outcome:
        place = _place(self.cell)
        if place not in self.rates:
            found = cast(pd.DataFrame, self.rl(self.net()).record)
            self.rates[place] = found["accuracy"].tolist()
        return self.rl(self.net(), rewards=(Coin(self.rates[place], self.cell.seed),))

    def _sft(self) -> Outcome:
        return self.sft(self.net(), self.labelled())

    _shuffled = _sft

    def _sft_rl(self) -> Outcome:
        bridged = self._sft()
        found = self.rl(bridged.net)
        return replace(found, cost=bridged.cost + found.cost)

    def _curriculum(self) -> Outcome:
        cell = self.cell
        third = cell.completions // 3 // 64 * 64
        first = self.rl(self.net(), modality=cell.first, completions=third)
        found = self.rl(first.net, completions=cell.completions - third)
        return replace(found, cost=first.cost + found.cost)

    def _rft(self) -> Outcome:
        """Fine-tune on the base's own right completions, no more of them than RL samples."""
        cell, started = self.cell, time.process_time()
        items = self.items("train", cell.completions // cell.group)
        rows = drawn_rows(self.start, self.processor, items, k=cell.group, seed=cell.seed)
        right = rows[rows["correct"] & (rows["sample_index"] >= 0)]
        by_id = {item.item_id: item for item in items}
        taught = [
            replace(
                by_id[row.item_id], item_id=f"{row.item_id}/{row.sample_index}",
                reading=reading_of(row.text),
            )
            for row in cast(Any, right.itertuples())
        ]  # fmt: skip
        sampling = Cost(
            len(items) * cell.group, 0, len(items), float(TOKENS * len(items) * cell.group),
            time.process_time() - started,
        )  # fmt: skip
        if not taught:
            return Outcome(self.net(), sampling)
        passes = max(1, min(PASSES, cell.completions // len(taught)))
        found = self.sft(self.net(), taught, passes)
        return replace(found, cost=sampling + replace(found.cost, gold=0))


def drawn_rows(net, processor, items: list[Item], *, k: int, seed: int) -> pd.DataFrame:
    """Greedy and k sampled answers to items, read."""
    decoding = Decoding(max_new_tokens=MOST_NEW_TOKENS)
    return pd.DataFrame(
        [
            row
            for part in sample(net, processor, items, k=k, decoding=decoding, seed=seed)
            for row in rollout_rows(part, decoding, seed=seed, model_name="", model_hash="")
        ]
    )


@lru_cache(maxsize=1)
def _start(world: str, seed: int):
    return hub.load(str(BASES[world, seed]))


@lru_cache(maxsize=64)
def _before(world: str, seed: int, modality: str) -> dict:
    """What is known of a base before training: its p on training items, by fact, and on test."""
    net, processor = _start(world, seed)
    table: World = WORLDS[world]
    train = build_items(table, modality, "train", n=TRAIN_ITEMS, seed=0)
    p = report_support(net, processor, train).p
    by_fact = pd.Series(p).groupby([item.label for item in train]).mean()
    test = report_support(net, processor, build_items(table, modality, "test", n=ITEMS)).p
    return {"p": float(p.mean()), "by_fact": by_fact.tolist(), "test": test}


def run_cell(cell: DrawnCell, rates: dict[str, list[float]]) -> dict:
    """Train and measure one cell.

    Arguments: `cell`; `rates` of RL arms by `_place`, where a coin takes its rates from.
    Returns: `run`, what is known of the training; `looks`, `facts` and `transfer`, rows.
    """
    bench = Bench(cell, rates)
    before = _before(cell.world, cell.base, cell.modality)
    made = bench.make()
    asked = bench.items("test", ITEMS)
    rows = drawn_rows(made.net, bench.processor, asked, k=16, seed=cell.seed)
    chances = report_support(made.net, bench.processor, asked, seed=cell.seed)
    validation = drawn_rows(made.net, bench.processor, bench.items("validation"), k=0, seed=0)
    record, looks = made.record, made.looks
    row = {
        **asdict(cell),
        **{f"cost_{name}": value for name, value in vars(made.cost).items()},
        "base_p": before["p"],
        "base_test_p": short(before["test"]),
        **numbers(asked, rows),
        "p": float(chances.p.mean()),
        "test_p": short(chances.p),
        "think_p": float(chances.think.mean()),
        **dict(zip(PASS, pass_curve(chances.p, ks=PASS.values()), strict=True)),
        "acc_validation": float(validation["correct"].mean()),
        "first_right": None if looks is None or record is None else looks.first_right(record),
        "hits": None if record is None else int(record["right"].sum()),
        "rates": None if record is None else record["accuracy"].round(4).tolist(),
        "commit": commit(),
        "torch": torch.__version__,
    }
    if cell.grid == "base":
        found = rivals.of_reports(
            made.net, bench.processor, asked, bench.items("validation"), seed=cell.seed
        )
        row |= {f"{name.replace(' ', '_')}_p": short(p) for name, p in found.items()}
    return {
        "run": row,
        "looks": [] if looks is None or record is None else looks.rows(record),
        "facts": []
        if looks is None or record is None
        else _facts(looks, record, before["by_fact"]),
        "transfer": _transfer(bench, made.net) if cell.grid == "transfer" else [],
    }


def _facts(looks: Looks, record: pd.DataFrame, base_p: list[float]) -> list[dict]:
    """One row a fact: the base's p, its first right completion, hits, and when it was learnt."""
    rows = []
    for fact, (p, n, acc) in enumerate(looks.by_fact(base_p)):
        low, high = take_off(n, acc, FACT_LEARNT)
        first, hits = looks.met(record, fact, len(base_p))
        rows.append(
            {
                "fact": fact, "base_p": p, "share": 1 / len(base_p), "first": first, "hits": hits,
                "low": low, "high": high, "acc": acc[-1],
            }
        )  # fmt: skip
    return rows


def _transfer(bench: Bench, net) -> list[dict]:
    rows = []
    for one in bench.world.modalities:
        asked = bench.items("test", ITEMS, one.name)
        row: dict[str, Any] = {"to": one.name}
        for name, model in (("before", bench.start), ("after", net)):
            found = drawn_rows(model, bench.processor, asked, k=0, seed=0)
            row[f"acc_{name}"] = float(found["correct"].mean())
            p = report_support(model, bench.processor, asked, thinks=4).p
            row[f"p_{name}"] = float(p.mean())
        rows.append(row)
    return rows


def _place(cell: DrawnCell) -> str:
    """Names what a coin's arm and its true arm share."""
    return f"{cell.world}-{cell.base}-{cell.modality}-{cell.seed}-{cell.completions}"


def run(work: Path, part: tuple[int, int]) -> None:
    """Run what is not finished of a part of the cells; each finished cell is a line in `work`."""
    done, rates = set(), {}
    for one in finished(work):
        done.add(one["key"])
        _learn_rates(one, rates)
    todo = list(cells())[part[0] :: part[1]]
    with kept(work / f"part-{part[0]}-of-{part[1]}.jsonl") as keep:
        for number, cell in enumerate(todo, start=1):
            if cell.key in done or not BASES[cell.world, cell.base].is_dir():
                continue
            if cell.arm == "coin":  # its true arm may have been another part's
                for one in finished(work):
                    _learn_rates(one, rates)
            found = {"key": cell.key, **run_cell(cell, rates)}
            _learn_rates(found, rates)
            keep(found)
            told = found["run"]
            print(
                f"{number} of {len(todo)}: {cell.grid}, {cell.arm}, {cell.modality}, seed "
                f"{cell.seed}: Acc@1 {told['acc']:.2f}, p {told['p']:.2g}, "
                f"{told['cost_cpu_seconds']:.1f} CPU-s", flush=True,
            )  # fmt: skip


def _learn_rates(found: dict, rates: dict[str, list[float]]) -> None:
    row = found["run"]
    if row["grid"] == "law" and row["rates"]:
        place = {name: row[name] for name in ("world", "base", "modality", "seed", "completions")}
        rates["-".join(str(value) for value in place.values())] = row["rates"]


def main() -> None:
    """Run a part of the grid, or collect what is finished."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    doing = parser.add_subparsers(dest="doing", required=True)
    running = doing.add_parser("run", help="train what is not finished")
    running.add_argument("--part", default="0/1", help="i/n: every n-th cell, from the i-th on")
    collecting = doing.add_parser("collect", help="write the tables")
    collecting.add_argument("--out", type=Path, default=DATA / "records" / "drawn")
    for one in (running, collecting):
        one.add_argument("--work", type=Path, default=Path("runs/drawn"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.doing == "collect":
        for name, table in collect(asked.work, asked.out).items():
            print(f"{name}: {len(table)} rows")
    else:
        first, of = (int(number) for number in asked.part.split("/"))
        run(asked.work, (first, of))


if __name__ == "__main__":
    main()

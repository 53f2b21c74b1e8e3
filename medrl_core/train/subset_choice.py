"""What a balanced subset is chosen from: items, the start model's pass counts, the benchmarks.

`medrl data subset` calls it;
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medrl_core.data import benchmarks, homes, vqa
from medrl_core.data.items import Item
from medrl_core.errors import UserError
from medrl_core.sample.rollouts import read
from medrl_core.score.statistics import per_item
from medrl_core.train import subset


def choose(
    items: Path,
    n: int,
    rollouts: Path | None,
    against: Path | None,
    *,
    keep_never: bool = False,
    keep_always: bool = False,
    seed: int = 0,
) -> tuple[list[Item], dict[str, Any]]:
    """Choose by `subset.choose` from files.

    Arguments:
        items: JSONL of the official kit's format, or another file of `homes.rows` for PMC-VQA.
        n: items wanted.
        rollouts: answers of the start model to the same items; None leaves the difficulty out.
        against: folder of benchmarks as in `benchmarks.load`; None compares with none.
        keep_never, keep_always: keep what the start model never or always solves.
        seed: of the choice.

    Returns:
        The items and the card, which also names the benchmarks compared with and those that were
        not there.

    Raises:
        UserError: a file that cannot be read, or rollouts of other items.
    """
    if items.suffix == ".jsonl":
        asked = vqa.read_jsonl(items)
    else:
        rows = homes.rows(str(items), "PMC-VQA")
        asked = vqa.from_rows(rows, "PMC-VQA", source=str(items))
    found = benchmarks.load(list(vqa.BENCHMARKS), str(against)) if against else {}
    passes = None
    if rollouts is not None:
        table = per_item(read(rollouts))
        passes = {row.Index: (int(row.c), int(row.n)) for row in table.itertuples()}
        if not passes.keys() & {item.item_id for item in asked}:
            raise UserError(f"{rollouts} has no answer to {items}: evaluate the start model on it")
    shown = {one for tests in found.values() for one in benchmarks.pictures(tests)}
    filters = subset.Filter(not keep_never, not keep_always, frozenset(shown))
    chosen, card = subset.choose(asked, n, passes, filters, seed=seed)
    card["compared with"] = list(found)
    card["not compared with"] = [name for name in vqa.BENCHMARKS if name not in found]
    return chosen, card

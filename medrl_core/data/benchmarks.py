"""Read the medical VQA benchmarks that are there: from a folder, a file or the hub, as one kind.

In the folder a benchmark is a file or folder of its name in lower case with underscores, of any
form that `own.read_items` reads: `vqa_rad/`, `pmc_vqa.jsonl`, `slake.parquet`; its training items
are of the same source or in `<name>_train.*`. However it came, a benchmark gives the same items. A
set of your own is a benchmark too, where `sources` says where it is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from medrl_core.data import vqa
from medrl_core.data.items import Item, some
from medrl_core.data.own import read_items, splits
from medrl_core.data.pictures import MAX_PIXELS
from medrl_core.data.rows import PINNED, TABLES
from medrl_core.errors import UserError

ROOT_VARIABLE = "VQA_ROOT"


def slug(benchmark: str) -> str:
    """A benchmark's name as its files have it."""
    return benchmark.lower().replace("-", "_")


def fingerprint(items: Iterable[Item]) -> str:
    """MD5 of questions, options, gold answers and pictures, in their order."""
    digest = hashlib.md5()
    for item in items:
        told = (item.item_id, item.image_id, item.question, item.options, item.gold)
        digest.update(repr(told).encode())
    return digest.hexdigest()


def origin(source: str | None) -> str:
    """Where a benchmark came from, in words that tell nothing of this machine."""
    return source if source and PINNED.fullmatch(source) else "local files"


def shared(training: Iterable[Item], test: Sequence[Item]) -> dict[str, int]:
    """How many test pictures training shows too, pixel for pixel.

    Arguments: `training`, `test` items of `load` and `training`.
    Returns: pictures of the test items, `also_trained` of them, and `items` that ask about one.
    """
    known, asked = pictures(training), pictures(test)
    items = sum(bool(known & pictures([item])) for item in test)
    return {"pictures": len(asked), "also_trained": len(asked & known), "items": items}


def pictures(items: Iterable[Item]) -> set[str]:
    """The ids of all pictures of items, as `own.read_items` put them into their image_id."""
    ids = (item.image_id.removeprefix(f"{item.dataset}/") for item in items if item.images)
    return {one for joined in ids for one in joined.split("+")}


def load(
    benchmarks: Sequence[str],
    root: str | None = None,
    *,
    sources: Mapping[str, str] | None = None,
    n: int | None = None,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
) -> dict[str, list[Item]]:
    """Read the test items of each benchmark that is there.

    Arguments:
        benchmarks: keys of `vqa.BENCHMARKS` or of `sources`.
        root: folder of the benchmarks; None takes the variable VQA_ROOT, without it there are none.
        sources: benchmark to a source of `own.read_items`; it goes before the folder.
        n: at most so many items of each, drawn with the seed; None takes all.
        seed: of the draw.
        max_pixels: larger images are made smaller.

    Returns:
        Benchmark to items; a benchmark without files has no entry.

    Raises:
        UserError: unknown benchmark, or a folder that is not there or has none of them.
    """
    found = {}
    for name, place in places(benchmarks, root, sources).items():
        found[name] = some(read_items(place, name=name, max_pixels=max_pixels), n, seed)
    return found


def places(
    benchmarks: Sequence[str], root: str | None, sources: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Where each benchmark is that is there; arguments and errors as in `load`."""
    sources = sources or {}
    for name in benchmarks:
        if name not in vqa.BENCHMARKS and name not in sources:
            raise UserError(
                f"no benchmark {name!r}: use one of {', '.join(vqa.BENCHMARKS)}, or say in sources "
                "where your own is"
            )
    folder = _folder(root)
    found = {name: sources.get(name) or _place(folder, name) for name in benchmarks}
    if folder and not any(found.values()):
        expected = " or ".join(f"{slug(benchmarks[0])}{ending}" for ending in ("/", *TABLES))
        raise UserError(
            f"{folder} contains none of {', '.join(benchmarks)}, as {expected}: check vqa_root or "
            f"${ROOT_VARIABLE}"
        )
    return {name: place for name, place in found.items() if place}


def training(
    benchmark: str, root: str | None = None, *, sources: Mapping[str, str] | None = None
) -> list[Item]:
    """Read a benchmark's training items from where its test items are; none where there are none.

    Arguments: `benchmark` a name; `root` and `sources` as in `load`.
    """
    folder = _folder(root)
    own = (sources or {}).get(benchmark)
    place = own or _place(folder, f"{benchmark}_train") or _place(folder, benchmark)
    if place is None or PINNED.fullmatch(place) or "train" not in splits(place):
        return []
    return read_items(place, name=benchmark, split="train")


def _folder(root: str | None) -> Path | None:
    root = root or os.environ.get(ROOT_VARIABLE)
    if root is None:
        return None
    if not Path(root).is_dir():
        raise UserError(f"no folder {root} with benchmarks: check vqa_root or ${ROOT_VARIABLE}")
    return Path(root)


def _place(folder: Path | None, benchmark: str) -> str | None:
    """Where a folder has a benchmark: the first file or folder of its name."""
    if folder is None:
        return None
    places = [folder / f"{slug(benchmark)}{ending}" for ending in ("", ".yaml", *TABLES, ".npz")]
    return next((str(path) for path in places if path.exists()), None)

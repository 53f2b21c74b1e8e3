"""Read the medical VQA benchmarks that are there: from a folder, a file or the hub, as one kind.

Layout of the folder: `vqa_rad/` with train.json, test.json and images/ (as VQA-RAD is published),
or for any benchmark `<name>.jsonl` in the official kit's format, the name in lower case with
underscores, e.g. `pmc_vqa.jsonl`; its training items, if any, in `<name>_train.jsonl`. Other
sources are those of `homes.rows`. However it came, a benchmark gives the same items.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from medrl_core.data import homes, vqa
from medrl_core.data.items import Item
from medrl_core.errors import UserError

ROOT_VARIABLE = "VQA_ROOT"


def slug(benchmark: str) -> str:
    """A benchmark's name as its files have it."""
    return benchmark.lower().replace("-", "_")


def as_one_kind(items: Sequence[Item], benchmark: str) -> list[Item]:
    """Name items and images by the benchmark and by what they show, not by where they came from.

    So equal pictures are one image for the intervals, and two sources give equal rollouts.
    """
    named, ids = [], {}
    for item in items:
        for image in item.images:
            if id(image) not in ids:
                ids[id(image)] = vqa.picture_id(image)
        pictures = "+".join(ids[id(image)] for image in item.images)
        index = item.item_id.removeprefix(f"{item.dataset}/{item.split}/")
        item_id = f"{benchmark}/{item.split}/{index}"
        image_id = f"{benchmark}/{pictures}" if pictures else item_id
        modality = vqa.BENCHMARKS[benchmark][1]
        named.append(
            replace(item, item_id=item_id, image_id=image_id, dataset=benchmark, modality=modality)
        )
    return named


def fingerprint(items: Iterable[Item]) -> str:
    """MD5 of questions, options, gold answers and pictures, in their order."""
    digest = hashlib.md5()
    for item in items:
        told = (item.item_id, item.image_id, item.question, item.options, item.gold)
        digest.update(repr(told).encode())
    return digest.hexdigest()


def origin(source: str | None) -> str:
    """Where a benchmark came from, in words that tell nothing of this machine."""
    return source if source and homes.PINNED.fullmatch(source) else "local files"


def shared(training: Iterable[Item], test: Sequence[Item]) -> dict[str, int]:
    """How many test pictures training shows too, pixel for pixel.

    Arguments: `training`, `test` items of `load` and `training`.
    Returns: pictures of the test items, `also_trained` of them, and `items` that ask about one.
    """
    known, asked = pictures(training), pictures(test)
    items = sum(bool(known & pictures([item])) for item in test)
    return {"pictures": len(asked), "also_trained": len(asked & known), "items": items}


def pictures(items: Iterable[Item]) -> set[str]:
    """The ids of all pictures of items, as `as_one_kind` put them into their image_id."""
    ids = (item.image_id.removeprefix(f"{item.dataset}/") for item in items if item.images)
    return {one for joined in ids for one in joined.split("+")}


def load(
    benchmarks: Sequence[str],
    root: str | None = None,
    *,
    sources: Mapping[str, str] | None = None,
    n: int | None = None,
    seed: int = 0,
    max_pixels: int = vqa.MAX_PIXELS,
) -> dict[str, list[Item]]:
    """Read the test items of each benchmark that is there.

    Arguments:
        benchmarks: names, keys of `vqa.BENCHMARKS`.
        root: folder of the benchmarks; None takes the variable VQA_ROOT, without it there are none.
        sources: benchmark to a source of `homes.rows`; it goes before the folder.
        n: at most so many items of each, drawn with the seed; None takes all.
        seed: of the draw.
        max_pixels: larger images are made smaller.

    Returns:
        Benchmark to items; a benchmark without files has no entry.

    Raises:
        UserError: unknown benchmark, or the folder is not there.
    """
    for name in benchmarks:
        if name not in vqa.BENCHMARKS:
            raise UserError(f"no benchmark {name!r}: use one of {', '.join(vqa.BENCHMARKS)}")
    sources = sources or {}
    folder = _folder(root)
    found = {}
    for name in benchmarks:
        if name in sources:
            source = sources[name]
            rows = homes.rows(source, name)
            items = vqa.from_rows(rows, name, source=source, max_pixels=max_pixels)
        else:
            items = _of_folder(folder, name, "test", max_pixels)
        if not items:
            continue
        if n is not None and n < len(items):
            order = np.random.default_rng(seed).permutation(len(items))[:n]
            items = [items[i] for i in sorted(order)]
        found[name] = as_one_kind(items, name)
    return found


def training(benchmark: str, root: str | None = None) -> list[Item]:
    """Read a benchmark's training items from the folder; none where they are not there.

    Arguments: `benchmark` a name; `root` as in `load`.
    """
    return as_one_kind(_of_folder(_folder(root), benchmark, "train"), benchmark)


def _folder(root: str | None) -> Path | None:
    root = root or os.environ.get(ROOT_VARIABLE)
    if root is None:
        return None
    if not Path(root).is_dir():
        raise UserError(f"no folder {root} with benchmarks: check vqa_root or ${ROOT_VARIABLE}")
    return Path(root)


def _of_folder(
    folder: Path | None, benchmark: str, split: str, max_pixels: int = vqa.MAX_PIXELS
) -> list[Item]:
    if folder is None:
        return []
    ending = "" if split == "test" else "_train"
    if (path := folder / f"{slug(benchmark)}{ending}.jsonl").is_file():
        return vqa.read_jsonl(path, split=split, max_pixels=max_pixels)
    if benchmark == "VQA-RAD" and (folder / "vqa_rad" / f"{split}.json").is_file():
        return vqa.read_vqa_rad(folder / "vqa_rad", split, max_pixels=max_pixels)
    return []

"""Medical VQA benchmarks as items: VQA-RAD, the official kit's JSONL, MedVLThinker-Eval rows."""

from __future__ import annotations

import ast
import hashlib
import json
import warnings
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from medrl_core.data import pictures
from medrl_core.data.items import LETTERS, Item
from medrl_core.data.pictures import MAX_PIXELS, Bad, fit
from medrl_core.errors import UserError

# Benchmark -> (its dataset_name in MedVLThinker-Eval, modality as a question names it).
BENCHMARKS = {
    "PMC-VQA": ("pmc_vqa", "medical figure"),
    "MMMU-medical": ("MMMU-medical", "medical image"),
    "MedXpertQA-MM": ("MedXpertQA-MM", "medical image"),
    "PathVQA": ("pathvqa_closed", "pathology image"),
    "SLAKE": ("slake_closed", "radiology image"),
    "VQA-RAD": ("vqa_rad_closed", "radiology image"),
}
YES_NO = ("yes", "no")
# Of the card beside a chosen subset: the sum of its items.
SUM = "sha256 of items.jsonl"


def _open(path: Path, max_pixels: int) -> Image.Image:
    """Opens an image as RGB, made smaller where it has more than `max_pixels`."""
    try:
        return fit(pictures.read(path), max_pixels)
    except Bad as bad:
        raise Bad(f"image {path.name} {bad}") from bad


def inside(folder: Path, name: object) -> Path:
    """Follows a path that a file names, and its links, and returns the file it leads to.

    Arguments: `folder` that the path starts at and must not leave; `name` whatever stands there.
    Raises: Bad where it is no path, leads out, or leads to no file.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise Bad(f"image path {name!r} is not a path")
    try:
        folder = folder.resolve()
        path = (folder / name).resolve()  # follows links, so a link that leads out is seen
        present = path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name too long, ...
        raise Bad(f"image path {name!r} is not a path") from error
    if not path.is_relative_to(folder):
        raise Bad(f"image path {name!r} leads out of the folder")
    if not present:
        raise Bad(f"image {name!r} is not there")
    return path


def _read(folder: Path, name: object, images: dict[str, Image.Image], max_pixels: int) -> str:
    """Reads an image of a folder once, and returns its key."""
    path = inside(folder, name)
    key = path.relative_to(folder.resolve()).as_posix()
    if key not in images:
        images[key] = _open(path, max_pixels)
    return key


def picture_id(image: Image.Image) -> str:
    """16 hexadecimal digits that pictures equal pixel for pixel share."""
    return hashlib.md5(repr(image.size).encode() + image.tobytes()).hexdigest()[:16]


def _text(row: dict, field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise Bad(f"no {field}")
    return _clean(value)


def _clean(text: str) -> str:
    """Puts one space for every run of white space, and refuses what no file could hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Bad("half a surrogate pair in the text") from error
    return " ".join(text.split())


def _options(value: object) -> tuple[str, ...] | None:
    """Reads options given as a dict of letters, a list, or a string that holds either."""
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            try:
                value = ast.literal_eval(value)  # only literals: runs no code
            except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
                raise Bad("options are a string that holds no dict") from error
    if value is None or value == "" or value == {} or value == []:
        return None
    if isinstance(value, dict):
        if list(value) != list(LETTERS[: len(value)]):
            raise Bad(f"options are lettered {list(value)}: need A, B, C, ...")
        value = list(value.values())
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(v, (str, int, float)) for v in value
    ):
        raise Bad("options are no dict or list of texts")
    if not 2 <= len(value) <= len(LETTERS):
        raise Bad(f"{len(value)} options: need 2 to {len(LETTERS)}")
    return tuple(_clean(str(v)) for v in value)


def _item(
    row: dict,
    *,
    item_id: str,
    image_ids: list[str],
    images: tuple[Image.Image, ...],
    dataset: str,
    modality: str,
    split: str,
) -> Item:
    """Builds one item from question, options, answer_label and answer."""
    question, options = _text(row, "question"), _options(row.get("options"))
    if options:
        gold = _text(row, "answer_label").upper()
        if gold not in LETTERS[: len(options)]:
            raise Bad(f"answer_label {gold!r} is no letter of {len(options)} options")
        told, answer = options[LETTERS.index(gold)], row.get("answer")
        if isinstance(answer, str) and _clean(answer).lower() != told.lower():
            raise Bad(f"answer {answer!r} is not option {gold} ({told!r})")
    else:
        gold = _text(row, "answer").lower()
    return Item(
        item_id=item_id,
        image_id=f"{dataset}/" + "+".join(image_ids) if image_ids else item_id,
        images=images,
        dataset=dataset,
        modality=modality,
        question=question,
        options=options,
        label_set=options or (YES_NO if gold in YES_NO else ()),
        gold=gold,
        answer_format="mcq" if options else "open",
        split=split,
    )


def read_vqa_rad(
    folder: str | Path,
    split: str = "test",
    *,
    closed_only: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> list[Item]:
    """Reads VQA-RAD from its folder: train.json, test.json, images/.

    Arguments:
        folder: the folder that holds the two JSON files.
        split: "train" or "test".
        closed_only: keep the yes/no questions alone, which have a guess floor.
        max_pixels: larger images are made smaller.

    Returns:
        Open items; yes/no questions have the label set ("yes", "no"), the others an empty one.

    Raises:
        UserError: unknown split, or a missing or damaged file or row.

    Source: Lau et al., Scientific Data 2018.
    """
    if split not in ("train", "test"):
        raise UserError(f"VQA-RAD has no split {split!r}: use train or test")
    path, items, images = Path(folder) / f"{split}.json", [], {}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there: name the folder that holds VQA-RAD") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({type(error).__name__}): get it again") from error
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path} holds no list of questions: get it again")
    for place, row in enumerate(rows):
        try:
            if not isinstance(row, dict) or "id" not in row:
                raise Bad("no question with an id")
            if closed_only and _text(row, "answer").lower() not in YES_NO:
                continue
            key = _read(path.parent, row.get("image"), images, max_pixels)
            items.append(
                _item(
                    row,
                    item_id=f"VQA-RAD/{split}/{row['id']}",
                    image_ids=[key],
                    images=(images[key],),
                    dataset="VQA-RAD",
                    modality=BENCHMARKS["VQA-RAD"][1],
                    split=split,
                )
            )
        except Bad as bad:
            raise UserError(f"{path}: question {place}: {bad}: mend or remove it") from bad
    return items


def read_jsonl(
    path: str | Path,
    *,
    skip_bad: bool = False,
    split: str = "test",
    max_pixels: int = MAX_PIXELS,
) -> list[Item]:
    """Reads items in the official kit's format, one JSON object a line.

    Arguments:
        path: file with the fields dataset_name, dataset_index, image_paths, question, options,
            answer_label, answer. Image paths start at the file's folder and stay inside it.
        skip_bad: leave bad lines out, with a warning that lists them, instead of failing.
        split: split that the items are given.
        max_pixels: larger images are made smaller.

    Returns:
        One item a line: `mcq` with options, `open` without; empty lines are passed over.

    Raises:
        UserError: the file cannot be read, holds no item, or has bad lines; all are listed.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}): check the path"
        ) from error
    if path.name == "items.jsonl" and path.with_name("card.json").is_file():
        _check_sum(path, content)
    lines = content.split(b"\n")
    items, seen, wrong, images = [], {}, [], {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item = _from_line(line, path.parent, split, images, max_pixels)
            if item.item_id in seen:
                raise Bad(f"{item.item_id} is on line {seen[item.item_id]} too")
            seen[item.item_id] = number
            items.append(item)
        except Bad as bad:
            wrong.append(f"line {number}: {bad}")
    if wrong:
        report = f"{path}: {len(wrong)} bad: " + "; ".join(wrong)
        if not skip_bad:
            raise UserError(f"{report}: mend them, or go on without them (--skip-bad)")
        warnings.warn(f"left out: {report}", stacklevel=2)
    if not items:
        raise UserError(f"{path} holds no item: give one JSON object a line")
    return items


def _check_sum(path: Path, content: bytes) -> None:
    """Compares the items of `medrl data subset` with the sum on their card."""
    card = path.with_name("card.json")
    try:
        told = json.loads(card.read_bytes())[SUM]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{card} gives no {SUM}: make the subset again, or remove it") from error
    if told != hashlib.sha256(content).hexdigest():
        raise UserError(
            f"{path} is not what {card} tells of ({SUM}): make the subset again, or remove the "
            "card if you changed the items"
        )


def _from_line(
    line: bytes, folder: Path, split: str, images: dict[str, Image.Image], max_pixels: int
) -> Item:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Bad("no JSON") from error
    if not isinstance(row, dict):
        raise Bad("no JSON object")
    dataset, index, paths = (
        _text(row, "dataset_name"),
        row.get("dataset_index"),
        row.get("image_paths"),
    )
    if isinstance(index, bool) or not isinstance(index, (int, str)) or not str(index).strip():
        raise Bad("no dataset_index")
    index = _clean(str(index))
    if not isinstance(paths, list):
        raise Bad("image_paths is no list")
    keys = [_read(folder, name, images, max_pixels) for name in paths]
    known = {told: modality for told, modality in BENCHMARKS.values()}
    return _item(
        row,
        item_id=f"{dataset}/{split}/{index}",
        image_ids=keys,
        images=tuple(images[key] for key in keys),
        dataset=dataset,
        modality=known.get(dataset, "medical image"),
        split=split,
    )


def from_rows(
    rows: Iterable[dict], benchmark: str, *, source: str = "the rows given", split: str = "test",
    max_pixels: int = MAX_PIXELS,
) -> list[Item]:  # fmt: skip
    """Turns rows of MedVLThinker-Eval into the items of one benchmark.

    Arguments:
        rows: dicts with images (PIL images), question, options (a string that holds a dict),
            answer_label, answer, dataset_name, dataset_index.
        benchmark: a key of `BENCHMARKS`; rows of other benchmarks are passed over.
        source: where the rows came from, for messages.
        split: split that the items are given.
        max_pixels: larger images are made smaller.

    Returns:
        The benchmark's items. Equal pictures share one image_id.

    Raises:
        UserError: unknown benchmark, a bad row, or no row of the benchmark.

    Source: the Hugging Face data set UCSC-VLAA/MedVLThinker-Eval.
    """
    if benchmark not in BENCHMARKS:
        raise UserError(f"no benchmark {benchmark!r}: use one of {', '.join(BENCHMARKS)}")
    told, modality = BENCHMARKS[benchmark]
    items = []
    for place, row in enumerate(rows):
        if row.get("dataset_name") != told:
            continue
        where = f"{source}: row {place} of {benchmark}"
        try:
            images = tuple(fit(image, max_pixels) for image in row["images"])
            items.append(
                _item(
                    row,
                    item_id=f"{benchmark}/{split}/{row['dataset_index']}",
                    image_ids=[picture_id(image) for image in images],
                    images=images,
                    dataset=benchmark,
                    modality=modality,
                    split=split,
                )
            )
        except Bad as bad:
            raise UserError(f"{where}: {bad}: mend or remove it") from bad
        except KeyError as error:
            raise UserError(f"{where} has no {error}: add it") from error
    if not items:
        raise UserError(f"{source}: no row has dataset_name {told!r}: check them for {benchmark}")
    return items

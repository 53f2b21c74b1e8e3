"""Rows of the six VQA benchmarks from where each is published, in one schema, one row at a time.

The schema is that of UCSC-VLAA/MedVLThinker-Eval, which holds all six. Names and columns of the
homes are those of their data-set cards.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from PIL import Image

from medrl_core.data import pictures, vqa
from medrl_core.data.network import ask_hub
from medrl_core.errors import UserError

if TYPE_CHECKING:
    from datasets import IterableDataset

Row = dict[str, Any]
EVAL = "UCSC-VLAA/MedVLThinker-Eval"
# A branch or a tag moves; only a whole commit hash names bytes.
PINNED = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")
FORMATS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": None}
# Parquet is unpacked one row group at a time; the library writes groups of 0.1 GB of images.
MOST_UNPACKED = 2 * 10**9


@dataclass(frozen=True)
class Home:
    """Where a benchmark is published and how a row there becomes one of our schema.

    Arguments: `hub_id` at the model hub; `split` asked; `adapt` a row and its place to a row of
    the schema, None to pass it over; `configs` read one after another; `archive` where its images
    lie in an archive beside the rows.
    """

    hub_id: str
    split: str
    adapt: Callable[[Row, int], Row | None]
    configs: tuple[str, ...] = ("default",)
    archive: bool = False


def _plain(row: Row, place: int) -> Row:
    return {"images": [row["image"]], "question": row["question"], "answer": row["answer"],
            "dataset_index": place}  # fmt: skip


def _slake(row: Row, place: int) -> Row | None:
    if row["q_lang"] != "en":
        return None
    return _plain(row | {"image": f"imgs/{row['img_name']}"}, row["qid"])


def _mmmu(row: Row, place: int) -> Row:
    images = [row[f"image_{i}"] for i in range(1, 8) if row.get(f"image_{i}") is not None]
    shown = re.compile(r"<(image \d)>")  # the prompt shows images first, and has no such marks
    options = row["options"] if row["question_type"] == "multiple-choice" else None
    # Options may be images themselves; such a mark is all that is left of them.
    return {"images": images, "question": shown.sub(r"(\1)", row["question"]), "options": options,
            "answer_label": row["answer"], "answer": row["answer"] if options is None else None,
            "dataset_index": row["id"]}  # fmt: skip


def _medxpert(row: Row, place: int) -> Row:
    question = row["question"].split("\nAnswer Choices:")[0]  # the prompt lists them itself
    return {"images": [f"images/{name}" for name in row["images"]], "question": question,
            "options": row["options"], "answer_label": row["label"],
            "dataset_index": row["id"]}  # fmt: skip


def _pmc(row: Row, place: int) -> Row:
    texts = (re.sub(r"^\s*[A-D]\s*:\s*", "", str(row[f"Choice {letter}"])) for letter in "ABCD")
    return {"images": [f"images/{row['Figure_path']}"], "question": row["Question"],
            "options": dict(zip("ABCD", texts, strict=True)),
            "answer_label": (row.get("Answer_label") or row["Answer"]).strip(),
            "dataset_index": place}  # fmt: skip


_SUBJECTS = (
    "Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine",
    "Pharmacy", "Public_Health",
)  # fmt: skip
HOMES = {
    "PMC-VQA": Home("xmcmic/PMC-VQA", "test", _pmc, archive=True),
    "MMMU-medical": Home("MMMU/MMMU", "validation", _mmmu, _SUBJECTS),
    "MedXpertQA-MM": Home("TsinghuaC3I/MedXpertQA", "test", _medxpert, ("MM",), archive=True),
    "PathVQA": Home("flaviagiammarino/path-vqa", "test", _plain),
    "SLAKE": Home("BoKelvin/SLAKE", "test", _slake, archive=True),
    "VQA-RAD": Home("flaviagiammarino/vqa-rad", "test", _plain),
}


def _files(source: str) -> list[Path]:
    """The data files that a local source names: itself, or the Parquet files of a folder."""
    path = Path(source)
    found = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not found or found[0].suffix not in FORMATS:
        raise UserError(f"{source} holds no Parquet file: name its file or folder of files")
    for file in found:
        if file.suffix == ".parquet":
            _check_unpacked(file)
    return found


def _check_unpacked(file: Path) -> None:
    """Refuse a Parquet file that would fill the memory."""
    about = pq.read_metadata(file)
    most = max((about.row_group(i).total_byte_size for i in range(about.num_row_groups)), default=0)
    if most > MOST_UNPACKED:
        raise UserError(
            f"{file} unpacks to {most / 1e9:.0f} GB at once, more than {MOST_UNPACKED / 1e9:.0f}: "
            "write it again in smaller row groups"
        )


def _opened(source: str, home: Home) -> Iterator[Row]:
    """Rows of a local file or folder, or of a pinned data set at the hub, streamed."""
    from datasets import load_dataset, logging

    logging.set_verbosity(logging.CRITICAL)  # what it logs of an error, ours tells
    if Path(source).exists():
        files = _files(source)
        if files[0].suffix == ".csv":
            yield from _table(files[0])
            return
        kind, names = FORMATS[files[0].suffix], [str(file) for file in files]
        local = load_dataset(kind, data_files=names, split="train", streaming=True)
        yield from _undecoded(local)
        return
    pin = PINNED.fullmatch(source)
    if pin is None:
        raise UserError(
            f"{source!r} is no file, no folder and no OWNER/NAME@HASH: a data set at the hub needs "
            "the 40 digits of a commit, as its page shows them under files and versions"
        )
    if home.archive and pin["id"] != EVAL:
        raise UserError(
            f"the images of {pin['id']} lie in an archive: hf download {pin['id']} --repo-type "
            f"dataset --revision {pin['revision']} --local-dir DIR, unpack it, name the file there"
        )
    ask_hub(pin["id"], "dataset")
    whole = pin["id"] == EVAL
    for config in ("default",) if whole else home.configs:
        fetched = load_dataset(
            pin["id"],
            config,
            split="test" if whole else home.split,
            revision=pin["revision"],
            streaming=True,
        )
        yield from _undecoded(fetched)


def _table(path: Path) -> Iterator[Row]:
    """Rows of a CSV file as texts; the library would fill up a short row and guess at types."""
    with path.open(newline="", encoding="utf-8-sig") as stream:
        for row in csv.DictReader(stream, strict=True):
            if None in row or None in row.values():
                raise ValueError("a row has more or fewer cells than the first")
            yield row


def _undecoded(table: IterableDataset) -> IterableDataset:
    """Images as bytes and paths: the library would open whatever path or address a row names."""
    return table.decode(False) if table.features else table  # without types nothing is decoded


def _picture(value: Any, folder: Path) -> Image.Image:
    """A picture as PIL, from bytes or from a path inside the folder of the rows."""
    if isinstance(value, dict):
        value = value["bytes"] if value.get("bytes") else value.get("path")
    name = "image"
    if isinstance(value, str):
        name, value = f"image {value!r}", vqa.inside(folder, value)
    try:
        return pictures.read(value)
    except vqa.Bad as bad:
        raise vqa.Bad(f"{name} {bad}") from bad


def rows(source: str, benchmark: str) -> Iterator[Row]:
    """Streams the rows of one benchmark in the schema of MedVLThinker-Eval.

    Arguments:
        source: a Parquet, JSON or CSV file or a folder of Parquet files, or OWNER/NAME@HASH at the
            hub. Rows with a column dataset_name are of MedVLThinker-Eval, others as the
            benchmark's own home has them. Image paths start at the file's folder.
        benchmark: a key of `HOMES`.

    Returns:
        Rows for `vqa.from_rows`.

    Raises:
        UserError: no such source, one without a pinned revision, or rows of another layout.
    """
    home, told = HOMES[benchmark], vqa.BENCHMARKS[benchmark][0]
    folder = Path(source) if Path(source).is_dir() else Path(source).parent
    with closing(_read(source, home)) as read:  # the file too, where a row is refused
        for place, row in enumerate(read):
            try:
                if row.get("dataset_name", told) != told:
                    continue
                found = row if "dataset_name" in row else home.adapt(row, place)
                if found is None:
                    continue
                shown = [_picture(one, folder) for one in found["images"]]
            except KeyError as error:
                raise UserError(
                    f"{source}: row {place} has no {error}: it is neither as {EVAL} nor as "
                    f"{home.hub_id} has {benchmark}"
                ) from error
            except (vqa.Bad, AttributeError, TypeError) as bad:  # a value may be of any type
                raise UserError(f"{source}: row {place}: {bad}: mend or remove it") from bad
            yield {"options": None} | found | {"dataset_name": told, "images": shown}


def _read(source: str, home: Home) -> Iterator[Row]:
    """Rows as `_opened`; whatever goes wrong inside the library is one line."""
    try:
        yield from _opened(source, home)
    except UserError:
        raise
    except Exception as error:  # of a dozen libraries: readers, decoders, the network
        remedy = "check the files"
        if not Path(source).exists():
            off = os.environ.get("HF_HUB_OFFLINE") == "1"
            remedy = "set HF_HUB_OFFLINE=0" if off else "go online and try again"
            remedy += ", or name a local file"
        raise UserError(f"{source} cannot be read ({type(error).__name__}): {remedy}") from error

"""Items from any source: the official kit's JSONL, your own tables, folders of images, npz files.

    items = read_items("questions.csv")       # one question a line
    items = read_items("my-set.yaml")         # a source with columns and classes of its own

A YAML file beside the data (`About`) says what the data do not: which column is which, what the
classes are called, what is asked about each picture. The benchmark's name is the user's.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medrl_core import plain, refusal
from medrl_core.data import layouts, pictures, vqa
from medrl_core.data.images import SPLITS
from medrl_core.data.items import LETTERS, Item
from medrl_core.data.pictures import ENDINGS, MAX_PIXELS, Bad
from medrl_core.data.rows import PINNED, TABLES, Row, has_tables, is_saved, rows, split_of
from medrl_core.errors import UserError, first_three

QUESTION = "What does this {modality} show?"
MOST_OPTIONS = 4
ID_COLUMNS = ("id", "qid", "dataset_index")
IMAGE_COLUMNS = ("images", "image_paths", "image", "image_path", "file_name")
# Bytes that an npz may unpack to; the largest MedMNIST file unpacks to 30 GB.
MOST_UNPACKED = 40 * 10**9
# Of the card beside a chosen subset: the sum of its items.
SUM = "sha256 of items.jsonl"


class About(BaseModel):
    """What a YAML file says of a source; only `source` has to be there."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source: str = Field(min_length=1, description="beside the YAML, or OWNER/NAME@HASH")
    name: str = Field("", description="of the benchmark; empty: of the file or folder")
    modality: str = Field(vqa.MODALITY, min_length=1, description="kind of picture")
    columns: dict[str, str] = Field({}, description="our column to the source's")
    question: str = Field("", description="asked about each picture that has none of its own")
    classes: list[str] | dict[str, str] = Field(
        {}, description="names in the order of their numbers, or folder or value to name"
    )
    answer_format: Literal["closed", "mcq"] = Field("closed", description="how classes are asked")
    images: str = Field("", description="folder that picture paths start at; empty: the table's")
    configs: list[str] = Field([], description="of a data set at the hub")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes."""
        known = self.classes.values() if isinstance(self.classes, dict) else self.classes
        return tuple(dict.fromkeys(known))

    def class_of(self, value: str) -> str:
        """The name of a class that a folder, a column or a number stands for."""
        if isinstance(self.classes, dict):
            return self.classes.get(value, value)
        known = value.isdecimal() and int(value) < len(self.classes)
        return self.classes[int(value)] if known else value


def read_about(source: str) -> About:
    """What is said of a source: the content of a YAML file, or nothing but its place.

    Raises: UserError for a YAML of another form.
    """
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        return About.model_validate({"source": source})
    try:
        content = plain.parse_yaml(path.read_text(encoding="utf-8"), path.as_posix())
        about = About.model_validate(content)
    except (OSError, UnicodeDecodeError) as error:
        why = type(error).__name__
        raise UserError(f"{path} cannot be read ({why}): check the path") from error
    except ValidationError as error:
        known = ", ".join(About.model_fields)
        raise UserError(f"{path}: {refusal.first(error)}; it may say {known}") from error
    place = {} if PINNED.fullmatch(about.source) else {"source": str(path.parent / about.source)}
    if about.images:
        place["images"] = str(path.parent / about.images)
    named = {} if about.name else {"name": path.stem}
    return about.model_copy(update=place | named)


def name_of(source: str, about: About) -> str:
    """The name of a benchmark: as its YAML says, else of its file, folder or data set."""
    return about.name or Path(source.partition("@")[0]).stem


def read_items(
    source: str | Path,
    *,
    name: str = "",
    split: str | None = None,
    skip_bad: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> list[Item]:
    """Read the items of any source.

    Arguments:
        source: a JSONL, JSON, CSV, TSV, Parquet or MedMNIST-style npz file; a folder of tables, a
            folder that `datasets` saved, or of images with a folder a class; OWNER/NAME@HASH at the
            hub; or a YAML file (`About`) that names one of these.
        name: of the benchmark, before what source and rows say; a key of `vqa.BENCHMARKS` takes
            its rows alone out of a set of several.
        split: "train", "val", "test", or "all". None: test where the source has several, else its
            only one. Rows of files, folders and columns that are named for none are of the split
            asked for, or test.
        skip_bad: leave bad rows out, with a warning, instead of failing.
        max_pixels: larger pictures are made smaller.

    Returns:
        The items; equal pictures share one image_id.

    Raises:
        UserError: no such source or split, no item, or bad rows; the first three are shown.
    """
    source, about = str(source), read_about(str(source))
    if split not in (None, "all", *SPLITS):
        raise UserError(f"there is no split {split!r}: use {', '.join(SPLITS)} or all")
    _check_sum(Path(about.source))
    wanted = _wanted(source, about, split, name)
    reader = _Reader(name, name_of(source, about), about, max_pixels)
    wrong: list[str] = []
    for found in _found(about, wanted):
        label = found.split or ("test" if wanted in (None, "all") else wanted)
        if wanted not in (None, "all", label):
            continue
        try:
            reader.add(found, label)
        except Bad as bad:
            wrong.append(f"{found.where}: {bad}")
    if wrong:
        report = f"{source}: {len(wrong)} bad: {first_three(wrong, '; ')}"
        if not skip_bad:
            raise UserError(f"{report}: fix them, or go on without them (--skip-bad)")
        warnings.warn(f"left out: {report}", stacklevel=2)
    if not reader.items:
        told = f" of {name}" if name in vqa.BENCHMARKS else ""
        raise UserError(f"{source} contains no item{told}: give one question a row")
    return reader.items


def _check_sum(path: Path) -> None:
    """Compare the items of `medrl data subset` with the sum on their card."""
    card = path.with_name("card.json")
    if path.name != "items.jsonl" or not card.is_file() or not path.is_file():
        return
    try:
        told = json.loads(card.read_bytes())[SUM]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{card} gives no {SUM}: make the subset again, or remove it") from error
    if told != sha256(path.read_bytes()).hexdigest():
        raise UserError(
            f"{path} is not what {card} tells of ({SUM}): make the subset again, or remove the "
            "card if you changed the items"
        )


def _wanted(source: str, about: About, split: str | None, name: str) -> str | None:
    """The split to read; None where the source names none."""
    if PINNED.fullmatch(about.source):
        return split or "test"
    if split == "all":
        return split
    known = splits(source, name)
    named = sorted(known - {""})
    if not named:
        return split
    if split is not None:
        if split not in known and "" not in known:
            raise UserError(f"{source} has no split {split}, only {', '.join(named)}: ask for one")
        return split
    if len(named) > 1 and "test" not in named:
        raise UserError(f"{source} has the splits {' and '.join(named)}: say which is asked")
    return "test" if "test" in named else named[0]


def splits(source: str, name: str = "") -> set[str]:
    """The splits of a source on this machine; "" stands for rows of none.

    Arguments: as in `read_items`.
    """
    about = read_about(source)
    return {row.split for row in _found(about, None, look=True) if _asked_of(row, name)}


def _asked_of(found: Row, name: str) -> bool:
    """Whether a row is not of another benchmark; sets of several say in dataset_name which."""
    if name not in vqa.BENCHMARKS:
        return True
    told, ours = found.values.get("dataset_name"), (name, vqa.BENCHMARKS[name][0])
    others = {known for pair in vqa.BENCHMARKS.items() for known in (pair[0], pair[1][0])}
    return not isinstance(told, str) or told in ours or told not in others


class _Reader:
    """Makes items of rows; keeps pictures that several rows show."""

    def __init__(self, name: str, usual: str, about: About, max_pixels: int):
        self.name, self.usual, self.about, self.max_pixels = name, usual, about, max_pixels
        self.items: list[Item] = []
        self._seen: dict[str, str] = {}
        self._shown: dict[Path, tuple[str, Image.Image]] = {}
        self._counts: Counter[str] = Counter()

    def add(self, found: Row, split: str) -> None:
        """Add the item of a row, or nothing where it is of another benchmark."""
        if found.bad:
            raise Bad(found.bad)
        if not _asked_of(found, self.name):
            return
        values = found.values
        told = vqa.text_of(values.get("dataset_name"))
        if "dataset_name" in values and told is None:
            raise Bad("no dataset_name")
        dataset = self.name or self.about.name or told or self.usual
        item = vqa.item_of(
            values,
            index=self._index(values, split),
            pictures=[self._picture(one, found.folder) for one in _named_pictures(values)],
            dataset=dataset,
            split=split,
            modality=self._modality(values, dataset, told),
            classes=self.about.names or values.get("_classes", ()),
        )
        if item.item_id in self._seen:
            raise Bad(f"{item.item_id} is on {self._seen[item.item_id]} too")
        self._seen[item.item_id] = found.where
        as_mcq = self.about.answer_format == "mcq" and item.label is not None
        self.items.append(_with_options(item) if as_mcq else item)

    def _index(self, values: Mapping[str, Any], split: str) -> str:
        place = self._counts[split]
        self._counts[split] += 1
        given = [column for column in ID_COLUMNS if column in values]
        if not given:
            if "dataset_name" in values:
                raise Bad("no dataset_index")
            return str(place)
        value = values[given[0]]
        index = None if isinstance(value, bool) else vqa.text_of(value)
        if index is None:
            raise Bad(f"no {given[0]}")
        return index

    def _modality(self, values: Mapping[str, Any], dataset: str, told: str | None) -> str:
        known = {key: kind for name, (own, kind) in vqa.BENCHMARKS.items() for key in (name, own)}
        own = vqa.text_of(values.get("modality"))
        if own or self.about.modality != vqa.MODALITY:
            return own or self.about.modality
        return known.get(dataset) or known.get(told or "") or vqa.MODALITY

    def _picture(self, value: Any, folder: Path) -> tuple[str, Image.Image]:
        if isinstance(value, np.ndarray):
            return self._fitted(Image.fromarray(value))
        if isinstance(value, Mapping):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, bytes):
            return self._fitted(pictures.read(value))
        path = pictures.inside(Path(self.about.images) if self.about.images else folder, value)
        if path not in self._shown:
            try:
                self._shown[path] = self._fitted(pictures.read(path))
            except Bad as bad:
                raise Bad(f"image {path.name} {bad}") from bad
        return self._shown[path]

    def _fitted(self, image: Image.Image) -> tuple[str, Image.Image]:
        image = pictures.fit(image, self.max_pixels)
        return pictures.picture_id(image), image


def _named_pictures(values: Mapping[str, Any]) -> list[Any]:
    """The pictures of a row, in order: of the first column that has some."""
    for column in IMAGE_COLUMNS:
        if column not in values:
            continue
        value = values[column]
        if column in ("images", "image_paths"):
            if isinstance(value, str) and value.startswith("["):
                value = _list(value)
            if isinstance(value, str) and column == "images":
                value = [one.strip() for one in value.split("|")]
            if not isinstance(value, (list, tuple)):
                raise Bad(f"{column} is no list")
            return list(value)
        nothing = value is None or isinstance(value, (str, float)) and vqa.text_of(value) is None
        return [] if nothing else [value]
    return []


def _list(text: str) -> Any:
    try:
        return vqa.literal(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _with_options(item: Item) -> Item:
    """A question about a class as multiple choice: the gold class and others, in a fixed order."""
    rng = np.random.default_rng(list(sha256(item.item_id.encode()).digest()[:8]))
    others = [name for name in item.label_set if name != item.gold]
    picked = [others[i] for i in rng.permutation(len(others))[: MOST_OPTIONS - 1]]
    options = [item.gold, *picked]
    options = [options[i] for i in rng.permutation(len(options))]
    gold = LETTERS[options.index(item.gold)]
    return replace(item, options=tuple(options), gold=gold, answer_format="mcq")


# ---- where rows come from ------------------------------------------------------------------------


def _found(about: About, split: str | None, *, look: bool = False) -> Iterator[Row]:
    """The rows of a source in our columns; with `look`, without what is slow to load."""
    place = Path(about.source)
    if place.suffix == ".npz" and place.is_file():
        yield from _of_npz(place, about, look)
    elif place.is_dir() and not is_saved(place) and not has_tables(place):
        yield from _of_folder(place, about)
    else:
        pin = PINNED.fullmatch(about.source)
        known = pin["id"] if pin else ""
        if pin and known in layouts.ARCHIVED:
            raise UserError(
                f"the images of {known} are in an archive: hf download {known} --repo-type dataset "
                f"--revision {pin['revision']} --local-dir DIR, unpack it, name the file there"
            )
        configs = about.configs or layouts.CONFIGS.get(known, ())
        for row in rows(about.source, configs=configs, split=layouts.ANSWERED.get(known, split)):
            if known in layouts.ANSWERED:
                row = replace(row, split=split or row.split)
            if (found := _in_our_columns(row, about)) is not None:
                yield found


def _in_our_columns(row: Row, about: About) -> Row | None:
    if row.bad:
        return row
    lost = [own for own in about.columns.values() if own not in row.values]
    if lost:
        have = ", ".join(map(str, row.values))
        raise UserError(f"{about.source}: no column {lost[0]!r}; there are {have[:200]}")
    values = row.values | {our: row.values[own] for our, own in about.columns.items()}
    try:
        values = layouts.ours(values)
        if values is None:
            return None
        split = split_of(str(values["split"])) if values.get("split") else row.split
        if values.get("split") and not split:
            raise Bad(f"split {values['split']!r} is neither train, val nor test")
        return replace(row, values=_asked(values, about), split=split)
    except (Bad, KeyError, TypeError, AttributeError) as error:  # a value may be of any type
        return replace(row, bad=str(error) if isinstance(error, Bad) else f"no {error}")


def _asked(values: dict[str, Any], about: About) -> dict[str, Any]:
    """Add what the YAML says: the question, and the names of classes."""
    if "answer" not in values and "answer_label" not in values and "label" in values:
        values = values | {"answer": values["label"]}
    if "question" not in values and about.question:
        values = values | {"question": about.question.replace("{modality}", about.modality)}
    if about.classes and not values.get("options"):
        answer = vqa.text_of(values.get("answer"))
        values = values | {"answer": answer and about.class_of(answer)}
    return values


def _of_folder(folder: Path, about: About) -> Iterator[Row]:
    """Pictures of a folder with a folder a class, below folders of splits where there are some."""
    tops = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    splits = {path: split_of(path.name) for path in tops}
    parts = [(path, told) for path, told in splits.items() if told] or [(folder, "")]
    if len(parts) not in (1, len(tops)) or (parts[0][0] != folder and len(parts) < len(tops)):
        odd = next(path.name for path, told in splits.items() if not told)
        raise UserError(f"{folder} has folders of splits, and {odd}: move one of them")
    shown = [
        (split, kind.name, path)
        for part, split in parts
        for kind in sorted(part.iterdir()) if kind.is_dir()
        for path in sorted(kind.rglob("*")) if path.suffix.lower() in ENDINGS
    ]  # fmt: skip
    named = [(split, _class_name(about, kind), path) for split, kind, path in shown]
    classes = about.names or tuple(sorted({name for _, name, _ in named}))
    if len(classes) < 2:
        raise UserError(
            f"{folder} contains neither a table nor pictures in a folder a class: name the file, "
            "or sort the pictures into at least two folders"
        )
    question = (about.question or QUESTION).replace("{modality}", about.modality)
    for split, name, path in named:
        place = path.relative_to(folder).as_posix()
        values = {"id": place, "image": place, "question": question, "answer": name}
        yield Row(values | {"_classes": classes}, split, place, folder)


def _class_name(about: About, folder: str) -> str:
    return about.class_of(folder) if about.classes else folder.replace("_", " ")


def _of_npz(path: Path, about: About, look: bool) -> Iterator[Row]:
    """A question on each image of a file in MedMNIST's layout."""
    if look:
        yield from (Row({}, split, "", path.parent) for split in SPLITS)
        return
    from medrl_core.data import images, medmnist

    known = medmnist.SHORT.get(path.stem.partition("_")[0])
    classes = about.names or (known[1] if known else ())
    if not classes:
        raise UserError(
            f"{path} numbers its classes: name them in a YAML file (source: {path.name}, "
            "classes: [first, second, ...])"
        )
    told = about.modality != vqa.MODALITY or not known
    modality = about.modality if told or not known else known[0]
    found = images.read_npz(
        path, name=path.stem, modality=modality, task="multiclass", classes=classes,
        origin="unverified", most=MOST_UNPACKED,
    )  # fmt: skip
    question = (about.question or QUESTION).replace("{modality}", modality)
    for split in SPLITS:
        for place, label in enumerate(found.labels[split]):
            values = {
                "id": str(place), "image": found.images[split][place], "question": question,
                "answer": classes[label], "modality": modality, "_classes": classes,
            }  # fmt: skip
            yield Row(values, split, f"{split} {place}", path.parent)


def files(source: str) -> list[Path]:
    """Every file that the items of a source are made of, the pictures that rows name among them.

    Arguments: `source` as in `read_items`. One at the hub has none; what is missing is left out.
    """
    path = Path(source)
    if not path.exists():
        return []
    about = read_about(source)
    place, found = Path(about.source), {path} if path.is_file() else set()
    if place.is_dir():
        found.update(file for file in place.rglob("*") if file.is_file())
    elif place.is_file():
        found.add(place)
    if place.exists() and (place.suffix in TABLES
                           or (place.is_dir() and has_tables(place))):  # fmt: skip
        for row in _found(about, None, look=True):
            found.update(_picture_files(row, about))
    return sorted(found)


def _picture_files(row: Row, about: About) -> Iterator[Path]:
    try:
        named = _named_pictures(row.values)
    except Bad:
        return
    for value in named:
        value = value.get("path") if isinstance(value, Mapping) else value
        try:
            if isinstance(value, str):
                yield pictures.inside(Path(about.images) if about.images else row.folder, value)
        except Bad:
            continue

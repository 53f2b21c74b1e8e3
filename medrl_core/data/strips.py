"""Strips of real pictures: three of a MedMNIST set side by side, in a clinic's convention.

    items = build_items("bloodmnist", "D", "test", n=128)
    items[0].question, items[0].reading, items[0].gold
    # "Report this blood strip of clinic D.", "basophil monocyte platelet", "backward PLT MON BAS"

A single picture of eight classes is guessed too easily for support to be missing; a strip has 448
reports. The reasoning names the three pictures from left to right; the report does so in the
reading order of the clinic, with its names. Its first word says the order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from medrl_core.data import medmnist
from medrl_core.data.images import ImageSet
from medrl_core.data.items import Item
from medrl_core.errors import UserError

PICTURES, SIDE = 3, 24
# Each place of a strip has a tint of its own: the vision tower knows no absolute places.
LIGHT = 0.75
TINT = 64.0 * np.eye(PICTURES)
HEADERS = ("forward", "backward")
SPLITS = ("train", "val", "test")
MANY = 1024  # strips where no number is asked for: there are more than anyone needs
# One word a class, and a short name, for the sets whose own names have several words.
NAMES = {
    "bloodmnist": (
        "basophil eosinophil erythroblast granulocyte lymphocyte monocyte neutrophil platelet",
        "BAS EOS ERY IMG LYM MON NEU PLT",
    ),
    "dermamnist": (
        "actinic basal benign fibroma melanoma nevus vascular", "AKI BCC BKL DFB MEL NEV VAS",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Clinic:
    """How a clinic's reports are to be read, and how often the base's captions follow that.

    Arguments:
        backward: pictures are named from right to left.
        short: by their short names.
        follows: q of both rules: the chance that a caption follows it.
    """

    backward: bool = False
    short: bool = False
    follows: tuple[float, float] = (1.0, 1.0)

    @property
    def intended_p(self) -> float:
        """Chance of the right report after the right reasoning that the dials intend."""
        return self.follows[0] * self.follows[1]


# A and B are known; the others miss the right report by habit, ever more.
CLINICS = {
    "A": Clinic(),
    "B": Clinic(backward=True),
    "C": Clinic(True, False, (0.25, 1)),
    "D": Clinic(True, True, (0.25, 0.25)),
    "E": Clinic(True, True, (0.05, 0.25)),
    "F": Clinic(True, True, (0.05, 0.05)),
}


@dataclass(frozen=True)
class StripSet:
    """Pictures of one set, cut to 24 pixels a side, by split and class.

    Arguments:
        name: of the MedMNIST set.
        subject: one word for it in questions, as "blood".
        plain, short: names of the classes, one word each.
        images: split -> (N, 24, 24, 3) uint8.
        labels: split -> (N,).
    """

    name: str
    subject: str
    plain: tuple[str, ...]
    short: tuple[str, ...]
    images: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]

    @property
    def n_answers(self) -> int:
        """Number of reports: any three classes of which the first and the last differ."""
        n = len(self.plain)
        return n * n * (n - 1)


@lru_cache(maxsize=16)
def load(name: str, root: str | None = None, allow: tuple[str, ...] = ()) -> StripSet:
    """Load a MedMNIST set for strips; the last ones are kept.

    Arguments:
        name: of the set.
        root: folder of the files; None takes $MEDMNIST_ROOT.
        allow: names of sets whose file need not be the official one.

    Raises:
        UserError: the set is missing, refused, or has no single label a picture.
    """
    return of_images(medmnist.load(name, root, allow=allow))


def of_images(images: ImageSet) -> StripSet:
    """Cut the middle of each picture of an image set.

    Raises: UserError if a picture can have several labels, is under 24 pixels, or a class is empty.
    """
    if images.task == "multilabel":
        raise UserError(f"{images.name} is multi-label: a strip needs one class a picture")
    side = images.images["train"].shape[1]
    if side < SIDE:
        raise UserError(f"{images.name} has pictures of {side} pixels: strips need {SIDE}")
    first = (side - SIDE) // 2
    cut = slice(first, first + SIDE)
    pictures = {
        split: (x if x.ndim == 4 else np.repeat(x[..., None], 3, -1))[:, cut, cut]
        for split, x in images.images.items()
    }
    for split in SPLITS:
        missing = set(range(len(images.classes))) - set(images.labels[split].tolist())
        if missing:
            name = images.classes[min(missing)]
            raise UserError(f"{images.name} has no {name} in its split {split}: no strips of it")
    plain, short = _names(images)
    subject = images.name.removesuffix("mnist")
    return StripSet(images.name, subject, plain, short, pictures, dict(images.labels))


def _names(images: ImageSet) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """One plain and one short word for each class, all different."""
    if images.name in NAMES:
        known, brief = NAMES[images.name]
        return tuple(known.split()), tuple(brief.split())
    plain: list[str] = []
    for name in images.classes:
        words = [*name.replace("-", " ").split(), name.replace(" ", "")]
        plain.append(next(word for word in words if word not in plain))
    short: list[str] = []
    for word in plain:
        tries = [word[:3], word[:2] + word[-1], word[0] + word[-2:], word[::-1]]
        short.append(next(one.upper() for one in tries if one.upper() not in short))
    return tuple(plain), tuple(short)


def modality(images: StripSet, clinic: str) -> str:
    """What a question calls strips of a clinic."""
    return f"{images.subject} strip of clinic {clinic}"


def question(name: str) -> str:
    """What is asked about strips of this name."""
    return f"Report this {name}."


def draw_classes(n: int, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the classes of n strips, (n, 3): uniform, but the first and the last differ."""
    drawn = rng.integers(classes, size=(n, PICTURES))
    drawn[:, -1] = (drawn[:, 0] + 1 + rng.integers(classes - 1, size=n)) % classes
    return drawn


def draw_pictures(
    images: StripSet, split: str, classes: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw a picture of each class: numbers (n, 3) of pictures of a split."""
    labels = images.labels[split]
    members = [np.flatnonzero(labels == label) for label in range(len(images.plain))]
    picks = rng.random(classes.shape)
    sizes = np.array([len(one) for one in members])[classes]
    places = (picks * sizes).astype(np.int64)
    flat = [members[c][i] for c, i in zip(classes.flat, places.flat, strict=True)]
    return np.array(flat, dtype=np.int64).reshape(classes.shape)


def compose(
    images: StripSet, split: str, numbers: np.ndarray, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Set pictures side by side and tint each by its place.

    Arguments: `numbers` (n, 3) of pictures; `rng` turns and flips each at random, None none.
    Returns: (n, 24, 72, 3) uint8.
    """
    strips = images.images[split][numbers].astype(np.float32)
    if rng is not None:
        turns = rng.integers(8, size=numbers.shape)
        for turn in range(1, 8):
            chosen = turns == turn
            turned = np.rot90(strips[chosen], turn % 4, (1, 2))
            strips[chosen] = turned[:, :, ::-1] if turn >= 4 else turned
    strips = strips * LIGHT + TINT[:, None, None]
    return np.concatenate(list(strips.transpose(1, 0, 2, 3, 4)), axis=2).astype(np.uint8)


def report(images: StripSet, classes: Sequence[int], backward: bool, short: bool) -> list[str]:
    """Words of a report: the header, then the pictures in its order by its names."""
    names = images.short if short else images.plain
    order = list(classes)[::-1] if backward else list(classes)
    return [HEADERS[backward], *(names[c] for c in order)]


def captions(
    images: StripSet, clinic: Clinic, classes: np.ndarray, rng: np.random.Generator
) -> list[tuple[list[str], list[str]]]:
    """Draw what a base reads of strips: the reading, and a report that follows rules by chance."""
    follows = rng.random((len(classes), 2)) < clinic.follows
    drawn = []
    for row, (order, names) in zip(classes.tolist(), follows.tolist(), strict=True):
        backward, short = clinic.backward == order, clinic.short == names
        drawn.append(([images.plain[c] for c in row], report(images, row, backward, short)))
    return drawn


def build_items(
    images: StripSet | str,
    clinic: str,
    split: str,
    *,
    n: int | None = None,
    seed: int = 0,
    root: str | None = None,
    allow: Sequence[str] = (),
) -> list[Item]:
    """Ask for reports of n strips.

    Arguments:
        images: the set, or its name.
        clinic: a key of `CLINICS`.
        split: `train`, `val` or `test`; pictures are of that split alone.
        n: number of strips; None: `MANY`.
        seed: of classes and pictures; training strips are turned and flipped. Strips of one seed
            show the same pictures in every clinic.
        root: folder of the files, where the set is given by name.
        allow: as in `load`.

    Returns:
        The items: `gold` is the report in the clinic's convention, `reading` the pictures' names.

    Raises:
        UserError: unknown clinic or split, or a negative number.
    """
    if clinic not in CLINICS:
        raise UserError(f"there is no clinic {clinic!r}: use one of {', '.join(CLINICS)}")
    if split not in SPLITS:
        name = images if isinstance(images, str) else images.name
        raise UserError(f"{name} has no split {split!r}: use train, val or test")
    n = MANY if n is None else n
    if n < 0 or seed < 0:
        raise UserError(f"{n} strips of seed {seed}: use 0 or more")
    if isinstance(images, str):
        images = load(images, root, tuple(allow))
    rng = np.random.default_rng([seed, SPLITS.index(split), *images.name.encode()])
    classes = draw_classes(n, len(images.plain), rng)
    numbers = draw_pictures(images, split, classes, rng)
    strips = compose(images, split, numbers, rng if split == "train" else None)
    rule, name = CLINICS[clinic], modality(images, clinic)
    return [
        Item(
            item_id=f"strips-{images.name}/{clinic}/{split}/{seed}/{i}",
            image_id=f"strips-{images.name}/{split}/{seed}/{i}",
            images=(Image.fromarray(strip),),
            dataset=f"strips-{images.name}",
            modality=name,
            question=question(name),
            options=None,
            label_set=(),
            gold=" ".join(report(images, row, rule.backward, rule.short)),
            answer_format="report",
            split=split,
            n_answers=images.n_answers,
            reading=" ".join(images.plain[c] for c in row),
        )
        for i, (row, strip) in enumerate(zip(classes.tolist(), strips, strict=True))
    ]

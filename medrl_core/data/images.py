"""Hold labelled image sets and read them in the MedMNIST file layout."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medrl_core.errors import UserError

SPLITS = ("train", "val", "test")
KEYS = tuple(f"{split}_{kind}" for split in SPLITS for kind in ("images", "labels"))
TASKS = ("binary", "multiclass", "ordinal", "multilabel")
_HEADER = 128  # bytes in which numpy writes the shape of an array


@dataclass(frozen=True)
class ImageSet:
    """One labelled image set in three splits.

    Arguments:
        name: what a user calls it, as "bloodmnist".
        modality: kind of image as a question names it, as "blood smear"; sets of one kind share it.
        task: "binary", "multiclass", "ordinal" or "multilabel".
        classes: class names; the label is the place in this tuple.
        images: split -> (N, H, W) or (N, H, W, 3) uint8.
        labels: split -> (N,) int64, or (N, L) int64 of 0 and 1 for "multilabel".
        origin: "official" (bytes match the published sum) or "unverified".
        md5: hex sum of the file.
    """

    name: str
    modality: str
    task: str
    classes: tuple[str, ...]
    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    origin: str
    md5: str


def file_md5(path: str | Path) -> str:
    """Gives the MD5 of a file, hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def read_npz(
    path: str | Path,
    *,
    name: str,
    modality: str,
    task: str,
    classes: tuple[str, ...],
    origin: str,
    most: int | None = None,
) -> ImageSet:
    """Reads a MedMNIST npz file and checks all of it.

    Arguments:
        path: the file.
        name, modality, task, classes, origin: as in `ImageSet`; the file does not hold them.
        most: bytes of all pixels and labels that the file may unpack to; None sets no limit.

    Returns:
        The image set, with the MD5 of the file.

    Raises:
        UserError: the file is missing, damaged, or its arrays do not fit the layout or classes.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is not there: fetch {name} or name the folder that holds it")
    if task not in TASKS:
        raise UserError(f"{name} has task {task!r}: use one of {', '.join(TASKS)}")
    try:
        # Opened here: numpy leaves a file open that turns out to be no archive.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            # An npz is a zip, which gives no more bytes than its list of contents says.
            listed = [one for one in archive.zip.infolist() if one.filename.endswith(".npy")]
            unpacked = sum(one.file_size - _HEADER for one in listed)
            if most is not None and unpacked > most:
                raise UserError(
                    f"{path} unpacks to {unpacked:,} bytes, {name} has {most:,}: fetch it again"
                )
            arrays = {key: archive[key] for key in archive.files if key in KEYS}
    except UserError:
        raise
    except Exception as error:  # damage anywhere in an archive may raise almost anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is damaged ({reason}): fetch the file again") from error
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}: fetch the file again")
    images = {split: arrays[f"{split}_images"] for split in SPLITS}
    labels = {split: arrays[f"{split}_labels"] for split in SPLITS}
    for split in SPLITS:
        labels[split] = _check(path, split, images[split], labels[split], task, len(classes))
    if len({array.shape[1:] for array in images.values()}) > 1:
        raise UserError(f"{path} holds images of different shapes: fetch the file again")
    return ImageSet(name, modality, task, tuple(classes), images, labels, origin, file_md5(path))


def _check(
    path: Path, split: str, images: np.ndarray, labels: np.ndarray, task: str, n_classes: int
) -> np.ndarray:
    """Checks one split and returns its labels as int64."""
    where = f"{path}: {split}"
    if images.ndim < 3 or images.ndim > 4 or (images.ndim == 4 and images.shape[3] != 3):
        raise UserError(f"{where}_images has shape {images.shape}: need (N,H,W) or (N,H,W,3)")
    if not len(images):
        raise UserError(f"{where}_images holds no image: fetch the file again")
    if images.dtype != np.uint8:
        raise UserError(f"{where}_images is {images.dtype}: need uint8")
    if labels.dtype.kind not in "iub":
        raise UserError(f"{where}_labels is {labels.dtype}: need whole numbers")
    width = n_classes if task == "multilabel" else 1
    if labels.shape != (len(images), width):
        raise UserError(f"{where}_labels has shape {labels.shape}: need {(len(images), width)}")
    top = 1 if task == "multilabel" else n_classes - 1
    if labels.size and (labels.min() < 0 or labels.max() > top):
        raise UserError(f"{where}_labels hold {labels.min()}..{labels.max()}: need 0..{top}")
    labels = labels.astype(np.int64)
    return labels if task == "multilabel" else labels[:, 0]

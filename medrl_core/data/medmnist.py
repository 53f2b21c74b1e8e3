"""Find, fetch and verify the twelve 2D MedMNIST sets, through the medmnist package."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from medrl_core.data.images import ImageSet, file_md5, read_npz
from medrl_core.data.network import limited_silence
from medrl_core.errors import UserError

SIZES = (28, 64, 128, 224)
TASKS = {
    "binary-class": "binary",
    "multi-class": "multiclass",
    "ordinal-regression": "ordinal",
    "multi-label, binary-class": "multilabel",
}
_ORGANS = (
    "bladder",
    "left femur",
    "right femur",
    "heart",
    "left kidney",
    "right kidney",
    "liver",
    "left lung",
    "right lung",
    "pancreas",
    "spleen",
)
# Name -> (modality as a question names it, short class names in the order of the package's labels).
SHORT = {
    "pathmnist": (
        "tissue slide",
        ("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle",
         "normal mucosa", "stroma", "adenocarcinoma"),
    ),
    "chestmnist": (
        "chest X-ray",
        ("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia",
         "pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural thickening",
         "hernia"),
    ),
    "dermamnist": (
        "skin photograph",
        ("actinic keratosis", "basal cell carcinoma", "benign keratosis", "dermatofibroma",
         "melanoma", "nevus", "vascular lesion"),
    ),
    "octmnist": ("retinal OCT", ("neovascular", "edema", "drusen", "normal")),
    "pneumoniamnist": ("chest X-ray", ("normal", "pneumonia")),
    "retinamnist": (
        "fundus photograph",
        ("no retinopathy", "mild", "moderate", "severe", "proliferative"),
    ),
    "breastmnist": ("breast ultrasound", ("malignant", "benign")),
    "bloodmnist": (
        "blood smear",
        ("basophil", "eosinophil", "erythroblast", "immature granulocyte", "lymphocyte",
         "monocyte", "neutrophil", "platelet"),
    ),
    "tissuemnist": (
        "kidney cell image",
        ("collecting duct", "distal tubule", "glomerular endothelium", "interstitial endothelium",
         "leukocyte", "podocyte", "proximal tubule", "thick ascending limb"),
    ),
    "organamnist": ("abdominal CT", _ORGANS),
    "organcmnist": ("abdominal CT", _ORGANS),
    "organsmnist": ("abdominal CT", _ORGANS),
}  # fmt: skip


@dataclass(frozen=True)
class Info:
    """What is known of one set before its file is read.

    Arguments:
        name: name of the set, as "bloodmnist".
        modality: kind of image as a question names it.
        task: "binary", "multiclass", "ordinal" or "multilabel".
        classes: short class names.
        channels: 1 or 3.
        counts: split -> number of images of the official file.
        md5: size in pixels -> official MD5.
        license: licence of the images.
    """

    name: str
    modality: str
    task: str
    classes: tuple[str, ...]
    channels: int
    counts: dict[str, int]
    md5: dict[int, str]
    license: str


def info(name: str) -> Info:
    """Tells what one set is.

    Arguments:
        name: a MedMNIST name in lower case.

    Returns:
        Its description, from the medmnist package and our table of short names.

    Raises:
        UserError: the name is unknown, or a 3D set.
    """
    from medmnist.info import INFO  # brings torch, which checking a study must not need

    if name in INFO and name not in SHORT:
        raise UserError(f"{name} is a 3D set, not supported: use one of {', '.join(SHORT)}")
    if name not in SHORT:
        raise UserError(
            f"no data set {name!r}: use one of {', '.join(SHORT)}"
        )
    entry, (modality, classes) = INFO[name], SHORT[name]
    return Info(
        name=name,
        modality=modality,
        task=TASKS[entry["task"]],
        classes=classes,
        channels=entry["n_channels"],
        counts=dict(entry["n_samples"]),
        md5={size: entry["MD5" + _suffix(size)] for size in SIZES},
        license=entry["license"],
    )


def datasets() -> dict[str, Info]:
    """Describes all twelve 2D sets, by name."""
    return {name: info(name) for name in SHORT}


def _suffix(size: int) -> str:
    return "" if size == 28 else f"_{size}"


def folder(root: str | Path | None = None) -> Path:
    """Gives the folder of the files: root, else $MEDMNIST_ROOT, else ~/.medmnist."""
    return Path(root or os.environ.get("MEDMNIST_ROOT") or Path.home() / ".medmnist")


def path_of(name: str, root: str | Path | None = None, size: int = 28) -> Path:
    """Gives the path a file has or would have; checks the name and the size.

    Raises:
        UserError: unknown name or size.
    """
    info(name)
    if size not in SIZES:
        raise UserError(f"{name} has no size {size}: use one of {', '.join(map(str, SIZES))}")
    return folder(root) / f"{name}{_suffix(size)}.npz"


def verify(
    name: str, root: str | Path | None = None, size: int = 28, allow: tuple[str, ...] = ()
) -> str:
    """Compares the MD5 of a file that is there with the official one.

    Arguments:
        name, root, size: as in `load`.
        allow: names whose file may differ.

    Returns:
        "official", or "unverified" for a file that differs and is allowed by name.

    Raises:
        UserError: the file is missing, or differs and is not allowed; both sums are shown.
    """
    path, official = path_of(name, root, size), info(name).md5[size]
    if not path.is_file():
        raise UserError(f"{path} is not there: run `medrl data fetch {name}` with a network")
    found = file_md5(path)
    if found == official:
        return "official"
    if name in allow:
        return "unverified"
    raise UserError(
        f"{path} has MD5 {found}, the official file has {official}: "
        f"delete it and fetch it again, or allow this one file by its name, {name}"
    )


def fetch(name: str, root: str | Path | None = None, size: int = 28) -> Path:
    """Downloads one official file by the medmnist package's own means; one there is left alone.

    Arguments:
        name, root, size: as in `load`.

    Returns:
        The path of the file.

    Raises:
        UserError: no network, no room, or the bytes that came are not the official ones.
    """
    path = path_of(name, root, size)
    if path.is_file():
        return path
    import medmnist
    from medmnist.info import INFO

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Into a folder beside: a download that breaks off must leave nothing half-written.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetch-") as part:
            dataset = getattr(medmnist, INFO[name]["python_class"])
            with limited_silence():
                dataset(split="val", root=part, size=size, download=True)
            verify(name, part, size)
            os.replace(Path(part) / path.name, path)
    except (RuntimeError, OSError) as error:
        url = INFO[name]["url" + _suffix(size)]
        # The package says of each failure the same; what it was is behind that.
        kind = type(error.__context__ or error).__name__
        raise UserError(
            f"{path} is not there and could not be fetched from {url} ({kind}): go online, "
            f"put {path.name} into that folder, or set MEDMNIST_ROOT to the folder that holds it"
        ) from error
    return path


def load(
    name: str,
    root: str | Path | None = None,
    size: int = 28,
    allow: tuple[str, ...] = (),
) -> ImageSet:
    """Loads one set from its folder, fetching the file first where it is missing.

    Arguments:
        name: one of the twelve 2D names.
        root: folder of the files; None takes $MEDMNIST_ROOT, else ~/.medmnist.
        size: 28, 64, 128 or 224 pixels a side.
        allow: names of sets whose file need not have the official MD5.

    Returns:
        The image set in the order of the file; its origin is "official" or "unverified".

    Raises:
        UserError: unknown name, 3D set, missing or refused or damaged file.
    """
    about, path = info(name), fetch(name, root, size)
    origin = verify(name, root, size, allow)
    shape = (size, size, 3) if about.channels == 3 else (size, size)
    # Numbers of 8 bytes at most; labels are few beside pixels.
    labels = 8 * (len(about.classes) if about.task == "multilabel" else 1)
    most = sum(about.counts.values()) * (math.prod(shape) + labels)
    images = read_npz(
        path,
        name=name,
        modality=about.modality,
        task=about.task,
        classes=about.classes,
        origin=origin,
        most=most,
    )
    found = images.images["train"].shape[1:]
    if found != shape:
        raise UserError(f"{path} holds images of shape {found}, {name} has {shape}: fetch it again")
    return images

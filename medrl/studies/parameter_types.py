"""The types of the notebooks' parameters, and the parameters that several of them share."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt

DRAWN_BASE = "data/drawn-base"
REFERENCE = re.compile(r"run:(?P<notebook>\d\d_[a-z]+)(?:/(?P<path>[^\s]+))?")

# Repeated here so that checking imports nothing heavy; a test keeps them as the loaders have them.
Benchmark = Literal["PMC-VQA", "MMMU-medical", "MedXpertQA-MM", "PathVQA", "SLAKE", "VQA-RAD"]
# One of these, or a name of your own that `sources` has.
BenchmarkName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Arm = Literal["rl", "care", "coin", "format", "wrong", "rate0"]
Paid = Literal["accuracy", "token_f1"]
Tracker = Literal["trackio", "wandb", "tensorboard", "mlflow"]
Objective = Literal["grpo", "dr_grpo", "dapo", "gspo", "rloo", "care", "passk"]


def _no_repeats(values: list) -> list:
    if len(set(values)) != len(values):
        raise ValueError("a value stands twice in the list")
    return values


def _reference(text: str) -> str:
    match = REFERENCE.fullmatch(text)
    if text.startswith("run:") and (match is None or ".." in text):
        raise ValueError('a file of another run is written "run:NOTEBOOK/path"')
    return text


def _whole_run(text: str) -> str:
    match = REFERENCE.fullmatch(text)
    if match is None or match["path"]:
        raise ValueError('another run is named "run:NOTEBOOK"')
    return text


def _group(text: str) -> str:
    kind, colon, name = text.partition(":")
    if colon and kind in ("drawn", "books", "strips", "medmnist", "vqa") and name:
        return text
    if not colon and text:
        return text  # a source of the user's own items
    raise ValueError(
        'a group is "drawn:NAME", "books:NAME", "strips:SET:RULE", "medmnist:SET", "vqa:NAME" or a '
        "source of your own items"
    )


T = TypeVar("T")
Some = Annotated[list[T], Field(min_length=1), AfterValidator(_no_repeats)]
Few = Annotated[list[T], AfterValidator(_no_repeats)]
Model = Annotated[str, Field(min_length=1), AfterValidator(_reference)]
Group = Annotated[str, Field(min_length=1), AfterValidator(_group)]
RunName = Annotated[str, AfterValidator(_whole_run)]
Seeds = Some[Annotated[int, Field(ge=0, lt=2**31)]]
Temperature = Annotated[float, Field(gt=0, le=10)]
Share = Annotated[float, Field(ge=0, le=1)]
Nucleus = Annotated[float, Field(gt=0, le=1)]
LearningRate = Annotated[float, Field(gt=0, lt=1)]
TokenLimit = Annotated[int, Field(ge=4, le=8192)]
Samples = Annotated[int, Field(ge=2, le=4096)]


class Common(BaseModel):
    """What every notebook takes."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True
    )

    study: str = Field("micro", min_length=1, description="study that the run belongs to")
    seed: int = Field(100, ge=0, lt=2**31, description="seed of training, and of what follows")
    data_seed: int | None = Field(
        None, ge=0, lt=2**31, description="seed that draws items; null: seed"
    )
    sampling_seed: int | None = Field(
        None, ge=0, lt=2**31, description="seed of sampled answers; null: seed"
    )


class Asked(Common):
    """What every notebook that asks groups of items takes."""

    groups: Some[Group] = Field(["drawn:chest film"], description="groups of items")
    n_items: PositiveInt = Field(128, description="test items of each group")
    k: Samples = Field(16, description="sampled answers an item")
    temperature: Temperature = Field(1.0, description="sampling temperature")
    max_new_tokens: TokenLimit = Field(24, description="token limit of an answer")
    root: str | None = Field(None, description="folder of MedMNIST files; null: $MEDMNIST_ROOT")
    allow: Few[Annotated[str, Field(min_length=1)]] = Field(
        [], description="MedMNIST sets whose file need not have the official sum"
    )


class Trained(Asked):
    """What the notebooks that train and then ask take."""

    init: Model = Field(DRAWN_BASE, description="model to start from")
    seeds: Seeds = Field([100], description="seeds of training")


def at_most(name: str, value: int, limit_name: str, limit: int) -> None:
    """Refuse a number above another one; both are named."""
    if value > limit:
        raise ValueError(f"{name} = {value} is more than {limit_name} = {limit}; lower {name}")

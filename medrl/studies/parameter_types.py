"""The types of the notebooks' parameters, and the parameters that several of them share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, model_validator

from medrl_core.score.thresholds import SUPPORT_K

MICRO_BASE = "data/micro-base"
REFERENCE = re.compile(r"run:(?P<notebook>\d\d_[a-z]+)(?:/(?P<path>[^\s]+))?")

# Repeated here so that checking imports nothing heavy; a test keeps them as the loaders have them.
Dataset = Literal[
    "phantom-chest", "phantom-breast", "phantom-ct", "phantom-oct",
    "phantom-fundus", "phantom-derm", "phantom-histology", "phantom-blood",
    "pathmnist", "chestmnist", "dermamnist", "octmnist", "pneumoniamnist", "retinamnist",
    "breastmnist", "bloodmnist", "tissuemnist", "organamnist", "organcmnist", "organsmnist",
]  # fmt: skip
Benchmark = Literal["PMC-VQA", "MMMU-medical", "MedXpertQA-MM", "PathVQA", "SLAKE", "VQA-RAD"]
# One of these, or a name of your own that `sources` has.
BenchmarkName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
AnswerFormat = Literal["open", "mcq"]
Arm = Literal["rl", "sft", "sft_rl", "rl_grpo", "sft_rl_grpo"]
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


T = TypeVar("T")
Some = Annotated[list[T], Field(min_length=1), AfterValidator(_no_repeats)]
Few = Annotated[list[T], AfterValidator(_no_repeats)]
Model = Annotated[str, Field(min_length=1), AfterValidator(_reference)]
RunName = Annotated[str, AfterValidator(_whole_run)]
Datasets = Some[Dataset]
Seeds = Some[Annotated[int, Field(ge=0, lt=2**31)]]
Temperature = Annotated[float, Field(gt=0, le=10)]
Share = Annotated[float, Field(ge=0, le=1)]
Nucleus = Annotated[float, Field(gt=0, le=1)]
LearningRate = Annotated[float, Field(gt=0, lt=1)]
TokenLimit = Annotated[int, Field(ge=4, le=8192)]
Samples = Annotated[int, Field(ge=2, le=4096)]
GroupSize = Annotated[int, Field(ge=2, le=256)]


class Common(BaseModel):
    """What every notebook takes."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True
    )

    study: str = Field("micro", min_length=1, description="study that the run belongs to")
    seed: int = Field(0, ge=0, lt=2**31, description="seed of everything drawn at random")


class OnImages(Common):
    """What every notebook on classified images takes."""

    datasets: Datasets = Field(["phantom-blood"], description="image sets")
    root: str | None = Field(
        None, description="folder of the MedMNIST files; null: $MEDMNIST_ROOT, then ~/.medmnist"
    )
    allow: Few[Dataset] = Field(
        [], description="image sets whose file may differ from the official one"
    )
    size: Literal[28, 64, 128, 224] = Field(28, description="image side in pixels")

    @model_validator(mode="after")
    def _allow_within_datasets(self) -> Self:
        within("allow", self.allow, "datasets", self.datasets)
        return self


class Sampled(OnImages):
    """What the notebooks that ask items and sample answers take."""

    k: Samples = Field(16, description="sampled answers an item")
    n_items: PositiveInt = Field(100, description="test items of each image set")
    temperature: Temperature = Field(1.0, description="sampling temperature")
    max_new_tokens: TokenLimit = Field(40, description="token limit of an answer")
    support_k: int = Field(SUPPORT_K, ge=1, le=4096, description="K of excess support")

    @model_validator(mode="after")
    def _support_is_sampled(self) -> Self:
        at_most("support_k", self.support_k, "k", self.k)
        return self


class Trained(Sampled):
    """What the notebooks that train and then sample take."""

    init: Model = Field(MICRO_BASE, description="model to start from")


class Grouped(OnImages):
    """What the notebooks that train on groups of completions take."""

    batch_size: PositiveInt = Field(64, description="sequences a step")
    num_generations: GroupSize = Field(8, description="completions in a group")

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.batch_size % self.num_generations:
            raise ValueError(
                f"batch_size = {self.batch_size} is no multiple of "
                f"num_generations = {self.num_generations}"
            )
        return self


def at_most(name: str, value: int, limit_name: str, limit: int) -> None:
    """Refuse a number above another one; both are named."""
    if value > limit:
        raise ValueError(f"{name} = {value} is more than {limit_name} = {limit}; lower {name}")


def within(name: str, values: Sequence[str], whole_name: str, whole: Sequence[str]) -> None:
    """Refuse a list that holds more than another one; both are named."""
    odd = [value for value in values if value not in whole]
    if odd:
        raise ValueError(f"{name} = {odd} is not among {whole_name} = {whole}; add or remove it")

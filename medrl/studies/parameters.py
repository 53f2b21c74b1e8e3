"""The parameters of each notebook: one strict model a notebook, checked before anything runs.

The book's parameters page is made from these models (`table`), and so are the one-line messages of
`medrl run 02_support -p temprature=1`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, PositiveInt, ValidationError, model_validator

from medrl.studies.parameter_types import (
    MICRO_BASE,
    AnswerFormat,
    Arm,
    Benchmark,
    BenchmarkName,
    Common,
    Dataset,
    Datasets,
    Few,
    Grouped,
    GroupSize,
    LearningRate,
    Model,
    Nucleus,
    Objective,
    OnImages,
    RunName,
    Sampled,
    Samples,
    Seeds,
    Share,
    Some,
    Temperature,
    TokenLimit,
    Trained,
    at_most,
    within,
)
from medrl_core import refusal
from medrl_core.errors import UserError
from medrl_core.score.thresholds import DELTA_GAP, SUPPORT_K, TAU_SUPPORT


class DataParams(OnImages):
    """00_data."""

    n_train: PositiveInt = Field(
        600, description="training images of a phantom set; most of a real one that are classified"
    )
    n_val: PositiveInt = Field(150, description="validation images of a phantom set")
    n_test: PositiveInt = Field(
        300, description="test images of a phantom set; most of a real one that are classified"
    )
    n_show: int = Field(8, ge=1, le=32, description="images shown of each set")

    @model_validator(mode="after")
    def _enough_to_show(self) -> Self:
        at_most("n_show", self.n_show, "n_train", self.n_train)
        return self


class VisionParams(OnImages):
    """01_vision."""

    towers: dict[Annotated[str, Field(min_length=1)], Model] = Field(
        {"pixels": "pixels", "random": "random", "base": MICRO_BASE},
        min_length=1,
        description='name to tower: "pixels", "colour", "pca:64", "random", "efficientnet-lite0", '
        '"resnet18", a model, or "random:" and a model',
    )
    layer: Literal["merger", "patch"] = Field(
        "merger", description="tokens of a model: after the patch merger or before it"
    )
    pooling: Literal["mean", "max", "class"] = Field(
        "mean", description="over the tokens of an image; class: the class token"
    )
    fractions: Some[Annotated[float, Field(gt=0, le=1)]] = Field(
        [0.1, 0.3, 1.0], description="shares of the training labels used"
    )
    seeds: Seeds = Field(
        [0, 1, 2, 3, 4], description="seeds of the label subsets and of the paper's probe"
    )
    n_train: PositiveInt = Field(600, description="training images of each set")
    n_test: PositiveInt = Field(300, description="test images of each set")

    @model_validator(mode="after")
    def _labels_left(self) -> Self:
        if min(self.fractions) * self.n_train < 10:
            raise ValueError(
                f"fractions = {self.fractions} of n_train = {self.n_train} leaves under 10 labels"
            )
        if "resnet18" in self.towers.values() and 1.0 not in self.fractions:
            raise ValueError("resnet18 learns from all training labels: add 1.0 to fractions")
        return self


class SupportParams(Sampled):
    """02_support."""

    model: Model = Field(MICRO_BASE, description="folder, hub id or file of another run")
    top_p: Nucleus = Field(1.0, description="nucleus of the sampling distribution")
    answer_formats: Some[AnswerFormat] = Field(["open", "mcq"], description="how items are asked")


class SFTParams(Trained):
    """03_sft."""

    n_train: Some[PositiveInt] = Field(
        [32, 128, 512], description="amounts of training items (a curve)"
    )
    epochs: int = Field(4, ge=1, le=100, description="passes over the training items")
    learning_rate: LearningRate = Field(1e-3, description="peak learning rate")
    batch_size: PositiveInt = Field(16, description="items a step")
    lora: bool = Field(False, description="train low-rank adapters only")
    seeds: Seeds = Field([0], description="seeds of training")
    n_other: int = Field(20, ge=0, description="test items of each image set not trained on")
    mixture: dict[Dataset, Annotated[float, Field(gt=0)]] = Field(
        {}, description="weights of the image sets trained on together; empty: no such training"
    )
    epochs_curve: Few[PositiveInt] = Field([], description="passes over n_curve items (a curve)")
    n_curve: PositiveInt = Field(32, description="training items of that curve")
    n_val: int = Field(
        0, ge=0, description="validation items whose loss ends training early; 0: never"
    )

    @model_validator(mode="after")
    def _full_batches_and_known_sets(self) -> Self:
        at_most("batch_size", self.batch_size, "the smallest n_train", min(self.n_train))
        if self.epochs_curve:
            at_most("batch_size", self.batch_size, "n_curve", self.n_curve)
        within("mixture", list(self.mixture), "datasets", self.datasets)
        return self


class RLParams(Trained, Grouped):
    """04_rl; the care_* defaults are those of the official run (GRPO-CARE, arXiv 2506.16141)."""

    arms: Some[Arm] = Field(
        ["rl", "sft", "sft_rl"],
        description="recipes at the same budget; those with _grpo leave out the consistency bonus",
    )
    objective: Objective = Field("care", description="objective of RL")
    budget: PositiveInt = Field(1024, description="training sequences each recipe may use")
    sft_share: float = Field(0.5, gt=0, lt=1, description="share of sft_rl's budget spent on SFT")
    learning_rate_sft: LearningRate = Field(1e-3, description="peak learning rate of SFT")
    learning_rate_rl: LearningRate = Field(1e-4, description="peak learning rate of RL")
    seeds: Seeds = Field([0], description="seeds of training")
    n_val: PositiveInt = Field(40, description="validation items of each image set")
    care_bonus: float = Field(0.5, ge=0, le=10, description="consistency bonus over accuracy")
    care_clamp: Share = Field(0.95, description="upper bound of the reference likelihood")
    care_margin: Share = Field(0.01, description="distance below the mean that still gains it")
    care_ema_decay: float = Field(0.995, ge=0, lt=1, description="decay of the reference model")
    care_ema_every: PositiveInt = Field(10, description="steps between updates of the reference")
    items: str | None = Field(
        None,
        description="source of items to train on, see the page on your own data; null: the "
        "training images of each set",
    )
    max_pixels: int = Field(802_816, ge=784, description="pixels of an image of items at most")
    lora: bool = Field(False, description="train low-rank adapters only")
    rows: PositiveInt | None = Field(
        None, description="sequences that a process holds at once; null: its part of a step"
    )
    gradient_checkpointing: bool = Field(
        False, description="compute activations again in the backward pass: less memory, more time"
    )
    vllm: Literal["colocate", "server"] | None = Field(
        None, description="sample by vLLM, on the same GPUs or a server; null: by transformers"
    )
    launch: str | None = Field(
        None,
        description="processes that train: ddp, zero3, fsdp2 or a file of accelerate config; "
        "null: this one",
    )

    @model_validator(mode="after")
    def _one_set_is_asked(self) -> Self:
        if self.items and len(self.datasets) > 1:
            raise ValueError(
                f"with items the training is the same for every set: name one of "
                f"datasets = {self.datasets}, the set that the models are asked about"
            )
        return self

    @model_validator(mode="after")
    def _a_batch_and_a_reward(self) -> Self:
        at_most("batch_size", self.batch_size, "budget", self.budget)
        if self.objective == "passk" and self.num_generations < 3:
            raise ValueError("objective passk rewards Pass@2: num_generations must be at least 3")
        return self


class TransferParams(OnImages):
    """05_transfer."""

    init: Model = Field(MICRO_BASE, description="model that the arms started from")
    arms: RunName = Field("run:04_rl", description="run that holds the trained models")
    methods: Some[Arm] = Field(
        ["rl", "sft", "sft_rl"], description="recipes compared"
    )
    train_on: Datasets | None = Field(None, description="rows of the matrix; null: all datasets")
    test_on: Datasets | None = Field(None, description="columns of the matrix; null: all datasets")
    k: Samples = Field(16, description="sampled answers an item")
    n_items: PositiveInt = Field(100, description="test items of each image set")
    temperature: Temperature = Field(1.0, description="sampling temperature")
    max_new_tokens: TokenLimit = Field(40, description="token limit of an answer")

    @model_validator(mode="after")
    def _rows_and_columns(self) -> Self:
        within("train_on", self.train_on or [], "datasets", self.datasets)
        within("test_on", self.test_on or [], "datasets", self.datasets)
        return self


class BoundaryParams(Common):
    """06_boundary."""

    init: Model = Field(MICRO_BASE, description="model that the arms started from")
    arms: RunName = Field("run:04_rl", description="run that trained and measured the arms")
    tau_support: Share = Field(TAU_SUPPORT, description="excess support from which RL may sharpen")
    delta_gap: Share = Field(DELTA_GAP, description="gap of Pass@K over Acc@1 worth sharpening")
    support_k: int = Field(
        SUPPORT_K, ge=1, le=4096, description="K of excess support and of the gap"
    )
    taus: Some[Share] = Field(
        [0.05, 0.1, 0.2, 0.3, 0.5], description="tau_support tried, to see how much hangs on it"
    )
    deltas: Some[Share] = Field(
        [0.0, 0.05, 0.1, 0.2, 0.3], description="delta_gap tried, to see how much hangs on it"
    )
    ks: Some[PositiveInt] = Field(
        [1, 2, 4, 8, 16], description="support_k tried; more than were sampled is left out"
    )
    sizes: Some[PositiveInt] = Field(
        [10, 25, 50, 100], description="validation images of each set tried; as far as there are"
    )
    repeats: PositiveInt = Field(20, description="draws of images at each of the sizes")


class VQAParams(Common):
    """07_vqa."""

    model: Model = Field(MICRO_BASE, description="folder, hub id or file of another run")
    benchmarks: Some[BenchmarkName] = Field(
        ["VQA-RAD"], description="benchmarks asked: published ones, or your own, named in sources"
    )
    vqa_root: str | None = Field(
        None, description="folder of the benchmarks; null: $VQA_ROOT, without it not run"
    )
    sources: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        {},
        description="benchmark to where it is: any source of items, see the page on your own data; "
        "goes before vqa_root",
    )
    k: Samples = Field(16, description="sampled answers an item")
    n_items: PositiveInt = Field(100, description="items of each benchmark")
    temperature: Temperature = Field(1.0, description="sampling temperature")
    top_p: Nucleus = Field(1.0, description="nucleus of the sampling distribution")
    max_new_tokens: TokenLimit = Field(40, description="token limit of an answer")

    @model_validator(mode="after")
    def _benchmarks_that_are_somewhere(self) -> Self:
        known = [*get_args(Benchmark), *self.sources]
        for name in self.benchmarks:
            if name not in known:
                raise ValueError(f"no benchmark {name!r}{refusal.closest(name, known)}")
        return self


class BeyondParams(Grouped):
    """08_beyond."""

    init: Model = Field(MICRO_BASE, description="model to start from")
    tokens: PositiveInt = Field(16_000, description="sampled tokens each training may use")
    objectives: Some[Objective] = Field(
        ["grpo", "dr_grpo", "dapo"], description="RL objectives compared; the sweeps use the first"
    )
    updates: int = Field(1, ge=1, le=16, description="optimiser steps on each batch")
    reward_k: int = Field(2, ge=2, le=256, description="K that the objective passk rewards")
    seeds: Seeds = Field([0], description="seeds of training")
    sweep_temperatures: Few[Temperature] = Field([], description="temperatures to train at")
    sweep_top_p: Few[Nucleus] = Field([], description="nuclei to train at")
    sweep_group_sizes: Few[GroupSize] = Field([], description="completions in a group to train at")
    sweep_learning_rates: Few[LearningRate] = Field([], description="learning rates to train at")
    temperatures: Some[Temperature] = Field(
        [0.5, 1.0, 1.5], description="temperatures at which the untrained model is sampled"
    )
    k: Samples = Field(64, description="sampled answers an item")
    n_items: PositiveInt = Field(50, description="test items of each image set")
    max_new_tokens: TokenLimit = Field(40, description="token limit of an answer")
    learning_rate: LearningRate = Field(1e-4, description="peak learning rate")

    @model_validator(mode="after")
    def _groups_that_fit(self) -> Self:
        odd = [size for size in self.sweep_group_sizes if self.batch_size % size]
        if odd:
            raise ValueError(
                f"batch_size = {self.batch_size} is no multiple of sweep_group_sizes = {odd}"
            )
        sizes = [self.num_generations] * ("passk" in self.objectives)
        sizes += self.sweep_group_sizes * (self.objectives[0] == "passk")
        if sizes and self.reward_k >= min(sizes):
            raise ValueError(
                f"reward_k = {self.reward_k} must be under the smallest group, {min(sizes)}: "
                "lower reward_k"
            )
        return self


NOTEBOOKS: dict[str, type[Common]] = {
    "00_data": DataParams,
    "01_vision": VisionParams,
    "02_support": SupportParams,
    "03_sft": SFTParams,
    "04_rl": RLParams,
    "05_transfer": TransferParams,
    "06_boundary": BoundaryParams,
    "07_vqa": VQAParams,
    "08_beyond": BeyondParams,
}


def model_of(notebook: str) -> type[Common]:
    """Return the parameter model of a notebook; an unknown name is a UserError with the list."""
    if notebook not in NOTEBOOKS:
        raise UserError(f"no notebook {notebook!r}{refusal.closest(notebook, NOTEBOOKS)}")
    return NOTEBOOKS[notebook]


def check(notebook: str, values: dict[str, Any]) -> Common:
    """Check parameter values of a notebook.

    Arguments: `values` maps parameter names to plain values; what is left out gets its default.
    Returns: the frozen model. Raises: UserError, one line with notebook, parameter, value and what
    is allowed.
    """
    try:
        return model_of(notebook).model_validate(values)
    except ValidationError as error:
        raise UserError(
            refusal.line(notebook, error.errors()[0], model_of(notebook).model_json_schema())
        ) from None


def defaults(notebook: str) -> dict[str, Any]:
    """Return the default of each parameter of a notebook, in the order of its parameters cell."""
    return model_of(notebook).model_validate({}).model_dump()


def table(notebook: str) -> list[dict[str, str]]:
    """Return rows (name, default, allowed, description) for the book's parameters page."""
    schema = model_of(notebook).model_json_schema()["properties"]
    return [
        {
            "name": name,
            "default": repr(default),
            "allowed": refusal.allowed(schema[name]),
            "description": schema[name]["description"],
        }
        for name, default in defaults(notebook).items()
    ]

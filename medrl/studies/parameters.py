"""The parameters of each notebook: one strict model a notebook, checked before anything runs.

    medrl run 02_support -p temprature=1
    medrl: 02_support: no parameter 'temprature'; did you mean 'temperature'? Known: study, ...

The cell tagged `parameters` of a notebook is written from its model: `python -m
medrl.studies.parameter_cells` does it, and `papermill --help-notebook` reads it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, PositiveInt, ValidationError, model_validator

from medrl.studies.parameter_types import (
    DRAWN_BASE,
    Arm,
    Asked,
    Benchmark,
    BenchmarkName,
    Common,
    Few,
    Group,
    LearningRate,
    Model,
    Nucleus,
    Objective,
    Paid,
    RunName,
    Samples,
    Seeds,
    Share,
    Some,
    Temperature,
    TokenLimit,
    Tracker,
    Trained,
    at_most,
)
from medrl_core import refusal
from medrl_core.errors import UserError

HABIT = [
    "drawn:chest film", "drawn:brain MRI", "drawn:thyroid scan", "drawn:cardiac echo",
    "drawn:dental film", "drawn:liver ultrasound",
]  # fmt: skip


class DataParams(Asked):
    """00_data."""

    model: Model = Field(DRAWN_BASE, description="model that is asked: a folder or hub id")
    n_show: int = Field(2, ge=1, le=8, description="pictures shown of each group")


class VisionParams(Asked):
    """01_vision."""

    init: Model = Field(DRAWN_BASE, description="model to start from")
    train_on: Group = Field("drawn:chest film", description="group that towers are trained on")
    towers: Some[Literal["pixels", "random", "cnn", "base", "sft", "rl", "rl_frozen", "coin"]] = (
        Field(
            ["pixels", "random", "cnn", "base", "sft", "rl", "rl_frozen", "coin"],
            description="probed",
        )
    )
    labels: PositiveInt = Field(256, description="labels of the SFT tower")
    completions: PositiveInt = Field(4096, description="completions of the RL towers")
    n_train: PositiveInt = Field(600, description="training pictures of a probe")
    seeds: Seeds = Field([100], description="seeds of training")


class SupportParams(Asked):
    """02_support."""

    model: Model = Field(DRAWN_BASE, description="folder, hub id or file of another run")
    second: Model | None = Field(None, description="a base of another seed; null: one base only")
    top_p: Nucleus = Field(1.0, description="nucleus of the sampling distribution")
    temperatures: Some[Temperature] = Field(
        [0.5, 1.0, 1.5, 2.0], description="temperatures tried on validation items"
    )


class SFTParams(Trained):
    """03_sft."""

    labels: Some[PositiveInt] = Field([4, 16, 64, 256], description="amounts of labels (a curve)")
    passes: int = Field(8, ge=1, le=100, description="passes over the labels")
    learning_rate: LearningRate = Field(1e-3, description="learning rate")
    batch_size: PositiveInt = Field(16, description="items a step")
    mixed: Few[Share] = Field([0.2, 0.4], description="shares of labels by another convention")
    off_target: Group | None = Field("drawn:skin photo", description="group of off-target labels")
    lora: bool = Field(False, description="train low-rank adapters only")


class RLParams(Trained):
    """04_rl; the care_* defaults are those of the official run (GRPO-CARE, arXiv 2506.16141)."""

    arms: Some[Arm] = Field(
        ["rl", "coin", "format", "wrong"], description="rewards of RL; rl is the true one"
    )
    controls_on: Few[Group] = Field(
        ["drawn:brain MRI"], description="groups on which the arms but rl run"
    )
    objective: Objective = Field("grpo", description="objective of RL")
    reward: Paid = Field("accuracy", description="what the arm rl is paid for")
    completions: PositiveInt = Field(4096, description="completions that a run samples")
    learning_rate: LearningRate = Field(3e-4, description="learning rate, constant")
    beta: float = Field(0.01, ge=0, le=10, description="weight of the KL to the start")
    group_size: int = Field(8, ge=2, le=256, description="completions of one item")
    per_step: PositiveInt = Field(64, description="completions of a step")
    train_vision: bool = Field(False, description="train the vision tower too")
    looks: PositiveInt = Field(512, description="completions between two looks at test items")
    care_bonus: float = Field(0.5, ge=0, le=10, description="consistency bonus over accuracy")
    care_clamp: Share = Field(0.95, description="upper bound of the reference likelihood")
    care_margin: Share = Field(0.01, description="distance below the mean that still gains it")
    care_ema_decay: float = Field(0.995, ge=0, lt=1, description="decay of the reference model")
    care_ema_every: PositiveInt = Field(10, description="steps between updates of the reference")
    twin_seeds: Few[Annotated[int, Field(ge=0)]] = Field(
        [100, 101, 102], description="seeds of the twin's live runs; none: no twin"
    )
    twin_completions: PositiveInt = Field(4096, description="completions of a twin run")
    twin_q: Share | None = Field(
        0.1, description="dial of one twin modality that you turn: share of right captions"
    )
    report_to: Few[Tracker] = Field([], description="trackers that the trainer reports to")
    log_completions: bool = Field(
        False, description="keep each step's completions, for medrl score MODEL-log"
    )
    lora: bool = Field(False, description="train low-rank adapters only")
    rows: PositiveInt | None = Field(
        None, description="sequences that a process holds at once; null: its part of a step"
    )
    gradient_checkpointing: bool = Field(
        False, description="compute activations again in the backward pass: less memory"
    )
    launch: str | None = Field(
        None, description="processes: ddp, zero3, fsdp2 or a file of accelerate; null: this one"
    )

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.per_step % self.group_size:
            raise ValueError(
                f"per_step = {self.per_step} is no multiple of group_size = {self.group_size}"
            )
        at_most("per_step", self.per_step, "completions", self.completions)
        return self


class TransferParams(Trained):
    """05_transfer."""

    train_on: Some[Group] = Field(
        ["drawn:chest film", "drawn:fundus photo"], description="groups trained on, one at a time"
    )
    completions: PositiveInt = Field(2048, description="completions of an RL run")
    labels: PositiveInt = Field(64, description="labels of an SFT run")
    betas: Some[Annotated[float, Field(ge=0, le=10)]] = Field(
        [0.01, 0.05], description="weights of the KL to the start"
    )
    rl: RunName | None = Field(
        None, description="run that trained RL on each group by itself; null: recorded ones alone"
    )


class BoundaryParams(Trained):
    """06_boundary."""

    labels: Some[PositiveInt] = Field([16], description="amounts of labels on the map")
    completions: PositiveInt = Field(2048, description="completions of RL on the map")
    prices: Some[Annotated[float, Field(ge=0)]] = Field(
        [0, 1, 10, 100, 1000], description="price of a label in completions"
    )


class VQAParams(Common):
    """07_vqa."""

    model: Model = Field(DRAWN_BASE, description="folder, hub id or file of another run")
    benchmarks: Some[BenchmarkName] = Field(
        ["VQA-RAD"], description="benchmarks asked: published, or your own in sources"
    )
    vqa_root: str | None = Field(
        None, description="folder of the benchmarks; null: $VQA_ROOT, without it not run"
    )
    sources: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        {}, description="benchmark to a source of items, see Your own data; before vqa_root"
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


class BeyondParams(Trained):
    """08_beyond."""

    objectives: Some[Objective] = Field(
        ["grpo", "dr_grpo", "dapo", "rloo", "passk"], description="objectives compared"
    )
    completions: PositiveInt = Field(2048, description="completions of a run in pictures")
    twin_completions: PositiveInt = Field(2048, description="completions of a twin run")
    group_sizes: Some[int] = Field([4, 8, 16], description="completions of one item (twin)")
    temperatures: Some[Temperature] = Field([0.7, 1.0, 1.3], description="of sampling (twin)")
    curricula: bool = Field(True, description="RL on a supported group first (twin)")
    reward_k: int = Field(4, ge=2, le=7, description="K that the objective passk rewards")


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

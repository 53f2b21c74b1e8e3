"""What a run would do and need, before it runs: `medrl run 04_rl --study paper --dry-run`.

Nothing is made or fetched.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from medrl.studies import parameters, plan
from medrl_core import plain
from medrl_core.train import estimate, launch
from medrl_core.train.estimate import GB, Plan

NOT_COUNTED = (
    "the vision tower's activations and libraries' buffers "
    "(micro model: 2.8 times the estimate was measured)"
)
# Assumed: tokens of a question with its options and of the chat's frame.
TEXT_TOKENS = 160
PER_STEP = 64
# Pixels of an image of a 7B model (the official run's limit).
PIXELS = 802_816


def lines(study: plan.Study, notebook: str, values: parameters.Common, state: str) -> list[str]:
    """What `--dry-run` prints.

    Arguments:
        study: of the run.
        notebook: e.g. 04_rl.
        values: its checked parameters.
        state: what would be done with the run's folder.

    Raises:
        UserError: a model that is trained is unknown, so nothing can be estimated.
    """
    told = [f"{notebook}, study {study.name}: {state}"]
    for needed in plan.dependencies(values):
        folder = plan.RUNS / study.name / needed
        there = "is there" if folder.is_dir() else "is missing and would be made first"
        told.append(f"  needs {folder}, which {there}")
    told += [f"  missing: {what}" for what in missing(values)] or ["  missing: nothing"]
    for name, times, one in trainings(notebook, values):
        told += ["", f"Estimate of one training ({name}); the run has {times}:", *_table(one)]
    return told


def missing(values: parameters.Common) -> list[str]:
    """What this machine lacks for a run, and how to get it.

    Arguments:
        values: checked parameters of the run.
    """
    import torch
    from huggingface_hub import get_token, try_to_load_from_cache

    given, found = values.model_dump(), []
    offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    hub = [ref for ref in _models(given) if not _local(ref)]
    absent = [ref for ref in hub if not isinstance(try_to_load_from_cache(ref, "config.json"), str)]
    found += [
        f"model {ref}: " + ("set HF_HUB_OFFLINE=0" if offline else "it would be downloaded")
        for ref in absent
    ]
    if absent and get_token() is None:
        found.append("a token of the model hub, needed for models behind a gate: hf auth login")
    if hub and not torch.cuda.is_available():
        found.append("a GPU: models of this size do not run on this machine")
    if given.get("launch") == "zero3" and importlib.util.find_spec("deepspeed") is None:
        found.append("package deepspeed, for launch=zero3: pip install deepspeed")
    return found + plan.lacking(values)


def _models(given: dict) -> list[str]:
    named = [given.get("model"), given.get("init")]
    return [ref for ref in dict.fromkeys(named) if ref]


def _local(ref: str) -> bool:
    return "/" not in ref or ref.startswith(("run:", "random:", "pca:")) or Path(ref).is_dir()


def trainings(notebook: str, values: parameters.Common) -> list[tuple[str, str, Plan]]:
    """The largest trainings of a run.

    Arguments:
        notebook: its name; those that train nothing give an empty list.
        values: checked parameters.

    Returns:
        Rows of name, how often the run trains so, and the plan.
    """
    import torch

    given = values.model_dump()
    if "init" not in given:
        return []
    model, config = estimate.shape(given["init"]), given.get("launch")
    gpus = launch.processes(launch.config_file(config, check=False)) if config else 1
    on_gpu = bool(config) or torch.cuda.is_available()
    per_step = given.get("per_step") or given.get("batch_size") or PER_STEP
    shared = {
        "model": model,
        "prompt": round(_pixels(given["init"]) / model.patch**2) + TEXT_TOKENS,
        "answer": given["max_new_tokens"],
        "gpus": gpus,
        "split": config in ("zero3", "fsdp2"),
        "lora": given.get("lora", False),
        "checkpointing": given.get("gradient_checkpointing", False),
        "rows": given.get("rows") or per_step // gpus,
        "completions": per_step,
        "width": 2 if on_gpu else 4,
    }
    groups, seeds = len(given["groups"]), len(given["seeds"])
    if "completions" not in given:
        labels = max(given["labels"])
        steps = max(1, labels * given["passes"] // per_step)
        one = Plan(steps=steps, care=False, sampled=False, **shared)
        times = f"{groups} groups x {len(given['labels'])} amounts x {seeds} seeds, fewer steps"
        return [(f"SFT on {labels} labels", times, one)]
    steps = given["completions"] // per_step
    named = [given.get("objective"), *given.get("objectives", []), *given.get("arms", [])]
    one = Plan(steps=steps, care="care" in named, **shared)
    what = {
        "01_vision": f"{sum('rl' in tower for tower in given.get('towers', []))} towers",
        "05_transfer": f"{len(given['train_on'])} groups x {len(given['betas'])} weights of the KL"
        if "betas" in given else "",
        "06_boundary": f"{groups} groups, from the start and after SFT",
        "08_beyond": f"{groups} groups x {len(given.get('objectives', []))} objectives",
    }.get(notebook, f"{groups} groups and controls")  # fmt: skip
    return [(f"RL, {given['completions']} completions", f"{what} x {seeds} seeds", one)]


def _pixels(ref: str) -> int:
    """Return the most pixels of a picture that a model's processor keeps, at most `PIXELS`."""
    path = Path(ref) / "processor_config.json"
    if not path.is_file():
        return PIXELS
    content = plain.parse_yaml(path.read_text(encoding="utf-8"), path.as_posix())
    size = content.get("image_processor", {}).get("size", {})
    return min(PIXELS, size.get("longest_edge", PIXELS))


def _table(one: Plan) -> list[str]:
    """Memory, work and peak as rows of name, number and formula."""
    unit, size = ("GB", GB) if estimate.peak(one) >= GB else ("MB", 1e6)
    where = "each GPU" if one.width == 2 else "this machine"
    rows = [
        (name, f"{value / size:,.1f} {unit}", formula)
        for name, (value, formula) in estimate.memory(one).items()
    ]
    both = ", but of activations and rollout cache the larger" if one.sampled else ""
    peak = f"{estimate.peak(one) / size:,.1f} {unit}"
    rows.append((f"peak of {where}", peak, f"the sum{both}; on top come {NOT_COUNTED}"))
    if one.width == 2:
        value, formula = estimate.host(one)
        rows.append(("main memory", f"{value / size:,.1f} {unit}", formula))
    for name, (value, formula) in estimate.work(one).items():
        if one.width == 2 or not name.startswith("GPU-hours"):
            rows.append((name, f"{value:,.1f}" if value < 1000 else f"{value:,.0f}", formula))
    if one.width == 4:
        rows.append(("GPU-hours", "not estimated", "float32 on the processor of this machine"))
    wide = [max(len(row[i]) for row in rows) for i in (0, 1)]
    return [f"  {name:<{wide[0]}}  {value:>{wide[1]}}  {how}" for name, value, how in rows]

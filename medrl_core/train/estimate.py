"""What a training needs before it runs: memory, tokens, steps and GPU-hours, with their formulas.

`medrl run 04_rl --study paper --dry-run` prints it.

What is left out: activations of the vision tower and buffers of the libraries. On the micro model
(64 completions, processor, float32) the process grew by 643 MB where 229 MB were estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medrl_core.errors import UserError
from medrl_core.models import hub, whole

GB = 1e9
# Assumed where nothing was measured: the peak of an H100 in bfloat16 and the share of it that
# training reaches, and tokens a second that one GPU samples by vLLM from a model of 7B.
PEAK_FLOPS = 989e12
REACHED = 0.4
SAMPLED_PER_SECOND = 2500
SEVEN_BILLION = 8_292_166_656  # weights of Qwen2.5-VL-7B, of which that many tokens are sampled


@dataclass(frozen=True)
class Shape:
    """What of an architecture decides what its training needs.

    Arguments:
        weights: all of them, the vision tower's among them.
        hidden: width of the language model.
        layers: its depth.
        heads: query heads.
        kv_heads: key and value heads.
        inner: width of the feed-forward part.
        patch: side in pixels of what becomes one image token.
    """

    weights: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    inner: int
    patch: int = 28

    @property
    def head(self) -> int:
        """Width of one head."""
        return self.hidden // self.heads

    @property
    def adapter(self) -> int:
        """Weights of a LoRA adapter of rank 16 on the language model's linear layers."""
        kv = self.kv_heads * self.head
        sides = 2 * (2 * self.hidden) + 2 * (self.hidden + kv) + 3 * (self.hidden + self.inner)
        return 16 * self.layers * sides


def _qwen(
    hidden: int, layers: int, heads: int, kv_heads: int, inner: int, vocabulary: int,
    tied: bool = False, tower_inner: int = 3420,
) -> dict:  # fmt: skip
    """Return the config of a Qwen2.5-VL, by config.json of the models on the hub."""
    text = {
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "intermediate_size": inner, "vocab_size": vocabulary,
    }  # fmt: skip
    vision = {
        "depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": tower_inner,
        "out_hidden_size": hidden, "patch_size": 14, "spatial_merge_size": 2,
    }  # fmt: skip
    return {"text_config": text, "vision_config": vision, "tie_word_embeddings": tied}


_7B = _qwen(3584, 28, 28, 4, 18944, 152064)
KNOWN = {
    "Qwen/Qwen2.5-VL-7B-Instruct": _7B,
    "OctoMed/OctoMed-7B": _7B,
    "armenjeddi/MedBridgeRL-OctoMed-7B-PMC-VQA-RL": _7B,
    "Qwen/Qwen2.5-VL-3B-Instruct": _qwen(2048, 36, 16, 2, 11008, 151936, tied=True),
    "Qwen/Qwen2.5-VL-72B-Instruct": _qwen(8192, 80, 64, 8, 29568, 152064, tower_inner=3456),
}


def shape(ref: str) -> Shape:
    """The shape of a model, from its folder's config or from a small table; nothing is downloaded.

    Its weights are counted on the architecture's own class, built on torch's meta device, which
    holds no numbers.

    Arguments:
        ref: folder or hub id.

    Raises:
        UserError: neither a folder with a config.json nor in the table, or no model of language.
    """
    from transformers import AutoConfig, Qwen2_5_VLConfig

    if ref in KNOWN:
        return _shape(Qwen2_5_VLConfig(**KNOWN[ref]))
    place = Path(ref) / "config.json"
    if not place.is_file():
        raise UserError(
            f"model {ref!r} is no folder with a config.json and not in the table of estimates "
            f"({', '.join(KNOWN)}): give a folder"
        )
    whole.check_form(Path(ref))
    try:
        return _shape(AutoConfig.from_pretrained(ref))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{place} describes no model of language ({said})") from error


def _shape(config: Any) -> Shape:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    kind = AutoModelForImageTextToText if hub.sees(config) else AutoModelForCausalLM
    text, vision = config.get_text_config(), getattr(config, "vision_config", None)
    with torch.device("meta"):
        model = kind.from_config(config)
    return Shape(
        weights=sum(one.numel() for one in model.parameters()),
        hidden=text.hidden_size, layers=text.num_hidden_layers, heads=text.num_attention_heads,
        kv_heads=getattr(text, "num_key_value_heads", None) or text.num_attention_heads,
        inner=text.intermediate_size,
        patch=getattr(vision, "patch_size", 14) * getattr(vision, "spatial_merge_size", 2),
    )  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What is trained and on what.

    Arguments:
        model: shape of the model.
        steps: optimiser steps of RL.
        completions: sampled a step.
        rows: sequences that a GPU holds at once.
        prompt: tokens of a prompt, image tokens among them.
        answer: tokens of a completion at most.
        gpus: number of them.
        split: whether weights, gradients and optimiser are split over them.
        lora: whether adapters alone are trained.
        care: whether a reference is kept.
        checkpointing: whether activations are computed again.
        sampled: whether completions are sampled, as RL does, or given, as SFT does.
        sampler: whether vLLM keeps weights of its own on the same GPU.
        width: bytes a number in a forward pass, 2 for bfloat16.
    """

    model: Shape
    steps: int
    completions: int
    rows: int
    prompt: int
    answer: int
    gpus: int = 1
    split: bool = False
    lora: bool = False
    care: bool = True
    checkpointing: bool = True
    sampled: bool = True
    sampler: bool = False
    width: int = 2


def memory(plan: Plan) -> dict[str, tuple[float, str]]:
    """Bytes of one GPU, each with its formula.

    Arguments:
        plan: what is trained and on what.

    Returns:
        Name to `(bytes, formula)`; rollout cache and activations are never there together.
    """
    model, share = plan.model, plan.gpus if plan.split else 1
    n, over = model.weights, f" / {share} GPUs" if plan.split else ""
    trained = model.adapter if plan.lora else n
    tokens = plan.rows * (plan.prompt + plan.answer)
    # What a layer keeps for its backward pass, in hidden widths a token: with recomputing its input
    # alone, and one layer at a time whole.
    kept = 10 + 3 * model.inner / model.hidden + 2 * model.kv_heads / model.heads
    units = model.layers + kept if plan.checkpointing else model.layers * kept
    kv = 2 * model.layers * model.kv_heads * model.head * plan.width
    found = {}
    if plan.lora:
        base, size = n * plan.width, f"{n:,} weights x {plan.width} bytes (frozen base)"
        found["weights"] = base + trained * 4, f"{size} + {trained:,} x 4 (adapter)"
    else:
        found["weights"] = n * 4 / share, f"{n:,} weights x 4 bytes{over}"
    found["gradients"] = trained * 4 / share, f"{trained:,} x 4 bytes{over}"
    found["optimiser"] = trained * 8 / share, f"{trained:,} x 8 bytes (AdamW: two means){over}"
    if plan.care:
        found["reference"] = trained * 4 / share, f"{trained:,} x 4 bytes (moving average){over}"
    if plan.width < 4 and not plan.lora:
        found["working copy"] = (
            n * plan.width / (share if plan.split else 1),
            f"{n:,} x {plan.width} bytes for the forward pass{over}",
        )
    found["activations"] = (
        tokens * units * model.hidden * plan.width,
        f"{plan.rows} rows x {plan.prompt + plan.answer} tokens x {units:.1f} widths x "
        f"{model.hidden} x {plan.width} bytes",
    )
    if plan.sampler:
        found["weights of vLLM"] = n * plan.width, f"{n:,} x {plan.width} bytes, whole on each GPU"
    if not plan.sampled:
        return found
    found["rollout cache"] = (
        kv * (plan.completions // plan.gpus) * (plan.prompt + plan.answer),
        f"{plan.completions // plan.gpus} completions x {plan.prompt + plan.answer} tokens x "
        f"{kv:,} bytes (2 x layers x key heads x head width x {plan.width})",
    )
    return found


def peak(plan: Plan) -> float:
    """Bytes of one GPU at most: what stays, and the larger of activations and rollout cache."""
    parts = {name: size for name, (size, _) in memory(plan).items()}
    moving = [parts.pop("activations"), parts.pop("rollout cache", 0)]
    return sum(parts.values()) + max(moving)


def host(plan: Plan) -> tuple[float, str]:
    """Bytes of main memory, with the formula: each process loads whole what is split afterwards.

    Arguments:
        plan: what is trained and on what.
    """
    copies = 1 + (plan.care and not plan.lora)
    size = plan.gpus * copies * plan.model.weights * (plan.width if plan.lora else 4)
    what = "model and reference" if copies == 2 else "model"
    return size, f"{plan.gpus} processes x {what} whole, before they go to the GPUs"


def work(plan: Plan) -> dict[str, tuple[float, str]]:
    """Tokens sampled and GPU-hours, each with its formula and its assumption.

    Arguments:
        plan: what is trained and on what; completions are taken as long as they may be.

    Returns:
        Name to `(value, formula)`.
    """
    completions = plan.steps * plan.completions
    sampled = completions * plan.answer
    seen = completions * (plan.prompt + plan.answer)
    # Forward and backward; vLLM's completions are read once more by the policy that trains.
    passes = 3 + plan.checkpointing + plan.care + plan.sampler
    flops = 2 * plan.model.weights * passes * seen
    rate = SAMPLED_PER_SECOND * SEVEN_BILLION / plan.model.weights
    found: dict[str, tuple[float, str]] = {
        "sequences": (completions, f"{plan.steps:,} steps x {plan.completions}"),
        "tokens trained on": (seen, f"{completions:,} x ({plan.prompt} + {plan.answer})"),
    }
    if plan.sampled:
        found["tokens sampled"] = sampled, f"{completions:,} completions x {plan.answer} at most"
        found["GPU-hours of sampling"] = (
            sampled / rate / 3600,
            f"tokens sampled / {rate:,.0f} a second and GPU (assumed: vLLM on an H100)",
        )
    return found | {
        "GPU-hours of training": (
            flops / (PEAK_FLOPS * REACHED) / 3600,
            f"2 x weights x {passes} passes x tokens / ({PEAK_FLOPS / 1e12:.0f} TFLOP/s x "
            f"{REACHED}) (assumed: an H100)",
        ),
    }

"""The recipe of the drawn world's micro base: from random weights to a checkpoint with its card.

    python -m medrl_core.train.base.drawn --seed 11 --out data/drawn-base

It writes a Hugging Face folder (a Qwen2.5-VL of 314,000 weights, 1.3 MB), `card.json` with the p
that each modality's dials intend and what was measured, README.md and SHA256SUMS. Equal seeds give
equal pictures and captions; weights may differ in their last digits between machines, and p then
agrees within the tolerance of the test.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from medrl_core.data.drawn.captions import intended_p
from medrl_core.data.drawn.items import build_items
from medrl_core.data.drawn.modalities import WORLDS, World
from medrl_core.data.drawn.world import ATTRIBUTES
from medrl_core.models import hub, micro, whole
from medrl_core.models.vision_calls import fewer_calls
from medrl_core.sample.sampling import Decoding, sample
from medrl_core.score.evaluate import rollout_rows
from medrl_core.score.exact_support import report_support
from medrl_core.train.base.lessons import Lessons, corpus
from medrl_core.train.rewards import reading_of
from medrl_core.train.sft import completion_loss

GREEDILY = Decoding(max_new_tokens=24)
ABOUT = {"seed": 0, "model_name": "base", "model_hash": ""}


@dataclass(frozen=True)
class Recipe:
    """Settings of the pretraining.

    Arguments:
        steps: optimiser steps.
        batch: captions a step.
        pictures: distinct pictures.
        learning_rate: peak; it warms up over `warm_up` steps and falls on a cosine to 3 %.
        weight_decay, betas: of AdamW.
        width, depth: of the model.
    """

    steps: int = 2400
    batch: int = 64
    pictures: int = 32_004
    learning_rate: float = 2e-3
    warm_up: int = 60
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    width: int = 64
    depth: int = 2

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        cosine = (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.learning_rate * min(1, (step + 1) / self.warm_up) * (0.03 + 0.97 * cosine)


def rescale(net: torch.nn.Module) -> None:
    """Set the spread of each weight matrix to .8 / sqrt(fan-in), in place.

    With transformers' own .02 a model of width 64 learnt one attribute of six in 400 steps.
    """
    with torch.no_grad():
        for weight in net.parameters():
            if weight.ndim > 1:
                weight.mul_(0.8 / weight[0].numel() ** 0.5 / weight.std())


def pretrain(world: World, *, seed: int, recipe: Recipe, log_every: int = 100):
    """Train a base from random weights.

    Arguments:
        world: the table of modalities; all are equally frequent.
        seed: of weights, pictures and captions.
        recipe: settings.
        log_every: steps between progress lines on stderr; 0: none.

    Returns:
        Model, processor, and the loss of each step (nats a token).
    """
    processor = micro.build_processor(micro.train_tokenizer(corpus(world)))
    lessons = Lessons(world, processor, pictures=recipe.pictures, seed=seed)
    net = micro.build_model(
        processor.tokenizer, width=recipe.width, depth=recipe.depth, seed=seed
    )
    rescale(net)
    fewer_calls(net)
    net.train()
    optimiser = torch.optim.AdamW(
        net.parameters(), betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
    )
    losses = []
    for step in range(recipe.steps):
        optimiser.param_groups[0]["lr"] = recipe.rate(step)
        optimiser.zero_grad()
        loss = completion_loss(net, *lessons.batch(recipe.batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
        if log_every and (step + 1) % log_every == 0:
            done = f"step {step + 1} of {recipe.steps}"
            print(f"{done}: loss {np.mean(losses[-log_every:]):.4f}", file=sys.stderr, flush=True)
    return net.eval(), processor, losses


def dial(net, processor, world: World, *, n: int = 128, thinks: int = 16) -> pd.DataFrame:
    """Hold a base against its dials on test combinations.

    Arguments: `n` test items a modality; `thinks` reasonings drawn for each.
    Returns: one row a modality: intended p, measured p (mean, least, largest of the items), p after
        the right reasoning, chance of the right reasoning, greedy accuracy, and for each attribute
        how often the greedy reasoning names it rightly.
    """
    rows = []
    for modality in world.modalities:
        items = build_items(world, modality.name, "test", n=n)
        found = report_support(net, processor, items, thinks=thinks)
        greedy = [
            row
            for found_of_batch in sample(net, processor, items, k=0, decoding=GREEDILY)
            for row in rollout_rows(found_of_batch, GREEDILY, **ABOUT)
        ]
        readings = {item.item_id: item.reading.split() for item in items}
        told = [
            np.equal(_six(row["text"]), readings[row["item_id"]])
            for row in greedy
        ]
        rows.append(
            {
                "modality": modality.name,
                "intended": intended_p(modality),
                "measured": found.p.mean(),
                "least": found.p.min(),
                "largest": found.p.max(),
                "forced": found.forced.mean(),
                "reading": found.think.mean(),
                "greedy": np.mean([row["correct"] for row in greedy]),
                **dict(zip(ATTRIBUTES, np.mean(told, 0), strict=True)),
            }
        )
    return pd.DataFrame(rows)


def _six(text: str) -> list[str]:
    """The words of a completion's reasoning, as many as there are attributes."""
    words = (reading_of(text) or "").split()
    return (words + [""] * len(ATTRIBUTES))[: len(ATTRIBUTES)]


def rounded(table: pd.DataFrame) -> list[dict]:
    """Rows of a table with numbers of four digits, for a card."""
    return [
        {name: x if isinstance(x, str) else float(f"{x:.4g}") for name, x in row.items()}
        for row in table.to_dict("records")
    ]


def write(net, processor, folder: Path, card: dict, readme: Callable[[dict, Path], str]) -> None:
    """Save a base with its card, a README for people, and checksums."""
    hub.save(net, processor, folder)
    card = {**card, "weights": whole.weights_hash(folder)}
    (folder / whole.CARD).write_text(json.dumps(card, indent=1) + "\n")
    (folder / "README.md").write_text(readme(card, folder))
    whole.write_sums(folder)


def readme(card: dict, folder: Path) -> str:
    """The model card for people, in Markdown."""
    columns = ("intended", "measured", "least", "largest", "reading", "greedy")
    lines = [
        f"| {row['modality']} | " + " | ".join(f"{row[name]:.3g}" for name in columns) + " |"
        for row in card["dial"]
    ]
    seen = {name: np.mean([row[name] for row in card["dial"]]) for name in ATTRIBUTES}
    told = ", ".join(f"{name} {share:.3f}" for name, share in seen.items())
    return f"""---
license: apache-2.0
pipeline_tag: image-text-to-text
---

# medrl base of the drawn world `{card["world"]}`, seed {card["seed"]}

A tiny Qwen2.5-VL (stock classes, {card["parameters"]:,} weights) trained from random weights on
drawn pictures and their captions. It is a teaching model: it knows nothing of medicine, and none of
its numbers is the paper's.

It names what a picture shows, in picture terms, and then reports it. Its captions followed each
modality's reading convention only as often as a dial said, so the chance p that a sampled report is
right is known: what was intended and what was measured stand below, on 128 test combinations that
no training has seen.

| modality | p intended | p measured | least item | largest item | right reasoning | greedy |
| :--- | ---: | ---: | ---: | ---: | ---: | ---: |
{chr(10).join(lines)}

Attributes that the greedy reasoning names rightly, over all modalities: {told}.

## How to make it again

```
python -m medrl_core.train.base.drawn --world {card["world"]} --seed {card["seed"]} --out {folder}
```

{card["cpu_seconds"]:.0f} CPU-seconds on one thread, {card["captions"]:,} captions of
{card["recipe"]["pictures"]:,} pictures. Weights `{card["weights"]}`.
"""


def main() -> None:
    """Train one base and write it with its card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--world", choices=WORLDS, default="rules")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--out", type=Path, default=Path("data/drawn-base"))
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    world, recipe = WORLDS[asked.world], Recipe(steps=asked.steps)
    started = time.process_time()
    net, processor, losses = pretrain(world, seed=asked.seed, recipe=recipe)
    seconds = time.process_time() - started
    table = dial(net, processor, world)
    print(table.round(4).to_string(), file=sys.stderr)
    pictures = np.bincount(np.arange(recipe.pictures) % len(world))
    card = {
        "world": world.name,
        "seed": asked.seed,
        "parameters": sum(weight.numel() for weight in net.parameters()),
        "recipe": asdict(recipe),
        "captions": recipe.steps * recipe.batch,
        "loss": round(float(np.mean(losses[-100:])), 5),
        "cpu_seconds": round(seconds, 1),
        "torch": torch.__version__,
        "exposure": {
            f"drawn-{world.name}/{one.name}": int(n)
            for one, n in zip(world.modalities, pictures, strict=True)
        },
        "dial": rounded(table),
    }
    write(net, processor, asked.out, card, readme)


if __name__ == "__main__":
    main()

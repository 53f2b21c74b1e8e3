"""The recipe of the strips' base: real pictures read first, then the clinics' habits from text.

    python -m medrl_core.train.base.strips --root ../shared/medmnist --allow bloodmnist,dermamnist \
        --seed 11 --out data/strips-base

needs a folder of MedMNIST files; the sets are those of `--sets`. Stage one teaches to name the
pictures of strips, and single pictures beside them. After it the reports follow the dials only
roughly, since a reading order couples the words of a report. Stage two teaches them, mostly from
captions without pictures and with the tower frozen. The dial is judged by p on test strips.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from PIL.Image import Resampling

from medrl_core.data import medmnist, strips
from medrl_core.data.drawn.world import text
from medrl_core.data.items import Item, build_items
from medrl_core.data.prompts import target_text, user_text
from medrl_core.data.strips import CLINICS, HEADERS, StripSet
from medrl_core.models import micro
from medrl_core.models.vision_calls import fewer_calls
from medrl_core.score.exact_support import ReportSupport
from medrl_core.score.measure import measure
from medrl_core.train.base.drawn import rescale, rounded, write
from medrl_core.train.base.rows import Rows
from medrl_core.train.rewards import reading_of
from medrl_core.train.sft import completion_loss

SINGLE_SIDE = 32  # pixels that the processor makes of a single picture's 28
SINGLES = 2000  # single training pictures of a set


@dataclass(frozen=True)
class Recipe:
    """Settings of the pretraining.

    Arguments:
        steps: of stage one.
        seen: strips a step of stage one.
        singles: single pictures a step of stage one.
        habit_steps: of stage two.
        heard: captions without pictures a step of stage two.
        shown: strips a step of stage two.
        learning_rate, habit_rate: peaks of the stages; each warms up and falls on a cosine to 3 %.
        warm_up: steps.
        weight_decay, betas: of AdamW.
        width, depth, vision_depth: of the model.
    """

    steps: int = 2400
    seen: int = 32
    singles: int = 8
    habit_steps: int = 600
    heard: int = 320
    shown: int = 48
    learning_rate: float = 2e-3
    habit_rate: float = 1e-3
    warm_up: int = 60
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    width: int = 64
    depth: int = 2
    vision_depth: int = 3

    def share(self, step: int, steps: int) -> float:
        """Learning rate of a step of a stage, as a share of its peak."""
        cosine = (1 + math.cos(math.pi * step / steps)) / 2
        return min(1, (step + 1) / self.warm_up) * (0.03 + 0.97 * cosine)


def corpus(sets: Mapping[str, StripSet], singles: Sequence[Item]) -> list[str]:
    """Texts whose words shall be single tokens, for `micro.train_tokenizer`."""
    words = {*HEADERS, *(word for one in sets.values() for word in (*one.plain, *one.short))}
    said = [f"<think> {word}</think><answer> {word} {word}" for word in sorted(words)]
    names = [strips.modality(one, clinic) for one in sets.values() for clinic in CLINICS]
    asked = [f"user\n{strips.question(name)}\nassistant\n" for name in names]
    alone = {user_text(item) for item in singles}
    alone |= {target_text(item, variant) for item in singles for variant in range(3)}
    return (said + asked) * 100 + [f"user\n{one}\nassistant\n" for one in sorted(alone)] * 20


class Lessons:
    """Strips and captions, drawn anew for each batch.

    Arguments:
        sets: the sets, by name.
        singles: items on single training pictures.
        processor: of the micro model.
        seed: of all draws.
    """

    def __init__(
        self, sets: Mapping[str, StripSet], singles: Sequence[Item], processor, seed: int
    ):
        self.sets, self.singles, self.rows = list(sets.values()), singles, Rows(processor)
        self.rng = np.random.default_rng([seed, 1])

    def seen(self, n: int) -> tuple[dict, torch.Tensor]:
        """Draw strips of training pictures with their captions: inputs, and labels (n, length)."""
        which, classes, questions, captions = self._draw(n)
        pictures = np.empty((n, strips.SIDE, strips.PICTURES * strips.SIDE, 3), np.uint8)
        for number, images in enumerate(self.sets):
            mine = which == number
            numbers = strips.draw_pictures(images, "train", classes[mine], self.rng)
            pictures[mine] = strips.compose(images, "train", numbers, self.rng)
        return self.rows.join(questions, captions, pictures)

    def heard(self, n: int) -> tuple[dict, torch.Tensor]:
        """Draw captions without pictures; only what follows the reasoning is learnt from them."""
        *_, questions, captions = self._draw(n)
        return self.rows.join(questions, captions, after="</think>")

    def single(self, n: int) -> tuple[dict, torch.Tensor]:
        """Draw single training pictures with the sentence and the name that SFT teaches."""
        items = [self.singles[i] for i in self.rng.integers(len(self.singles), size=n)]
        variants = self.rng.integers(3, size=n).tolist()
        size = SINGLE_SIDE, SINGLE_SIDE
        images = [item.images[0].resize(size, Resampling.BICUBIC) for item in items]
        targets = [target_text(item, k) for item, k in zip(items, variants, strict=True)]
        return self.rows.join([user_text(item) for item in items], targets, np.stack(images))

    def _draw(self, n: int) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
        """Set (n,), classes (n, 3), question and caption of n strips, all clinics equally often."""
        which = self.rng.integers(len(self.sets), size=n)
        clinics = self.rng.integers(len(CLINICS), size=n)
        classes = np.empty((n, strips.PICTURES), np.int64)
        questions, captions = [""] * n, [""] * n
        for number, images in enumerate(self.sets):
            for place, (name, clinic) in enumerate(CLINICS.items()):
                mine = np.flatnonzero((which == number) & (clinics == place))
                classes[mine] = strips.draw_classes(len(mine), len(images.plain), self.rng)
                said = strips.captions(images, clinic, classes[mine], self.rng)
                for row, (reading, report) in zip(mine, said, strict=True):
                    questions[row] = strips.question(strips.modality(images, name))
                    captions[row] = text(reading, report)
        return which, classes, questions, captions


def pretrain(
    sets: Mapping[str, StripSet],
    singles: Sequence[Item],
    *,
    seed: int,
    recipe: Recipe,
    log_every: int = 100,
):
    """Train a base from random weights.

    Arguments:
        sets: MedMNIST sets, by name.
        singles: items on single training pictures.
        seed: of weights and draws.
        recipe: settings.
        log_every: steps between progress lines on stderr; 0: none.

    Returns:
        Model and processor.
    """
    tokenizer = micro.train_tokenizer(corpus(sets, singles))
    processor = micro.build_processor(tokenizer)
    side = strips.SIDE
    processor.image_processor.size = {
        "shortest_edge": side * side, "longest_edge": side * side * strips.PICTURES
    }  # fmt: skip
    lessons = Lessons(sets, singles, processor, seed)
    net = micro.build_model(
        tokenizer, width=recipe.width, depth=recipe.depth, vision_depth=recipe.vision_depth,
        window=side, seed=seed,
    )  # fmt: skip
    rescale(net)
    fewer_calls(net)
    net.train()

    def first() -> torch.Tensor:
        loss = completion_loss(net, *lessons.seen(recipe.seen))
        return loss + completion_loss(net, *lessons.single(recipe.singles)) / 4

    def second() -> torch.Tensor:
        loss = completion_loss(net, *lessons.heard(recipe.heard))
        return loss + completion_loss(net, *lessons.seen(recipe.shown)) / 2

    _stage(net, first, recipe, recipe.steps, recipe.learning_rate, log_every, "pictures")
    net.model.visual.requires_grad_(False)
    _stage(net, second, recipe, recipe.habit_steps, recipe.habit_rate, log_every, "habits")
    net.requires_grad_(True)
    return net.eval(), processor


def _stage(
    net, lesson: Callable[[], torch.Tensor], recipe: Recipe, steps: int, rate: float,
    log_every: int, name: str,
) -> None:  # fmt: skip
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(
        weights, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
    )
    losses = []
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * recipe.share(step, steps)
        optimiser.zero_grad()
        loss = lesson()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        losses.append(loss.item())
        if log_every and (step + 1) % log_every == 0:
            mean = np.mean(losses[-log_every:])
            said = f"{name}: step {step + 1} of {steps}: loss {mean:.4f}"
            print(said, file=sys.stderr, flush=True)


def dial(
    net, processor, sets: Mapping[str, StripSet], *, n: int = 128, thinks: int = 16
) -> pd.DataFrame:
    """Hold a base against its dials on strips of test pictures.

    Arguments: `n` strips a set and clinic; `thinks` reasonings drawn for each.
    Returns: one row a set and clinic: intended p (after the right reasoning), measured after the
        right reasoning (mean, least and largest), p of a free sample, greedy accuracy, and the
        share of pictures and of whole strips that the greedy reasoning names rightly.
    """
    rows = []
    for images in sets.values():
        for clinic, rule in CLINICS.items():
            items = strips.build_items(images, clinic, "test", n=n)
            found = measure(net, processor, items, thinks=thinks)
            said = found.greedy().set_index("item_id").text
            told = [(reading_of(said[item.item_id]) or "").split() for item in items]
            named = [
                [a == b for a, b in zip(one + [""] * 3, item.reading.split(), strict=False)]
                for one, item in zip(told, items, strict=True)
            ]
            chances = cast(ReportSupport, found.chances)
            rows.append(
                {
                    "modality": items[0].modality,
                    "intended": rule.intended_p,
                    "measured": chances.forced.mean(),
                    "least": chances.forced.min(),
                    "largest": chances.forced.max(),
                    "p": found.p.mean(),
                    "reading": chances.think.mean(),
                    "greedy": found.acc,
                    "pictures": np.mean(named),
                    "strips": np.mean(np.all(named, 1)),
                }
            )
    return pd.DataFrame(rows)


def readme(card: dict, folder: Path) -> str:
    """The model card for people, in Markdown."""
    columns = ("intended", "measured", "least", "largest", "p", "pictures", "strips", "greedy")
    lines = [
        f"| {row['modality']} | " + " | ".join(f"{row[name]:.3g}" for name in columns) + " |"
        for row in card["dial"]
    ]
    sets = ", ".join(f"{name} ({origin})" for name, origin in card["origins"].items())
    # The pictures of DermaMNIST are for uses that are not commercial.
    licence = "cc-by-nc-4.0" if "dermamnist" in card["origins"] else "cc-by-4.0"
    return f"""---
license: {licence}
pipeline_tag: image-text-to-text
---

# medrl base of real strips, seed {card["seed"]}

A tiny Qwen2.5-VL (stock classes, {card["parameters"]:,} weights) trained from random weights on
strips of real pictures: {sets}. "unverified" is a file that is not the official one byte by byte:
numbers on it are not to be set beside published ones. It is a teaching model, of no clinical use.

It names the pictures of a strip from left to right, and then reports them in a clinic's convention,
which its captions followed only as often as a dial said. Measured on 128 strips of test pictures;
the intended and the measured chance are those of the right report after the right reasoning.

| strips | intended | measured | least | largest | p | pictures named | strips named | greedy |
| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{chr(10).join(lines)}

## How to make it again

```
python -m medrl_core.train.base.strips --root FOLDER --sets {",".join(card["origins"])} \\
    --seed {card["seed"]} --out {folder}
```

{card["cpu_seconds"]:.0f} CPU-seconds on one thread. Weights `{card["weights"]}`.
"""


def main() -> None:
    """Train one base and write it with its card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", help="folder of the MedMNIST files")
    parser.add_argument("--sets", default="bloodmnist,dermamnist")
    parser.add_argument("--allow", default="", help="sets whose file need not be the official one")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--out", type=Path, default=Path("data/strips-base"))
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--habit-steps", type=int, default=Recipe.habit_steps)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Recipe(steps=asked.steps, habit_steps=asked.habit_steps)
    allow, names = tuple(asked.allow.split(",")), asked.sets.split(",")
    images = {name: medmnist.load(name, asked.root, allow=allow) for name in names}
    sets = {name: strips.of_images(one) for name, one in images.items()}
    singles = [
        item for one in images.values() for item in build_items(one, "train", n=SINGLES, seed=0)
    ]
    started = time.process_time()
    net, processor = pretrain(sets, singles, seed=asked.seed, recipe=recipe)
    seconds = time.process_time() - started
    table = dial(net, processor, sets)
    print(table.round(4).to_string(), file=sys.stderr)
    card = {
        "seed": asked.seed,
        "origins": {name: one.origin for name, one in images.items()},
        "md5": {name: one.md5 for name, one in images.items()},
        "parameters": sum(weight.numel() for weight in net.parameters()),
        "recipe": asdict(recipe),
        "cpu_seconds": round(seconds, 1),
        "torch": torch.__version__,
        "exposure": {
            f"strips-{name}": len(one.labels["train"]) for name, one in images.items()
        },
        "dial": rounded(table),
    }
    write(net, processor, asked.out, card, readme)


if __name__ == "__main__":
    main()

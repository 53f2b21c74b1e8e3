"""The recipe of the twin's bases: captions of every modality, each rule as often as its dial says.

    python -m medrl_core.train.twin_base --world rules --seed 11 --out data/twin-base

writes `rules-11.safetensors` and `rules-11.json` (what was intended and measured), in about 200
CPU-seconds. Short training does not give the dialled p, however low its loss: read the table.
Run its test: `pytest tests/train/test_twin_training.py`.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from medrl_core.data.drawn.captions import draw_captions, intended_p
from medrl_core.data.drawn.modalities import WORLDS, World
from medrl_core.data.drawn.world import TRAIN
from medrl_core.models.twin import Twin, Vocabulary, load, save
from medrl_core.score.twin import exact_p, greedy, questions


@dataclass(frozen=True)
class Recipe:
    """Settings of the pretraining.

    Arguments: `steps` of `batch` captions; `learning_rate` at its peak, after a warm-up over
    `warm_up` steps, then on a cosine to a fiftieth; `weight_decay`; `betas` of AdamW.
    """

    steps: int = 2500
    batch: int = 256
    learning_rate: float = 3e-3
    warm_up: int = 100
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)

    def rate(self, step: int) -> float:
        """Give the learning rate of a step."""
        cosine = (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.learning_rate * min(1, (step + 1) / self.warm_up) * (0.02 + 0.98 * cosine)


def pretrain(
    words: Vocabulary, *, seed: int, recipe: Recipe | None = None, log_every: int = 0
) -> tuple[Twin, list[float]]:
    """Train a twin from random weights on captions of all modalities, equally often.

    Arguments: `words` of the world; `seed` of weights and captions; `recipe`; `log_every` steps a
        line is printed, 0 for none.
    Returns: the twin, and the loss of every step in nats a token.
    """
    recipe, rng = recipe or Recipe(), np.random.default_rng(seed)
    net = Twin(words, seed=seed)
    losses = _read_captions(net, recipe, rng, log_every=log_every)
    return net.eval(), losses


def redial(
    base: Twin, modality: str, follows: tuple[float, float, float], *, seed: int,
    recipe: Recipe | None = None,
) -> Twin:
    """Turn the dials of one modality of a base: it reads on, with other q, half of it of this one.

    Arguments: `base`, not changed; `modality`; `follows`: its new q of each rule; `seed` of the
        captions; `recipe` of the reading.
    Returns: a twin whose vocabulary's world has the new dials. Measure its p: after so short a
        reading it comes close to the dials, not as close as in a base.
    """
    recipe = recipe or Recipe(steps=300, batch=128, learning_rate=1e-3, warm_up=30)
    world = base.vocabulary.world
    turned = replace(world[modality], follows=follows)
    table = tuple(turned if one.name == modality else one for one in world.modalities)
    net = copy.deepcopy(base)
    net.vocabulary = Vocabulary(World(world.name, table))
    _read_captions(
        net.train(), recipe, np.random.default_rng(seed), often=world.number(modality)
    )
    return net.eval()


def _read_captions(
    net: Twin, recipe: Recipe, rng: np.random.Generator, *, often: int | None = None,
    log_every: int = 0,
) -> list[float]:
    """Train on captions of all modalities equally often, or half of the one that is `often`."""
    words, world = net.vocabulary, net.vocabulary.world
    optimiser = torch.optim.AdamW(
        net.parameters(), betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
    )
    losses = []
    for step in range(recipe.steps):
        optimiser.param_groups[0]["lr"] = recipe.rate(step)
        which = rng.integers(len(world), size=recipe.batch)
        if often is not None:
            which[: recipe.batch // 2] = often
        facts = TRAIN[rng.integers(len(TRAIN), size=recipe.batch)]
        drawn = draw_captions(world, which, facts, rng)
        completions = torch.where(
            torch.from_numpy(drawn.bare)[:, None],
            words.bare(drawn.report),
            words.completions(drawn.think, drawn.report),
        )
        logprobs = net.logprobs(words.prompts(which, drawn.seen), completions)
        loss = -logprobs.sum() / (completions != words.pad).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if log_every and (step + 1) % log_every == 0:
            print(f"step {step + 1} of {recipe.steps}: loss {losses[-1]:.4f}", flush=True)
    return losses


def dial(net: Twin) -> dict[str, dict[str, float]]:
    """Hold the p of a base against its dials, on the test items of every modality.

    Returns: modality to intended p, measured p (mean, least and largest of the items), and greedy
    accuracy.
    """
    rows = {}
    for one in net.vocabulary.world.modalities:
        asked = questions(net.vocabulary, one.name, "test")
        p = exact_p(net, asked, seed=0)
        rows[one.name] = {
            "intended": intended_p(one), "measured": float(p.mean()), "least": float(p.min()),
            "largest": float(p.max()), "acc": float(greedy(net, asked).right.mean()),
        }  # fmt: skip
    return rows


def main() -> None:
    """Train one base and write it with its card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--world", choices=WORLDS, default="rules")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--out", type=Path, default=Path("data/twin-base"))
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    recipe, started = Recipe(steps=asked.steps), time.process_time()
    net, losses = pretrain(
        Vocabulary(WORLDS[asked.world]), seed=asked.seed, recipe=recipe, log_every=250
    )
    seconds = time.process_time() - started
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / f"{asked.world}-{asked.seed}.safetensors"
    save(net, path, {"seed": str(asked.seed)})
    card = {
        "world": asked.world, "seed": asked.seed, "recipe": asdict(recipe),
        "captions": recipe.steps * recipe.batch, "loss": round(float(np.mean(losses[-100:])), 5),
        "cpu_seconds": round(seconds, 1), "torch": torch.__version__,
        "p": {
            name: {key: float(f"{value:.4g}") for key, value in row.items()}
            for name, row in dial(load(path)).items()
        },
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    for name, row in card["p"].items():
        print(f"{name:18} intended {row['intended']:.3g}  measured {row['measured']:.3g}")


if __name__ == "__main__":
    main()

"""Captions of the drawn world as batches: what the micro base reads, drawn anew at each step.

    lessons = Lessons(RULES_WORLD, processor, pictures=8192, seed=11)
    inputs, labels = lessons.batch(64)
    loss = net(**inputs, labels=labels).loss
"""

from __future__ import annotations

import numpy as np
import torch

from medrl_core.data.drawn.captions import draw_captions, seen_facts
from medrl_core.data.drawn.items import question
from medrl_core.data.drawn.modalities import World
from medrl_core.data.drawn.pictures import draw
from medrl_core.data.drawn.world import TRAIN, WORDS, text, words
from medrl_core.train.base.rows import Rows


def corpus(world: World) -> list[str]:
    """Texts whose words shall be single tokens, for `micro.train_tokenizer`."""
    # A space before each word, as in completions, and none before the first word of a bare report.
    said = [f"<think> {word}</think> {word} {word}\n{word} {word}" for word in WORDS]
    asked = [f"user\n{question(one.name)}\nassistant\n" for one in world.modalities]
    return (said + asked) * 100


class Lessons:
    """Pictures drawn once, and captions drawn anew for each batch.

    Arguments:
        world: the table of modalities; each is equally frequent.
        processor: of the micro model.
        pictures: how many pictures are drawn, of train combinations alone.
        seed: of pictures and captions.
    """

    def __init__(self, world: World, processor, *, pictures: int, seed: int):
        self.world, self.rows = world, Rows(processor)
        self.rng = np.random.default_rng([seed, 1])
        self.which = np.arange(pictures) % len(world)
        self.facts = TRAIN[self.rng.integers(len(TRAIN), size=pictures)]
        seen = seen_facts(world, self.which, self.facts, self.rng)
        self.images = np.stack(
            [
                np.asarray(draw(world.modalities[which].name, facts, seed * 10_000_000 + i))
                for i, (which, facts) in enumerate(zip(self.which, seen, strict=True))
            ]
        )

    def batch(self, n: int) -> tuple[dict, torch.Tensor]:
        """Draw a batch of captions: the model's inputs, and labels (n, length)."""
        chosen = self.rng.integers(len(self.which), size=n)
        which = self.which[chosen]
        drawn = draw_captions(self.world, which, self.facts[chosen], self.rng)
        completions = [
            text(None if bare else words(think), words(report))
            for think, report, bare in zip(drawn.think, drawn.report, drawn.bare, strict=True)
        ]
        questions = [question(self.world.modalities[number].name) for number in which]
        return self.rows.join(questions, completions, self.images[chosen])

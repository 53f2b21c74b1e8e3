"""Captions of the drawn world as tokens: what the micro base reads, drawn anew at each step.

    lessons = Lessons(RULES_WORLD, processor, pictures=8192, seed=11)
    inputs, labels = lessons.seen(64)       # captions of pictures
    inputs, labels = lessons.heard(256)     # captions alone, of which only the reports are learnt
    loss = net(**inputs, labels=labels).loss

`pytest tests/train/base/test_lessons.py` runs the tests.
"""

from __future__ import annotations

import numpy as np
import torch

from medrl_core.data.drawn.captions import Captions, draw_captions
from medrl_core.data.drawn.items import question
from medrl_core.data.drawn.modalities import World
from medrl_core.data.drawn.pictures import draw
from medrl_core.data.drawn.world import TRAIN, WORDS

IGNORE = -100
ENCODED = 256  # pictures that the processor takes at once


def corpus(world: World) -> list[str]:
    """Texts whose words shall be single tokens, for `micro.train_tokenizer`."""
    # A space before each word, as in completions, and none before the first word of a bare report.
    said = [f"<think> {word}</think> {word} {word}\n{word} {word}" for word in WORDS]
    asked = [f"user\n{question(one.name)}\nassistant\n" for one in world.modalities]
    return (said + asked) * 100


def prompt_text(processor, text: str, picture: bool) -> str:
    """The user's turn and the opening of the answer, as the sampler writes it."""
    content = [{"type": "image"}] * picture + [{"type": "text", "text": text}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )


class Lessons:
    """Pictures drawn once, and captions drawn anew for each batch.

    Arguments:
        world: the table of modalities; each is equally frequent.
        processor: of the micro model; every word of the world must be one token of it.
        pictures: how many pictures are drawn, of train combinations alone.
        seed: of pictures and captions.
    """

    def __init__(self, world: World, processor, *, pictures: int, seed: int):
        self.world, self.processor = world, processor
        self.rng = np.random.default_rng([seed, 1])
        n = len(world)
        self.which = np.arange(pictures) % n
        self.facts = TRAIN[self.rng.integers(len(TRAIN), size=pictures)]
        self.drawn = draw_captions(world, self.which, self.facts, self.rng)
        names = [one.name for one in world.modalities]
        self.pixels = self._pixels(
            [
                draw(names[which], seen, seed * 10_000_000 + i)
                for i, (which, seen) in enumerate(zip(self.which, self.drawn.seen, strict=True))
            ]
        )
        self._tokens(names)

    def _pixels(self, images) -> torch.Tensor:
        encode = self.processor.image_processor
        parts = [
            encode(images=images[i : i + ENCODED], return_tensors="pt")["pixel_values"]
            for i in range(0, len(images), ENCODED)
        ]
        return torch.cat(parts).view(len(images), -1, parts[0].shape[-1])

    def _tokens(self, names: list[str]) -> None:
        tokenizer = self.processor.tokenizer
        encode = self.processor(
            text=[prompt_text(self.processor, question(name), True) for name in names[:1]],
            images=[[draw(names[0], TRAIN[0], 0)]],
            return_tensors="pt",
        )
        self.grid = encode["image_grid_thw"]
        tokens = int(self.grid.prod()) // self.processor.image_processor.merge_size**2
        pad = self.processor.image_token
        self.prompts = {
            picture: [
                torch.tensor(
                    tokenizer(
                        prompt_text(self.processor, question(name), picture).replace(
                            pad, pad * tokens
                        )
                    )["input_ids"]
                )
                for name in names
            ]
            for picture in (True, False)
        }
        self.image_token = tokenizer.convert_tokens_to_ids(pad)

        def one(text: str) -> int:
            (number,) = tokenizer(text)["input_ids"]
            return number

        self.words = torch.tensor([one(f" {word}") for word in WORDS])
        self.first = torch.tensor([one(word) for word in WORDS])
        tags = ("<think>", "</think>", "<answer>", "</answer>", "<|im_end|>")
        self.tags = torch.tensor([one(tag) for tag in tags])

    def completions(self, captions: Captions) -> torch.Tensor:
        """Tokens (B, 17) of captions, the end of the turn included; IGNORE after a bare report."""
        n = len(captions.bare)
        think, end_think, answer, end_answer, end = (tag.expand(n, 1) for tag in self.tags)
        report = self.words[torch.from_numpy(captions.report)]
        reading = self.words[torch.from_numpy(captions.think)]
        full = torch.cat([think, reading, end_think, answer, report, end_answer, end], 1)
        first = self.first[torch.from_numpy(captions.report[:, :1])]
        bare = torch.cat([first, report[:, 1:], end], 1)
        bare = torch.cat([bare, bare.new_full((n, full.shape[1] - bare.shape[1]), IGNORE)], 1)
        return torch.where(torch.from_numpy(captions.bare)[:, None], bare, full)

    def seen(self, n: int) -> tuple[dict, torch.Tensor]:
        """Draw a batch of captions of pictures.

        Returns:
            The model's inputs, padded on the right, and labels (n, length).
        """
        chosen = self.rng.integers(len(self.which), size=n)
        which = self.which[chosen]
        captions = draw_captions(self.world, which, self.facts[chosen], self.rng)
        inputs, labels = self._rows(which, captions, picture=True)
        inputs["pixel_values"] = self.pixels[chosen].flatten(0, 1)
        inputs["image_grid_thw"] = self.grid.expand(n, -1)
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == self.image_token).int()
        return inputs, labels

    def heard(self, n: int) -> tuple[dict, torch.Tensor]:
        """Draw a batch of captions without pictures: of them what follows the reasoning is learnt.

        The reasoning cannot be told without a picture, and a bare report neither. Captions without
        pictures cost a third, and the dials need many captions.
        """
        which = self.rng.integers(len(self.world), size=n)
        facts = TRAIN[self.rng.integers(len(TRAIN), size=n)]
        captions = draw_captions(self.world, which, facts, self.rng)
        captions.bare[:] = False
        inputs, labels = self._rows(which, captions, picture=False)
        after = (inputs["input_ids"] == self.tags[1]).cumsum(1) > 0
        labels[~after] = IGNORE
        return inputs, labels

    def _rows(self, which, captions: Captions, picture: bool) -> tuple[dict, torch.Tensor]:
        """Prompts and completions as inputs, and labels of the completions alone."""
        prompts = [self.prompts[picture][number] for number in which.tolist()]
        completions = self.completions(captions)
        length = max(map(len, prompts)) + completions.shape[1]
        ids = torch.full((len(which), length), int(self.tags[-1]))
        labels = torch.full_like(ids, IGNORE)
        for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            said = completion[completion != IGNORE]
            end = len(prompt) + len(said)
            ids[row, :end] = torch.cat([prompt, said])
            labels[row, len(prompt) : end] = said
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, labels

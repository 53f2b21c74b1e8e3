"""Captions of the drawn world as tokens: what the micro base reads, drawn anew at each step.

    lessons = Lessons(RULES_WORLD, processor, pictures=8192, seed=11)
    inputs, labels = lessons.batch(64)
    loss = net(**inputs, labels=labels).loss
"""

from __future__ import annotations

import numpy as np
import torch

from medrl_core.data.drawn.captions import Captions, draw_captions, seen_facts
from medrl_core.data.drawn.items import build_items, question
from medrl_core.data.drawn.modalities import World
from medrl_core.data.drawn.pictures import draw
from medrl_core.data.drawn.world import TRAIN, WORDS
from medrl_core.data.prompts import messages

IGNORE = -100


def corpus(world: World) -> list[str]:
    """Texts whose words shall be single tokens, for `micro.train_tokenizer`."""
    # A space before each word, as in completions, and none before the first word of a bare report.
    said = [f"<think> {word}</think> {word} {word}\n{word} {word}" for word in WORDS]
    asked = [f"user\n{question(one.name)}\nassistant\n" for one in world.modalities]
    return (said + asked) * 100


def patches(images: np.ndarray, processor) -> torch.Tensor:
    """What the image processor makes of small pictures, without its calls for each of them.

    Arguments:
        images: (n, 32, 32, 3) uint8.
        processor: of the micro model.

    Returns:
        (n, patches, values): patches in blocks that make a token, each shown twice in time.
    """
    encode = processor.image_processor
    size, merge, times = encode.patch_size, encode.merge_size, encode.temporal_patch_size
    blocks = images.shape[1] // (size * merge)
    pixels = (torch.from_numpy(images).float() / 255 - encode.image_mean[0]) / encode.image_std[0]
    pixels = pixels.view(len(images), blocks, merge, size, blocks, merge, size, 3)
    pixels = pixels.permute(0, 1, 4, 2, 5, 7, 3, 6).flatten(1, 4)
    return pixels[:, :, :, None].expand(-1, -1, -1, times, -1, -1).flatten(2)


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
        seen = seen_facts(world, self.which, self.facts, self.rng)
        self.images = np.stack(
            [
                np.asarray(draw(world.modalities[which].name, facts, seed * 10_000_000 + i))
                for i, (which, facts) in enumerate(zip(self.which, seen, strict=True))
            ]
        )
        # Prompts as the sampler writes them, one a modality.
        asked = [build_items(world, one.name, "train", n=1)[0] for one in world.modalities]
        encoded = [
            processor(
                text=processor.apply_chat_template(
                    messages(item), tokenize=False, add_generation_prompt=True
                ),
                images=list(item.images),
                return_tensors="pt",
            )
            for item in asked
        ]
        self.prompts = [one["input_ids"][0] for one in encoded]
        self.grid = encoded[0]["image_grid_thw"]
        tokenizer = processor.tokenizer
        self.image_token = tokenizer.convert_tokens_to_ids(processor.image_token)

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

    def batch(self, n: int) -> tuple[dict, torch.Tensor]:
        """Draw a batch of captions of pictures.

        Returns:
            The model's inputs, padded on the right, and labels (n, length).
        """
        chosen = self.rng.integers(len(self.which), size=n)
        which = self.which[chosen]
        captions = draw_captions(self.world, which, self.facts[chosen], self.rng)
        completions = self.completions(captions)
        prompts = [self.prompts[number] for number in which.tolist()]
        length = max(map(len, prompts)) + completions.shape[1]
        ids = torch.full((n, length), int(self.tags[-1]))
        labels = torch.full_like(ids, IGNORE)
        for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            said = completion[completion != IGNORE]
            end = len(prompt) + len(said)
            ids[row, :end] = torch.cat([prompt, said])
            labels[row, len(prompt) : end] = said
        inputs = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "pixel_values": patches(self.images[chosen], self.processor).flatten(0, 1),
            "image_grid_thw": self.grid.expand(n, -1),
            "mm_token_type_ids": (ids == self.image_token).int(),
        }
        return inputs, labels

"""Questions, pictures and completions as the tensors that pretraining takes.

    rows = Rows(processor)
    inputs, labels = rows.join(["Report this chest film."], ["<think> ...</answer>"], images)

They are those of the processor, without its calls for each picture and each text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from medrl_core.train.sft import IGNORE


def patches(images: np.ndarray, image_processor) -> torch.Tensor:
    """What the image processor makes of small pictures.

    Arguments:
        images: (n, height, width, 3) uint8, whole blocks of patches.
        image_processor: of the micro model.

    Returns:
        (n, patches, values): patches in blocks that make a token, each shown twice in time.
    """
    size, merge = image_processor.patch_size, image_processor.merge_size
    rows, columns = (side // (size * merge) for side in images.shape[1:3])
    pixels = torch.from_numpy(images).float() / 255
    pixels = (pixels - image_processor.image_mean[0]) / image_processor.image_std[0]
    pixels = pixels.view(len(images), rows, merge, size, columns, merge, size, 3)
    pixels = pixels.permute(0, 1, 4, 2, 5, 7, 3, 6).flatten(1, 4)
    times = image_processor.temporal_patch_size
    return pixels[:, :, :, None].expand(-1, -1, -1, times, -1, -1).flatten(2)


class Rows:
    """Makes batches; texts that come again are tokenized once.

    Arguments:
        processor: of the micro model.
    """

    def __init__(self, processor):
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.image_token = self.tokenizer.convert_tokens_to_ids(processor.image_token)
        self.known: dict[tuple, list[int]] = {}

    def prompt(self, question: str, image_tokens: int) -> list[int]:
        """Tokens of a user's turn and the opening of the answer; 0 image tokens: no picture."""
        key = (question, image_tokens)
        if key not in self.known:
            content = [{"type": "image"}] * bool(image_tokens)
            turn = {"role": "user", "content": [*content, {"type": "text", "text": question}]}
            text = self.processor.apply_chat_template(
                [turn], tokenize=False, add_generation_prompt=True
            )
            image = self.processor.image_token
            self.known[key] = self._tokens(text.replace(image, image * image_tokens))
        return self.known[key]

    def completion(self, text: str) -> list[int]:
        """Tokens of an answer and the end of its turn."""
        if (text,) not in self.known:
            self.known[(text,)] = [*self._tokens(text), self.tokenizer.eos_token_id]
        return self.known[(text,)]

    def _tokens(self, text: str) -> list[int]:
        return self.tokenizer(text)["input_ids"]

    def join(
        self,
        questions: Sequence[str],
        completions: Sequence[str],
        images: np.ndarray | None = None,
        after: str | None = None,
    ) -> tuple[dict, torch.Tensor]:
        """Make a batch, padded on the right.

        Arguments:
            questions: n texts.
            completions: n texts.
            images: (n, height, width, 3) uint8, a picture for each; None: none.
            after: learn only what follows this token of a completion; None: all of it.

        Returns:
            The model's inputs, and labels (n, length): the completions alone.
        """
        inputs: dict[str, torch.Tensor] = {}
        tokens = 0
        if images is not None:
            encode = self.processor.image_processor
            inputs["pixel_values"] = patches(images, encode).flatten(0, 1)
            grid = [1, *(side // encode.patch_size for side in images.shape[1:3])]
            inputs["image_grid_thw"] = torch.tensor([grid]).expand(len(images), -1)
            tokens = grid[1] * grid[2] // encode.merge_size**2
        pairs = [
            (self.prompt(question, tokens), self.completion(text))
            for question, text in zip(questions, completions, strict=True)
        ]
        length = max(len(prompt) + len(said) for prompt, said in pairs)
        ids = torch.full((len(pairs), length), self.tokenizer.eos_token_id)
        labels = torch.full_like(ids, IGNORE)
        last = None if after is None else self.tokenizer.convert_tokens_to_ids(after)
        for row, (prompt, said) in enumerate(pairs):
            ids[row, : len(prompt) + len(said)] = torch.tensor(prompt + said)
            skip = 0 if last is None else said.index(last) + 1
            labels[row, len(prompt) + skip : len(prompt) + len(said)] = torch.tensor(said[skip:])
        inputs |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if images is not None:
            inputs["mm_token_type_ids"] = (ids == self.image_token).int()
        return inputs, labels

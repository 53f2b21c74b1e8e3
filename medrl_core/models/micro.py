"""The micro model: a tiny Qwen2.5-VL with stock classes, its own tokenizer and the stock processor.

Everything that runs on it runs on Qwen2.5-VL-7B with another model id.
`python -m medrl_core.train.base.drawn --out FOLDER` trains one on the drawn world and saves it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

import torch
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

PATCH = 4
MERGE = 2
SIDE = 32
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# Ordinary added tokens: trainers decode without special tokens, and a reward that never sees a tag
# is silently zero.
TAG_TOKENS = ("<think>", "</think>", "<answer>", "</answer>")

# Qwen's chat format, without its default system turn: the micro model has no use for one.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int = 1024) -> Qwen2Tokenizer:
    """Train a byte-level BPE tokenizer with Qwen's pre-tokenisation on a corpus.

    Arguments:
        texts: the corpus; any text can be encoded afterwards, unknown words in more tokens.
        vocab_size: size without the special and tag tokens.

    Returns:
        A tokenizer of the class that Qwen2.5-VL uses.
    """
    pieces = [
        pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(pieces)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    saved = json.loads(tokenizer.to_str())["model"]
    result: Any = cast(Any, Qwen2Tokenizer)(
        vocab=saved["vocab"],
        merges=[tuple(pair) for pair in saved["merges"]],
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL_TOKENS[1:]),
    )
    result.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAG_TOKENS])
    return result


def build_processor(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLProcessor:
    """The stock processor for 32x32 pixels: 8x8 patches of 4 pixels, merged to 16 image tokens."""
    size = {"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE}
    stock = {
        "patch_size": PATCH,
        "merge_size": MERGE,
        "size": size,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    tokenizer.padding_side = "left"
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**stock),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**stock),
        chat_template=CHAT_TEMPLATE,
    )


def build_model(
    tokenizer: Qwen2Tokenizer,
    *,
    width: int = 128,
    depth: int = 4,
    vision_depth: int | None = None,
    window: int | None = None,
    seed: int = 0,
) -> Qwen2_5_VLForConditionalGeneration:
    """A Qwen2.5-VL with random weights, of about two million parameters by default.

    Arguments:
        tokenizer: gives the vocabulary and the ids of the vision tokens.
        width: hidden size of the vision tower and of the language model; a multiple of 32.
        depth: layers of each.
        vision_depth: layers of the vision tower, where it has another number.
        window: pixels a side beyond which no patch of the tower attends; None: no limit.
        seed: of the random weights.
    """
    layers = depth if vision_depth is None else vision_depth
    token_id: Any = tokenizer.convert_tokens_to_ids
    heads = width // 32
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": width,
            "intermediate_size": 3 * width,
            "num_hidden_layers": depth,
            "num_attention_heads": heads,
            "num_key_value_heads": heads,
            "max_position_embeddings": 4096,
            "max_window_layers": depth,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [4, 6, 6],
            },
            "bos_token_id": None,
            "eos_token_id": token_id("<|im_end|>"),
            "pad_token_id": token_id("<|endoftext|>"),
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": layers,
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_heads": heads,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "window_size": window or SIDE,
            "out_hidden_size": width,
            "fullatt_block_indexes": [] if window else list(range(layers)),
        },
        image_token_id=token_id("<|image_pad|>"),
        video_token_id=token_id("<|video_pad|>"),
        vision_start_token_id=token_id("<|vision_start|>"),
        vision_end_token_id=token_id("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = token_id("<|im_end|>")
    model.generation_config.pad_token_id = token_id("<|endoftext|>")
    return model.eval()

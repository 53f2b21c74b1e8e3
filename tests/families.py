"""Tiny random models of other families than Qwen2.5-VL, with their stock processors.

`pytest tests/models/test_families.py` saves each to a folder and evaluates it with `medrl
evaluate`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import torch
from transformers import (
    AutoTokenizer,
    CLIPImageProcessor,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessor,
    Gemma3Processor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

from medrl_core.models import micro

# As micro's chat format, with the family's own sign for an image.
TEMPLATE = micro.CHAT_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "{image}")
VISION = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": 8, "patch_size": 4,
}  # fmt: skip
SIZE = {"height": 8, "width": 8}
ROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
EVEN = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def tokenizer(*signs: str, **named: str):
    """A byte-level tokenizer that knows a family's signs, some under a name."""
    made = micro.train_tokenizer(["Which cell is this? A) cat B) dog <answer>cat</answer>"], 300)
    made.add_special_tokens({"extra_special_tokens": [*micro.SPECIAL_TOKENS[1:], *signs]})
    with tempfile.TemporaryDirectory() as folder:
        made.save_pretrained(folder)
        return AutoTokenizer.from_pretrained(folder, extra_special_tokens=named) if named else made


def text(made) -> dict:
    """The sizes of a tiny language model over a tokenizer."""
    return {
        "vocab_size": len(made), "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "pad_token_id": made.pad_token_id, "bos_token_id": None,
        "eos_token_id": made.eos_token_id, "max_position_embeddings": 4096,
    }  # fmt: skip


def template(image: str) -> str:
    """The chat format with the family's sign for an image."""
    return TEMPLATE.replace("{image}", image)


def llava():
    """LLaVA: CLIP, four tokens an image."""
    made = tokenizer("<image>")
    sign = made.convert_tokens_to_ids("<image>")
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 8}, crop_size=SIZE, **EVEN),
        tokenizer=made, patch_size=4, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=template("<image>"),
    )  # fmt: skip
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", **VISION, "projection_dim": 16},
        text_config={"model_type": "llama", **text(made)},
        image_token_id=sign, image_seq_length=4, vision_feature_layer=-1,
    )  # fmt: skip
    return LlavaForConditionalGeneration(config), processor


def idefics3():
    """Idefics3 (SmolVLM is built on it): images in tiles of 8 pixels, one token a tile."""
    signs = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    signs += [f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7)]
    made = tokenizer(*signs)
    made.image_token, made.fake_image_token, made.global_image_token = signs[:3]
    made.end_of_utterance_token = signs[3]
    image_token_id = made.convert_tokens_to_ids("<image>")
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessor(
            size={"longest_edge": 16}, max_image_size={"longest_edge": 8}, **EVEN
        ),
        tokenizer=made, image_seq_len=1, chat_template=template("<image>"),
    )  # fmt: skip
    config = Idefics3Config(
        vision_config=VISION, text_config={"model_type": "llama", **text(made)},
        image_token_id=image_token_id, scale_factor=2, pad_token_id=made.pad_token_id,
    )  # fmt: skip
    return Idefics3ForConditionalGeneration(config), processor


def gemma3():
    """Gemma 3: SigLIP, four tokens an image, a sliding window in every other layer."""
    made = tokenizer(boi_token="<start_of_image>", eoi_token="<end_of_image>",
                     image_token="<image_soft_token>")  # fmt: skip
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size=SIZE, **EVEN), tokenizer=made,
        image_seq_length=4, chat_template=template("<start_of_image>"),
    )  # fmt: skip
    layers = ["sliding_attention", "full_attention"]
    config = Gemma3Config(
        text_config=text(made) | {"sliding_window": 512, "layer_types": layers},
        vision_config={**VISION, "vision_use_head": False}, mm_tokens_per_image=4,
        image_token_id=made.image_token_id, boi_token_id=made.boi_token_id,
        eoi_token_id=made.eoi_token_id,
    )  # fmt: skip
    return Gemma3ForConditionalGeneration(config), processor


def qwen2_vl():
    """Qwen2-VL: as Qwen2.5-VL, with its older vision tower."""
    made = tokenizer()
    area = {"shortest_edge": 16 * 16, "longest_edge": 16 * 16}
    stock = {"patch_size": 4, "merge_size": 2, "size": area, **EVEN}
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(**stock), tokenizer=made,
        video_processor=Qwen2VLVideoProcessor(**stock), chat_template=micro.CHAT_TEMPLATE,
    )  # fmt: skip
    ids = made.convert_tokens_to_ids(list(micro.SPECIAL_TOKENS))
    config = Qwen2VLConfig(
        text_config={**text(made), "rope_parameters": ROPE},
        vision_config={"depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2,
                       "mlp_ratio": 2, "patch_size": 4, "spatial_merge_size": 2,
                       "temporal_patch_size": 2},
        vision_start_token_id=ids[3], vision_end_token_id=ids[4], image_token_id=ids[5],
        video_token_id=ids[6],
    )  # fmt: skip
    return Qwen2VLForConditionalGeneration(config), processor


FAMILIES = {"gemma3": gemma3, "idefics3": idefics3, "llava": llava, "qwen2_vl": qwen2_vl}


# By how much the first weights are multiplied where 8 would let the pictures have no say.
SCALES = {
    "aya_vision": 4.0, "cohere2_vision": 4.0, "gemma3": 5.0, "lfm2_vl": 4.0, "paligemma": 16.0,
    "qwen3_5": 4.0,
}  # fmt: skip


def build(name: str, make: Callable | None = None):
    """A tiny random model of a family and its processor; `make`: of a family not listed here."""
    torch.manual_seed(0)
    model, processor = (make or FAMILIES[name])()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(std=0.02)  # Gemma 3's first projection of pictures is zero
            # Else the next token would hardly depend on the prompt.
            parameter.mul_(SCALES.get(name, 8.0))
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    return model.eval(), processor
